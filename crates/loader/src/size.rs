//! How many samples there are, and how many batches make an epoch of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use shards::reader::{MissingEnd, Proof};
use shards::store::Folder;
use shards::summary::{ShardSummary, read_sizes_beside};
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

/// open_clip's arithmetic for tables and synthetic data: full batches only, whatever the workers. Which rows are left over is
/// up to each epoch's order.
pub fn epoch_size_of_rows(rows: u64, batch_size: u64, world_size: u64) -> EpochSize {
    let global_batch = batch_size.max(1).saturating_mul(world_size.max(1));
    let num_batches = rows / global_batch;
    EpochSize { num_batches, num_samples: num_batches * global_batch }
}

/// What the writer of each shard recorded: by the `sizes.json` in its folder, or else, where the folder is one of this
/// machine, by its own `_stats.json`. A command has no folder. A table that cannot be reached is none.
///
/// # Errors
/// When a file is there and is not what it should be.
pub fn recorded(uris: &[ShardUri], missing_end: MissingEnd) -> Result<Vec<Proof>> {
    let mut tables = HashMap::new();
    let proof = |uri| {
        let summary = summary(uri)?;
        let samples = sizes(uri, &mut tables)?.or_else(|| summary.as_ref().map(|summary| summary.successes));
        Ok(Proof { samples, bytes: summary.and_then(|summary| summary.tar_bytes), missing_end })
    };
    uris.iter().map(proof).collect()
}

type Sizes = HashMap<String, u64>;

/// The size of a shard by the table in its folder.
fn sizes(uri: &ShardUri, tables: &mut HashMap<String, Sizes>) -> Result<Option<u64>> {
    let text = uri.to_string();
    let (folder, name) = match uri {
        ShardUri::Pipe(_) => return Ok(None),
        ShardUri::Http(url) => url.split(['?', '#']).next().unwrap_or_default().rsplit_once('/').unwrap_or_default(),
        ShardUri::Local(_) | ShardUri::S3 { .. } => text.rsplit_once('/').unwrap_or(("", &text)),
    };
    if !tables.contains_key(folder) {
        let read = read_sizes_beside(uri);
        let is_local = uri.local_path().is_some();
        let sizes = match read {
            Err(error) if !is_local => {
                tracing::warn!("no sizes of the shards in `{folder}`: {error}");
                BTreeMap::new()
            }
            read => read?,
        };
        tables.insert(folder.to_owned(), sizes.into_iter().collect());
    }
    Ok(tables.get(folder).and_then(|sizes| sizes.get(name)).copied())
}

/// The summary of a shard of this machine.
fn summary(uri: &ShardUri) -> Result<Option<ShardSummary>> {
    let Some(path) = uri.local_path() else { return Ok(None) };
    let Some(stem) = path.file_stem() else { return Ok(None) };
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(ShardSummary::read_from(&Folder::from(folder), &stem.to_string_lossy())?)
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
            tar_bytes: Some(99),
            table_bytes: None,
        };
        summary.write_to(&Folder::from(folder.path()), "1").unwrap();
        let mut uris: Vec<_> = (0..3).map(|i| ShardUri::Local(folder.path().join(format!("{i}.tar")))).collect();
        uris.push(ShardUri::Pipe("cat 0.tar".into()));
        let found = recorded(&uris, MissingEnd::IsACut).unwrap();
        let found: Vec<_> = found.iter().map(|proof| (proof.samples, proof.bytes)).collect();
        assert_eq!(found, [(Some(7), None), (Some(8), Some(99)), (None, None), (None, None)]);
    }

    #[test]
    fn rows_fill_whole_batches_only() {
        assert_eq!(epoch_size_of_rows(600, 128, 1), EpochSize { num_batches: 4, num_samples: 512 });
        assert_eq!(epoch_size_of_rows(7, 4, 2), EpochSize { num_batches: 0, num_samples: 0 });
    }

    #[test]
    fn counts_of_zero_are_ones() {
        assert_eq!(epoch_size(10, 4, 1, 0), EpochSize { num_batches: 3, num_samples: 12 });
        assert_eq!(epoch_size(0, 0, 0, 0), EpochSize { num_batches: 0, num_samples: 0 });
    }
}
