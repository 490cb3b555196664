//! The small JSON files that say how full shards are: `NNNNN_stats.json`, img2dataset's summary
//! of one shard and the mark that it is complete, and `sizes.json`, the samples of every shard
//! by file name, as webdataset's and OpenCLIP's readers look for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
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
}

impl ShardSummary {
    /// The file that summarises the shard `name` (`00012`) in `folder`.
    pub fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}_stats.json"))
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

/// Adds `sizes` to the `sizes.json` of `folder`. One process at a time may do so.
///
/// # Errors
/// When the file that is there is no such table, or the disk refuses.
pub fn merge_sizes(folder: &Path, sizes: &BTreeMap<String, u64>) -> Result<()> {
    let mut merged = read_sizes(folder)?;
    merged.extend(sizes.iter().map(|(name, count)| (name.clone(), *count)));
    write_json(&sizes_path(folder), &merged)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::Table { path: path.to_path_buf(), reason: e.to_string() })?;
    text.push(b'\n');
    write_atomically(path, &text)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| Error::Table { path: path.to_path_buf(), reason: e.to_string() })
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
    fn sizes_are_merged_by_name() {
        let folder = tempfile::tempdir().unwrap();
        merge_sizes(folder.path(), &BTreeMap::from([("00000.tar".into(), 3), ("00001.tar".into(), 4)])).unwrap();
        merge_sizes(folder.path(), &BTreeMap::from([("00001.tar".into(), 5)])).unwrap();
        let expected = BTreeMap::from([("00000.tar".to_string(), 3), ("00001.tar".to_string(), 5)]);
        assert_eq!(read_sizes(folder.path()).unwrap(), expected);
    }
}
