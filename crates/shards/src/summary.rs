//! The small JSON files that say how full shards are: `NNNNN_stats.json`, img2dataset's summary
//! of one shard and the mark that it is complete, and `sizes.json`, the samples of every shard
//! by file name, as webdataset's and OpenCLIP's readers look for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::Folder;
use crate::store::local::write_atomically;

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
}

impl ShardSummary {
    /// The file that summarises the shard `name` (`00012`).
    pub fn file_name(name: &str) -> String {
        format!("{name}_stats.json")
    }

    /// That file in `folder`.
    pub fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(Self::file_name(name))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }

    /// Reads a summary, img2dataset's included; `None` where the file does not exist.
    ///
    /// # Errors
    /// When the file is there and is no summary.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        read_json(path)
    }

    /// Writes the summary of the shard `name`, which marks it as complete.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn write_to(&self, folder: &Folder, name: &str) -> Result<()> {
        let file = Self::file_name(name);
        folder.write(&file, &json(Path::new(&file), self)?)
    }

    /// Reads the summary of the shard `name`; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and is no summary.
    pub fn read_from(folder: &Folder, name: &str) -> Result<Option<Self>> {
        let file = Self::file_name(name);
        let path = || PathBuf::from(format!("{folder}/{file}"));
        folder.read(&file)?.map(|text| parsed(path(), &text)).transpose()
    }

    /// Whether every row is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.count == self.successes + self.failed_to_download + self.failed_to_resize
    }
}

/// The file of shard sizes in `folder`.
pub fn sizes_path(folder: &Path) -> PathBuf {
    folder.join("sizes.json")
}

/// Samples by shard file name (`00012.tar`); empty where `folder` has no `sizes.json`.
///
/// # Errors
/// When the file is there and is no such table.
pub fn read_sizes(folder: &Path) -> Result<BTreeMap<String, u64>> {
    Ok(read_json(&sizes_path(folder))?.unwrap_or_default())
}

/// Writes the `sizes.json` of `folder`: the samples of each shard that is complete by its summary, and what the file
/// said before of other shards. Processes that end at the same time do so one after another.
///
/// # Errors
/// When a summary cannot be read, or the place refuses.
pub fn write_sizes(folder: &Folder) -> Result<()> {
    let _claim = folder.claim_soon("sizes")?;
    let path = PathBuf::from(format!("{folder}/sizes.json"));
    let before = folder.read("sizes.json")?;
    let mut sizes: BTreeMap<String, u64> =
        before.map(|text| parsed(path.clone(), &text)).transpose()?.unwrap_or_default();
    for name in folder.names()? {
        let Some(shard) = name.strip_suffix("_stats.json") else { continue };
        if let Some(summary) = ShardSummary::read_from(folder, shard)? {
            sizes.insert(format!("{shard}.tar"), summary.successes);
        }
    }
    folder.write("sizes.json", &json(&path, &sizes)?)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_atomically(path, &json(path, value)?)
}

fn json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::Table { path: path.to_path_buf(), reason: e.to_string() })?;
    text.push(b'\n');
    Ok(text)
}

fn parsed<T: for<'de> Deserialize<'de>>(path: PathBuf, text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|e| Error::Table { path, reason: e.to_string() })
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    parsed(path.to_path_buf(), &text).map(Some)
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
        }
    }

    #[test]
    fn a_summary_reads_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = ShardSummary::path(folder.path(), "00012");
        assert!(path.ends_with("00012_stats.json"));
        assert_eq!(ShardSummary::read(&path).unwrap(), None);
        summary().write(&path).unwrap();
        assert_eq!(ShardSummary::read(&path).unwrap(), Some(summary()));
        assert!(summary().is_balanced());
    }

    #[test]
    fn a_broken_summary_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000_stats.json");
        std::fs::write(&path, b"{\"count\": 1").unwrap();
        assert!(ShardSummary::read(&path).unwrap_err().to_string().contains("00000_stats.json"));
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
        assert_eq!(read_sizes(temporary.path()).unwrap(), expected.map(|(name, n)| (name.to_string(), n)).into());
    }
}
