//! The flags about training data.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use loader::{Augmentation, MissingEnd, OnError, Policy, Resize, Sampling};
use tools::human::byte_size;
use tools::training::{DataSource, TrainData};
use tools::urls::Downloading;

use super::augmentation;
use super::keys::{DatasetType, Keys};
use super::urls::Urls;

/// Where training data come from, and how they are read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct Data {
    /// Shards to train on: paths, http(s):// or s3:// URLs, or pipe:COMMAND, with {000..999} and `::` between sources; or a
    /// CSV file; or, with --dataset-type urls, a list of URLs
    #[arg(long, value_name = "SPEC")]
    pub train_data: Option<String>,
    /// Samples of one epoch; without it sizes.json or the _stats.json files beside the shards tell
    #[arg(long, value_name = "N", value_parser = counts())]
    pub train_num_samples: Option<u64>,
    /// Draw shards with replacement
    #[arg(long, conflicts_with = "dataset_epochless")]
    pub dataset_resampled: bool,
    /// Pass after pass in new orders, whatever epochs are, instead of each sample once an epoch
    #[arg(long)]
    pub dataset_epochless: bool,
    /// How much more often the shards of each `::` source are drawn, with --dataset-resampled: 1::2.5
    #[arg(long, value_name = "A::B")]
    pub train_data_upsampling_factors: Option<String>,
    #[command(flatten)]
    pub keys: Keys,
    /// Bytes of samples held back to mix them, over all ranks; 0 keeps the order of the shards
    #[arg(long, value_name = "BYTES", value_parser = size_or_zero, default_value = "512MB")]
    pub shuffle_buffer: u64,
    /// Numbers of ranks that divide it get the same global batches
    #[arg(long, value_name = "N", default_value_t = loader::LANES)]
    pub lanes: usize,
    /// Shards open side by side, over all ranks [default: up to 24, by the number of shards]
    #[arg(long, value_name = "N")]
    pub open_shards: Option<usize>,
    /// Read s3:// and http(s):// where a pipe: command does no more than fetch them (`aws s3 cp URL -`, `curl -s -L URL` and the
    /// like): without a process a shard, resumed after a break, kept in --shard-cache-dir
    #[arg(long)]
    pub rewrite_pipe: bool,
    /// Keep copies of shards from http(s):// and s3:// in this folder
    #[arg(long, value_name = "DIR")]
    pub shard_cache_dir: Option<PathBuf>,
    /// Bytes of such copies; those used least recently go first
    #[arg(long, value_name = "BYTES", value_parser = byte_size, default_value = "100GB")]
    pub shard_cache_size: u64,
    /// Take a tar without its two closing blocks of zeros for whole
    #[arg(long)]
    pub accept_missing_end: bool,
    /// How often a source that fails (a connection, a command) is opened again, to go on where it failed
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub shard_retries: u32,
    /// What to do about a shard that cannot be read or is cut
    #[arg(long, value_enum, default_value_t = OnTrouble::Skip)]
    pub on_shard_error: OnTrouble,
    /// End the run when more shards than this were skipped
    #[arg(long, value_name = "N")]
    pub max_bad_shards: Option<u64>,
    /// What to do about a sample whose picture does not decode, or that lacks picture or caption
    #[arg(long, value_enum, default_value_t = OnTrouble::Skip)]
    pub on_sample_error: OnTrouble,
    /// End the run when more samples than this were skipped
    #[arg(long, value_name = "N")]
    pub max_bad_samples: Option<u64>,
    /// Leave out pictures of more pixels, by their header [default: 178956970, where Pillow refuses]
    #[arg(long, value_name = "N", value_parser = counts())]
    pub max_image_pixels: Option<u64>,
    /// How crops are brought to the model's size
    #[arg(long, value_enum, default_value_t = ResizeMode::Fast)]
    pub resize: ResizeMode,
    #[command(flatten)]
    pub urls: Urls,
}

/// `--on-shard-error`, `--on-sample-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnTrouble {
    /// End the run
    Fail,
    /// Warn, count, go on
    Skip,
}

/// `--resize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResizeMode {
    /// Pillow's bytes
    Exact,
    /// A fraction of a grey level off them in the mean, in less time
    Fast,
}

impl Data {
    /// What is trained on, if anything.
    pub fn spec(&self) -> Option<String> {
        let synthetic = (self.keys.dataset_type == DatasetType::Synthetic).then(String::new);
        self.train_data.clone().or(synthetic)
    }

    /// Begins to download where a list of URLs is trained on.
    ///
    /// # Errors
    /// When the list or its folder cannot be used.
    pub fn download(&self, spec: &str) -> anyhow::Result<Option<Downloading>> {
        let is_list = self.keys.dataset_type == DatasetType::Urls;
        is_list.then(|| self.urls.data(spec).start()).transpose()
    }

    /// What the flags say, and the download where there is one.
    ///
    /// # Errors
    /// When a value is none of those that it may be.
    pub fn train_data(
        &self,
        spec: &str,
        download: Option<&Downloading>,
        batch_size: usize,
        workers: usize,
        seed: u64,
        aug_cfg: &[String],
    ) -> anyhow::Result<TrainData> {
        let source = match download {
            Some(download) => DataSource::Shards(download.spec.clone()),
            None => self.keys.source(spec, self.keys.dataset_type).context("--train-data")?,
        };
        let resize = if self.resize == ResizeMode::Exact { Resize::Exact } else { Resize::Fast };
        Ok(TrainData {
            source,
            num_samples: self.train_num_samples.or(download.map(|download| download.rows)),
            sampling: match (self.dataset_resampled, self.dataset_epochless) {
                (true, _) => Sampling::Resampled,
                (_, true) => Sampling::Epochless,
                _ => Sampling::Once,
            },
            upsampling_factors: self.upsampling_factors()?,
            augmentation: Augmentation { resize, ..augmentation::parse(aug_cfg)? },
            image_extensions: self.keys.image_extensions(),
            captions: self.keys.captions()?,
            shuffle_buffer: self.shuffle_buffer,
            lanes: self.lanes,
            // One after the other, as they come.
            open_shards: self.open_shards.or(download.map(|_| 1)),
            arrival: download.map(Downloading::arrival),
            policy: Policy {
                retries: self.shard_retries,
                on_shard_error: on_error(self.on_shard_error, self.max_bad_shards),
                on_sample_error: on_error(self.on_sample_error, self.max_bad_samples),
            },
            missing_end: if self.accept_missing_end { MissingEnd::IsAccepted } else { MissingEnd::IsACut },
            cache: self.shard_cache_dir.clone().map(|folder| (folder, self.shard_cache_size)),
            max_image_pixels: self.max_image_pixels,
            rewrite_pipes: self.rewrite_pipe,
            ..TrainData::shards(spec.to_owned(), batch_size, workers, seed)
        })
    }

    fn upsampling_factors(&self) -> anyhow::Result<Vec<f64>> {
        let Some(text) = &self.train_data_upsampling_factors else { return Ok(Vec::new()) };
        if !self.dataset_resampled {
            bail!(
                "--train-data-upsampling-factors: only where shards are drawn with replacement, which --dataset-resampled asks for"
            );
        }
        let factor = |part: &str| {
            part.trim().parse().with_context(|| format!("--train-data-upsampling-factors: `{part}` is no number"))
        };
        text.split("::").map(factor).collect()
    }
}

fn on_error(on_trouble: OnTrouble, at_most: Option<u64>) -> OnError {
    match on_trouble {
        OnTrouble::Fail => OnError::Fail,
        OnTrouble::Skip => OnError::Skip { at_most },
    }
}

/// Of samples and pixels; products of them with epochs have to fit.
pub fn counts() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1_000_000_000_000)
}

fn size_or_zero(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { byte_size(text) }
}
