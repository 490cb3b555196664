//! How many samples there are, and how many batches make an epoch of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use shards::store::Folder;
use shards::summary::{ShardSummary, read_sizes};
use shards::uri::ShardUri;

use crate::error::Result;

/// An epoch in numbers that are the same on all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSize {
    /// Batches that each replica gets.
    pub num_batches: u64,
    /// Samples that all replicas get together.
    pub num_samples: u64,
}

/// open_clip's arithmetic: batches are rounded up so that every sample fits, then to a multiple
/// of the workers. Counts of 0 are taken for 1.
pub fn epoch_size(num_samples: u64, batch_size: u64, world_size: u64, workers: u64) -> EpochSize {
    let global_batch = batch_size.max(1).saturating_mul(world_size.max(1));
    let workers = workers.max(1);
    let num_batches = num_samples.div_ceil(global_batch).div_ceil(workers).saturating_mul(workers);
    EpochSize { num_batches, num_samples: num_batches.saturating_mul(global_batch) }
}

/// The number of samples of each shard, by the `sizes.json` in its folder or else by its own
/// `_stats.json`; `None` for a shard that has neither or is not local.
pub(crate) fn shard_sizes(uris: &[ShardUri]) -> Result<Vec<Option<u64>>> {
    let mut folders = HashMap::new();
    uris.iter().map(|uri| uri.local_path().map_or(Ok(None), |path| shard_size(path, &mut folders))).collect()
}

type FolderSizes = HashMap<PathBuf, HashMap<String, u64>>;

fn shard_size(path: &Path, folders: &mut FolderSizes) -> Result<Option<u64>> {
    let (Some(name), Some(stem)) = (path.file_name(), path.file_stem()) else { return Ok(None) };
    let folder = path.parent().unwrap_or(Path::new(""));
    if !folders.contains_key(folder) {
        let sizes = read_sizes(&Folder::from(folder))?.into_iter().collect();
        folders.insert(folder.to_path_buf(), sizes);
    }
    if let Some(size) = folders.get(folder).and_then(|sizes| sizes.get(&*name.to_string_lossy())) {
        return Ok(Some(*size));
    }
    let summary = ShardSummary::read_from(&Folder::from(folder), &stem.to_string_lossy())?;
    Ok(summary.map(|summary| summary.successes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_from_the_table_or_the_summary() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sizes.json"), r#"{"0.tar": 7}"#).unwrap();
        let summary = ShardSummary {
            count: 9,
            successes: 8,
            failed_to_download: 1,
            failed_to_resize: 0,
            duration: 1.0,
            start_time: 0.0,
            end_time: 1.0,
            status_dict: Default::default(),
            rows_sha256: None,
            tar_bytes: None,
            table_bytes: None,
        };
        summary.write_to(&Folder::from(folder.path()), "1").unwrap();
        let mut uris: Vec<_> = (0..3).map(|i| ShardUri::Local(folder.path().join(format!("{i}.tar")))).collect();
        uris.push(ShardUri::Pipe("cat 0.tar".into()));
        assert_eq!(shard_sizes(&uris).unwrap(), [Some(7), Some(8), None, None]);
    }

    #[test]
    fn counts_of_zero_are_ones() {
        assert_eq!(epoch_size(10, 4, 1, 0), EpochSize { num_batches: 3, num_samples: 12 });
        assert_eq!(epoch_size(0, 0, 0, 0), EpochSize { num_batches: 0, num_samples: 0 });
    }
}
