//! The small JSON files that say how full shards are: `NNNNN_stats.json`, img2dataset's summary
//! of one shard and the mark that it is complete, and `sizes.json`, the samples of every shard
//! by file name, as webdataset's and OpenCLIP's readers look for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::{self, Folder};
use crate::uri::ShardUri;

/// The file of shard sizes.
const SIZES: &str = "sizes.json";

/// What became of the rows of one shard. The fields up to `status_dict` are img2dataset's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardSummary {
    /// Input rows; the sum of the next three.
    pub count: u64,
    /// Rows that became samples.
    pub successes: u64,
    /// Rows without a body.
    pub failed_to_download: u64,
    /// Rows whose body did not become a picture.
    pub failed_to_resize: u64,
    /// Seconds from start to end.
    pub duration: f64,
    /// Seconds since 1970.
    pub start_time: f64,
    /// Seconds since 1970.
    pub end_time: f64,
    /// Rows by outcome: `success` and the names of failure kinds.
    pub status_dict: BTreeMap<String, u64>,
    /// What the rows were: a hash over URLs, captions and additional cells, by which a changed list is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_sha256: Option<String>,
    /// Bytes of the shard's tar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar_bytes: Option<u64>,
    /// Bytes of its table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_bytes: Option<u64>,
}

impl ShardSummary {
    /// The file that summarises the shard `name` (`00012`).
    fn file_name(name: &str) -> String {
        format!("{name}_stats.json")
    }

    /// Writes the summary of the shard `name`, which marks it as complete.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn write_to(&self, folder: &Folder, name: &str) -> Result<()> {
        write_json(folder, &Self::file_name(name), self)
    }

    /// Reads the summary of the shard `name`, img2dataset's included; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and is no summary.
    pub fn read_from(folder: &Folder, name: &str) -> Result<Option<Self>> {
        read_json(folder, &Self::file_name(name))
    }

    /// A file of the shard `name` that is not there as it was written, and what is there: where the summary notes its size.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub fn damage(&self, folder: &Folder, name: &str) -> Result<Option<String>> {
        for (extension, expected) in [("tar", self.tar_bytes), ("parquet", self.table_bytes)] {
            let Some(expected) = expected else { continue };
            let file = format!("{name}.{extension}");
            match folder.size(&file)? {
                Some(size) if size == expected => {}
                Some(size) => return Ok(Some(format!("`{file}` has {size} bytes (expected {expected})"))),
                None => return Ok(Some(format!("`{file}` is missing"))),
            }
        }
        Ok(None)
    }

    /// Whether every row is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.count == self.successes + self.failed_to_download + self.failed_to_resize
    }
}

/// Names of the shards of `folder` that are complete by their summaries, sorted.
///
/// # Errors
/// When the folder cannot be listed.
pub fn complete_shards(folder: &Folder) -> Result<Vec<String>> {
    let names = folder.names()?;
    Ok(names.iter().filter_map(|name| name.strip_suffix("_stats.json")).map(String::from).collect())
}

/// Samples by shard file name (`00012.tar`); empty where `folder` has no `sizes.json`.
///
/// # Errors
/// When the file is there and is no such table.
pub fn read_sizes(folder: &Folder) -> Result<BTreeMap<String, u64>> {
    Ok(read_json(folder, SIZES)?.unwrap_or_default())
}

/// The same for the folder that the shard at `uri` is in, wherever that is; empty for a command.
///
/// # Errors
/// When the file is there and is no such table, or its place cannot be reached.
pub fn read_sizes_beside(uri: &ShardUri) -> Result<BTreeMap<String, u64>> {
    let Some(text) = store::read_beside(uri, SIZES)? else { return Ok(BTreeMap::new()) };
    let shard = uri.to_string();
    let plain =
        if matches!(uri, ShardUri::Http(_)) { shard.split(['?', '#']).next().unwrap_or(&shard) } else { &shard };
    let folder = plain.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    serde_json::from_slice(&text)
        .map_err(|e| Error::Table { path: PathBuf::from(format!("{folder}{SIZES}")), reason: e.to_string() })
}

/// Writes the `sizes.json` of `folder`: the samples of each shard that is complete by its summary, and what the file
/// said before of other shards. Processes that end at the same time do so one after another.
///
/// # Errors
/// When a summary cannot be read, or the place refuses.
pub fn write_sizes(folder: &Folder) -> Result<()> {
    let _claim = folder.claim_soon("sizes")?;
    let mut sizes = read_sizes(folder)?;
    for shard in complete_shards(folder)? {
        if let Some(summary) = ShardSummary::read_from(folder, &shard)? {
            sizes.insert(format!("{shard}.tar"), summary.successes);
        }
    }
    write_json(folder, SIZES, &sizes)
}

fn write_json<T: Serialize>(folder: &Folder, name: &str, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| broken(folder, name, &e))?;
    text.push(b'\n');
    folder.write(name, &text)
}

fn read_json<T: for<'de> Deserialize<'de>>(folder: &Folder, name: &str) -> Result<Option<T>> {
    let Some(text) = folder.read(name)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|e| broken(folder, name, &e))
}

fn broken(folder: &Folder, name: &str, reason: &serde_json::Error) -> Error {
    Error::Table { path: PathBuf::from(folder.to_string()).join(name), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> ShardSummary {
        ShardSummary {
            count: 3,
            successes: 2,
            failed_to_download: 1,
            failed_to_resize: 0,
            duration: 1.5,
            start_time: 10.0,
            end_time: 11.5,
            status_dict: BTreeMap::from([("success".into(), 2), ("timeout".into(), 1)]),
            rows_sha256: None,
            tar_bytes: None,
            table_bytes: None,
        }
    }

    #[test]
    fn a_summary_reads_back_as_written() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::from(temporary.path());
        assert_eq!(ShardSummary::read_from(&folder, "00012").unwrap(), None);
        summary().write_to(&folder, "00012").unwrap();
        assert_eq!(folder.names().unwrap(), ["00012_stats.json"]);
        assert_eq!(ShardSummary::read_from(&folder, "00012").unwrap(), Some(summary()));
        assert!(summary().is_balanced());
    }

    #[test]
    fn a_broken_summary_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000_stats.json");
        std::fs::write(&path, b"{\"count\": 1").unwrap();
        let read = ShardSummary::read_from(&Folder::from(folder.path()), "00000");
        assert!(read.unwrap_err().to_string().contains("00000_stats.json"));
    }

    #[test]
    fn sizes_are_those_of_all_summaries() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::Local(temporary.path().into());
        std::fs::write(temporary.path().join("sizes.json"), b"{\"other.tar\": 3, \"00001.tar\": 9}").unwrap();
        summary().write_to(&folder, "00000").unwrap();
        summary().write_to(&folder, "00001").unwrap();
        write_sizes(&folder).unwrap();
        let expected = [("00000.tar", 2), ("00001.tar", 2), ("other.tar", 3)];
        assert_eq!(read_sizes(&folder).unwrap(), expected.map(|(name, n)| (name.to_string(), n)).into());
    }
}
