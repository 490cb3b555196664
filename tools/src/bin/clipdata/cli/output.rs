//! Where shards go.

use anyhow::Context;
use clap::{Args, ValueEnum};
use ingest::output::{IncrementalMode, OutputFormat, OutputOptions};
use shards::store::Folder;
use tools::cluster;
use tools::exit::Hint;

use super::values::switch;

/// The folder and its shards.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Where the shards go: a folder (created), s3://BUCKET/PREFIX, or pipe:COMMAND with {} for each file's name
    #[arg(long, value_name = "DIR", default_value = "images")]
    pub output_folder: String,
    /// What a shard is made of
    #[arg(long, value_enum, default_value_t = OutputFormatArg::Webdataset)]
    pub output_format: OutputFormatArg,
    /// Rows of the list in one shard
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    pub number_sample_per_shard: usize,
    /// Digits of the shard's number in its name
    #[arg(long, value_name = "DIGITS", default_value_t = 5)]
    pub oom_shard_count: usize,
    /// What is done about shards that are there already
    #[arg(long, value_enum, default_value_t = IncrementalModeArg::Incremental)]
    pub incremental_mode: IncrementalModeArg,
    /// Leave times out of the metadata, so that equal answers give equal bytes
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub deterministic: bool,
    #[command(flatten)]
    pub share: Share,
}

/// Which part of the work is this machine's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Many machines")]
pub struct Share {
    /// Which of the machines this is, from 0 [default: as SLURM, Kubernetes, torchrun or MPI say]
    #[arg(long, value_name = "N")]
    pub rank: Option<usize>,
    /// How many machines share the work [default: as SLURM, torchrun or MPI say, else 1]
    #[arg(long, value_name = "N")]
    pub world_size: Option<usize>,
}

impl Output {
    /// What the flags and the cluster's variables say.
    ///
    /// # Errors
    /// When the folder's address is malformed, or the variables contradict each other.
    pub fn options(self) -> anyhow::Result<OutputOptions> {
        let folder = Folder::parse(&self.output_folder).context("--output-folder")?;
        let share = cluster::share(self.share.rank, self.share.world_size, |name| std::env::var(name).ok())?;
        Ok(OutputOptions {
            output_format: self.output_format.format()?,
            number_sample_per_shard: self.number_sample_per_shard,
            oom_shard_count: self.oom_shard_count,
            incremental_mode: self.incremental_mode.into(),
            deterministic: self.deterministic,
            rank: share.rank,
            world_size: share.world_size,
            ..OutputOptions::new(folder)
        })
    }
}

/// `--output-format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OutputFormatArg {
    /// NNNNN.tar
    Webdataset,
    /// A folder NNNNN of pictures, captions and JSON
    Files,
    /// Pictures in NNNNN.parquet
    Parquet,
    /// A folder NNNNN of pictures and NNNNN.csv: title TAB filepath, as open_clip reads it
    Csv,
    /// Counts only
    Dummy,
    /// img2dataset's, which is not written here
    #[value(hide = true)]
    Tfrecord,
}

impl OutputFormatArg {
    fn format(self) -> anyhow::Result<OutputFormat> {
        Ok(match self {
            Self::Webdataset => OutputFormat::Webdataset,
            Self::Files => OutputFormat::Files,
            Self::Parquet => OutputFormat::Parquet,
            Self::Csv => OutputFormat::Csv,
            Self::Dummy => OutputFormat::Dummy,
            Self::Tfrecord => {
                let error = anyhow::anyhow!("--output-format tfrecord: not written here");
                return Err(
                    error.context(Hint("tar shards, the default, are read by TensorFlow's webdataset, too".into()))
                );
            }
        })
    }
}

/// `--incremental-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum IncrementalModeArg {
    /// They stay, and are not made again
    Incremental,
    /// They are deleted first
    Overwrite,
    /// They stay, and the list makes new ones behind them
    Extend,
}

impl From<IncrementalModeArg> for IncrementalMode {
    fn from(mode: IncrementalModeArg) -> Self {
        match mode {
            IncrementalModeArg::Incremental => Self::Incremental,
            IncrementalModeArg::Overwrite => Self::Overwrite,
            IncrementalModeArg::Extend => Self::Extend,
        }
    }
}
