//! Where shards go, and how they are cut.

use std::path::PathBuf;

use crate::config::between;
use crate::error::Result;

/// The folder of shards, and how many rows each of them takes.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// Where the shards go; created where missing.
    pub output_folder: PathBuf,
    /// Rows of the list for each shard, whatever becomes of them.
    pub number_sample_per_shard: usize,
    /// Digits of the shard's number.
    pub oom_shard_count: usize,
}

impl OutputOptions {
    /// The defaults for one folder.
    pub fn new(output_folder: impl Into<PathBuf>) -> Self {
        Self { output_folder: output_folder.into(), number_sample_per_shard: 10_000, oom_shard_count: 5 }
    }

    /// Checks what a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        between("number_sample_per_shard", self.number_sample_per_shard, 1, 10_000_000)?;
        between("oom_shard_count", self.oom_shard_count, 1, 18)
    }
}
