//! How much of a list has been read, so that the end of a run can be foreseen without reading the list twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shards::uri::ShardUri;

use super::files::ListFile;

/// Counts the bytes of a list's files, as they are stored, while they are read.
#[derive(Clone, Debug)]
pub struct ReadSoFar(Arc<Counter>);

#[derive(Debug)]
struct Counter {
    /// Bytes of all files; `None` where one of them is not on this machine.
    total: Option<u64>,
    read: AtomicU64,
    /// Files that are damaged, so that what is behind the damage is not read.
    cut: AtomicU64,
}

impl ReadSoFar {
    pub(super) fn of(files: &[ListFile]) -> Self {
        let total = files.iter().map(size).sum();
        Self(Arc::new(Counter { total, read: AtomicU64::new(0), cut: AtomicU64::new(0) }))
    }

    /// The part that has been read, 0 to 1; `None` where the size of the whole is not known.
    pub fn share(&self) -> Option<f64> {
        let (total, read) = (self.0.total?, self.0.read.load(Ordering::Relaxed));
        Some(if total == 0 { 1.0 } else { (read as f64 / total as f64).min(1.0) })
    }

    /// Files of which the rest could not be read.
    pub fn cut_files(&self) -> u64 {
        self.0.cut.load(Ordering::Relaxed)
    }

    pub(super) fn add_cut(&self) {
        self.0.cut.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Size of a file in bytes; `None` where it is no file of this machine.
pub(super) fn size(file: &ListFile) -> Option<u64> {
    let ShardUri::Local(path) = &file.uri else { return None };
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
}
