//! The verbs that look into shards.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const SPEC_HELP: &str = "\
A SPEC is as cliptrain's --train-data: paths, http(s):// and s3:// URLs, pipe:COMMAND, with {000..999}, and `::` between sources.";

const LS_EXAMPLES: &str = "\
Examples:
  clipdata ls 'laion/{00000..00041}.tar'
  clipdata ls 's3://bucket/{00000..00041}.tar' --json | jq -c 'select(.type == \"shard\" and .data.complete == false)'
  clipdata ls 'pipe:aws s3 cp s3://bucket/00000.tar -' --quiet

A shard is complete with its two closing blocks of zeros, or with as many samples or bytes as sizes.json or _stats.json
beside it say. A SPEC is as cliptrain's --train-data: paths, http(s):// and s3:// URLs, pipe:COMMAND, {000..999}, `::`.
Exit codes: 0 all shards are complete, 1 one is not, 2 wrong usage or failure.";

/// `clipdata ls`.
#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
pub struct Ls {
    /// The shards
    #[arg(value_name = "SPEC", required = true)]
    pub spec: Vec<String>,
    /// Extension of captions
    #[arg(long, value_name = "EXT", default_value = "txt")]
    pub caption_key: String,
    /// Tell of shards only, not of samples
    #[arg(long)]
    pub quiet: bool,
    /// Take a tar without its two closing blocks of zeros for whole
    #[arg(long)]
    pub accept_missing_end: bool,
    /// JSON Lines on standard output: a line a sample, a line a shard, a summary
    #[arg(long)]
    pub json: bool,
}

const HEAD_EXAMPLES: &str = "\
Examples:
  clipdata head 'laion/{00000..00041}.tar'
  clipdata head s3://bucket/00000.tar --samples 3 --json

No more is read than is shown. Shards that turn out not to be whole on the way are told on standard error.
Exit codes: 0 done, 1 such a shard or no sample at all, 2 wrong usage or failure.";

/// `clipdata head`.
#[derive(Debug, Args)]
#[command(after_help = HEAD_EXAMPLES)]
pub struct Head {
    /// The shards
    #[arg(value_name = "SPEC", required = true, help = "The shards", long_help = SPEC_HELP)]
    pub spec: Vec<String>,
    /// How many samples
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub samples: u64,
    /// Extension of captions
    #[arg(long, value_name = "EXT", default_value = "txt")]
    pub caption_key: String,
    /// Take a tar without its two closing blocks of zeros for whole
    #[arg(long)]
    pub accept_missing_end: bool,
    /// JSON Lines on standard output: a line a sample, and one for each shard that is not whole
    #[arg(long)]
    pub json: bool,
}

const CAT_EXAMPLES: &str = "\
Examples:
  clipdata cat 'laion/{00000..00041}.tar' 000120005.jpg > picture.jpg
  clipdata cat laion/00012.tar 000120005.json | jq .

The first sample of that key is taken; shards are read in their order until it comes.";

/// `clipdata cat`.
#[derive(Debug, Args)]
#[command(after_help = CAT_EXAMPLES)]
pub struct Cat {
    /// The shards
    #[arg(value_name = "SPEC", help = "The shards", long_help = SPEC_HELP)]
    pub spec: String,
    /// Which member: the sample's key and the extension, as the tar has them
    #[arg(value_name = "KEY.EXT")]
    pub member: String,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  clipdata bench 'laion/{00000..00041}.tar' --workers 16
  clipdata bench 's3://bucket/{00000..00041}.tar' --seconds 30 --json | jq .data.bottleneck

What cliptrain would do with these shards before the model: read, mix, decode, crop and resize, tokenize, assemble batches.";

/// `clipdata bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct Bench {
    /// The shards
    #[arg(value_name = "SPEC", help = "The shards", long_help = SPEC_HELP)]
    pub spec: String,
    /// Decoding threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// How long
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub seconds: f64,
    /// End after so many samples, if that is sooner
    #[arg(long, value_name = "N")]
    pub samples: Option<u64>,
    /// Pairs in one batch
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batch_size: usize,
    /// Side of the pictures in a batch
    #[arg(long, value_name = "PIXELS", default_value_t = 224)]
    pub image_size: u32,
    /// How crops are brought to that size
    #[arg(long, value_enum, default_value_t = ResizeMode::Fast)]
    pub resize: ResizeMode,
    /// Bytes of samples held back to mix them
    #[arg(long, value_name = "BYTES", value_parser = super::values::byte_size, default_value = "512MB")]
    pub shuffle_buffer: u64,
    /// Keep copies of shards from afar in this folder, up to 100 GB
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// One JSON line on standard output
    #[arg(long)]
    pub json: bool,
}

/// `--resize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResizeMode {
    /// Pillow's bytes
    Exact,
    /// A fraction of a grey level off them in the mean, in less time
    Fast,
}
