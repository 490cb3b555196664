//! Where samples go: the folder, the format, how it is cut into shards, and which of them are this run's.

mod format;
mod manifest;
mod sample_files;
mod sink;

use shards::store::Folder;

pub use self::format::{IncrementalMode, OutputFormat};
pub use self::manifest::Manifest;
pub(crate) use self::sample_files::Leftovers;
pub(crate) use self::sink::{Place, Sink};

use crate::config::between;
use crate::error::{Error, Result};

/// The folder of shards, and how many rows each of them takes.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// Where the shards go; created where missing.
    pub output_folder: Folder,
    /// What a shard is made of.
    pub output_format: OutputFormat,
    /// Rows of the list for each shard, whatever becomes of them.
    pub number_sample_per_shard: usize,
    /// Digits of the shard's number.
    pub oom_shard_count: usize,
    /// What is done about shards that are there already.
    pub incremental_mode: IncrementalMode,
    /// Whether two runs over equal answers write equal bytes: times and attempts are then left out of the metadata.
    pub deterministic: bool,
    /// Which of the machines that share the work this is, from 0.
    pub rank: usize,
    /// How many machines share the work; each takes every `world_size`th shard.
    pub world_size: usize,
}

impl OutputOptions {
    /// The defaults for one folder.
    pub fn new(output_folder: Folder) -> Self {
        Self {
            output_folder,
            output_format: OutputFormat::Webdataset,
            number_sample_per_shard: 10_000,
            oom_shard_count: 5,
            incremental_mode: IncrementalMode::Incremental,
            deterministic: false,
            rank: 0,
            world_size: 1,
        }
    }

    /// Checks what a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        between("number_sample_per_shard", self.number_sample_per_shard, 1, 10_000_000)?;
        between("oom_shard_count", self.oom_shard_count, 1, 18)?;
        between("world_size", self.world_size, 1, 1_000_000)?;
        between("rank", self.rank, 0, self.world_size - 1)?;
        if self.world_size > 1 && self.incremental_mode != IncrementalMode::Incremental {
            let reason = "expected incremental where several machines share the work".to_owned();
            return Err(Error::Config { option: "incremental_mode", reason });
        }
        Ok(())
    }

    /// Whether a shard is this machine's.
    pub(crate) fn owns(&self, shard_id: u64) -> bool {
        shard_id % self.world_size as u64 == self.rank as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_one_owner() {
        let mut options = OutputOptions::new(Folder::Local("out".into()));
        options.world_size = 3;
        for shard in 0..10 {
            let owners = (0..3).filter(|rank| OutputOptions { rank: *rank, ..options.clone() }.owns(shard));
            assert_eq!(owners.count(), 1);
        }
        options.rank = 3;
        assert!(options.validate().unwrap_err().to_string().contains("0 to 2, got 3"));
    }
}
