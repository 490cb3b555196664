//! Where shards go.

use std::path::PathBuf;

use clap::Args;
use ingest::output::OutputOptions;

/// The folder and its shards.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Folder of the shards; created
    #[arg(long, value_name = "DIR", default_value = "images")]
    pub output_folder: PathBuf,
    /// Rows of the list in one shard
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    pub number_sample_per_shard: usize,
    /// Digits of the shard's number in its name
    #[arg(long, value_name = "DIGITS", default_value_t = 5)]
    pub oom_shard_count: usize,
}

impl Output {
    /// What the flags say.
    pub fn options(self) -> anyhow::Result<OutputOptions> {
        let mut options = OutputOptions::new(self.output_folder);
        options.number_sample_per_shard = self.number_sample_per_shard;
        options.oom_shard_count = self.oom_shard_count;
        Ok(options)
    }
}
