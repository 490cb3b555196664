//! The flags of `clipdata`, in img2dataset's words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Builds image-text data sets: downloads URL lists into tar shards, and looks at the tables around them.
#[derive(Debug, Parser)]
#[command(name = "clipdata", version, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Download a list of URLs into shards
    Download(Box<Download>),
    /// Describe tables of URLs and captions: sizes, lengths, scores, hosts
    Stats(Stats),
    /// Serve a folder over HTTP on this machine only, to try things without a network
    Serve(Serve),
}

const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  clipdata download cc3m.tsv --output-folder cc3m --image-size 256
  clipdata download laion.parquet --output-folder laion --url-col URL --caption-col TEXT --resize-mode keep_ratio
  clipdata download urls.txt --output-folder images --json | tail -n 1

Beside each shard NNNNN.tar lie NNNNN.parquet (every row and what became of it) and NNNNN_stats.json;
sizes.json counts the samples of all shards. The same command again goes on where it stopped.
img2dataset's spelling of flags, --output_folder, works as well.
Exit codes: 0 done, 1 no row succeeded, 2 wrong usage or failure, 130 interrupted.";

/// `clipdata download`.
#[derive(Debug, Args)]
#[command(after_help = DOWNLOAD_EXAMPLES)]
pub struct Download {
    /// The list: .tsv (with a header, or caption TAB url as cc3m has it), .csv, .txt or .parquet
    #[arg(value_name = "URL_LIST")]
    pub url_list: PathBuf,
    /// Folder of the shards; created
    #[arg(long, value_name = "DIR", default_value = "images")]
    pub output_folder: PathBuf,
    /// Column that holds the URL
    #[arg(long, value_name = "NAME")]
    pub url_col: Option<String>,
    /// Column that holds the caption; without it only headerless lists (caption TAB url) have captions
    #[arg(long, value_name = "NAME")]
    pub caption_col: Option<String>,
    /// Other columns to keep in the metadata
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub save_additional_columns: Vec<String>,
    /// Side of the pictures after resizing
    #[arg(long, value_name = "PIXELS", default_value_t = 256)]
    pub image_size: u32,
    /// How a picture is brought to that size
    #[arg(long, value_enum, default_value_t = ResizeModeArg::Border)]
    pub resize_mode: ResizeModeArg,
    /// Leave pictures that are smaller as they are
    #[arg(long)]
    pub resize_only_if_bigger: bool,
    /// Format of the stored pictures
    #[arg(long, value_enum, default_value_t = EncodeFormatArg::Jpg)]
    pub encode_format: EncodeFormatArg,
    /// Quality of jpg, 1 to 100 [default: 95], and webp, over 100 lossless [default: 95]; effort of png, 0 to 9 [default: 6]
    #[arg(long, value_name = "N")]
    pub encode_quality: Option<u8>,
    /// Keep the original bytes of pictures that need no resizing and have the format already
    #[arg(long)]
    pub skip_reencode: bool,
    /// Store every body as it came, undecoded
    #[arg(long)]
    pub disable_all_reencoding: bool,
    /// Skip pictures whose shorter side is smaller
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub min_image_size: u32,
    /// Skip pictures with more pixels
    #[arg(long, value_name = "PIXELS")]
    pub max_image_area: Option<u64>,
    /// Skip pictures whose longer side is more than this many times the shorter one
    #[arg(long, value_name = "RATIO")]
    pub max_aspect_ratio: Option<f64>,
    /// Rows of the list in one shard
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    pub number_sample_per_shard: usize,
    /// Digits of the shard's number in its name
    #[arg(long, value_name = "DIGITS", default_value_t = 5)]
    pub oom_shard_count: usize,
    /// Threads that decode and resize [default: one a core]
    #[arg(long, value_name = "N")]
    pub processes_count: Option<usize>,
    /// Downloads in flight
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub thread_count: usize,
    /// Downloads in flight from one host
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub max_connections_per_host: usize,
    /// Deadline of one URL, redirects and body included
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub timeout: f64,
    /// Largest body that is read
    #[arg(long, value_name = "BYTES", default_value_t = 50_000_000)]
    pub max_body_bytes: u64,
    /// Hash of the downloaded bytes to keep
    #[arg(long, value_enum, default_value_t = HashArg::Sha256)]
    pub compute_hash: HashArg,
    /// Leave the pictures' EXIF out of the metadata
    #[arg(long)]
    pub no_extract_exif: bool,
    /// Name in the user agent, for sites that want to know who asks
    #[arg(long, value_name = "TOKEN")]
    pub user_agent_token: Option<String>,
    /// X-Robots-Tag directives that forbid a picture; an empty value honours none
    #[arg(
        long,
        alias = "disallowed_header_directives",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "noai,noimageai,noindex,noimageindex,noml"
    )]
    pub disallowed_header_directives: Vec<String>,
    /// Let URLs lead to this machine and to private networks
    #[arg(long)]
    pub allow_private_addresses: bool,
    /// JSON Lines on standard output, ending in a summary
    #[arg(long)]
    pub json: bool,
}

/// `--resize-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ResizeModeArg {
    /// Fit into the square and fill it up with white
    Border,
    /// Shorter side to the size
    KeepRatio,
    /// Longer side to the size
    KeepRatioLargest,
    /// Shorter side to the size, then cut the middle
    CenterCrop,
    /// As it is
    No,
}

/// `--encode-format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EncodeFormatArg {
    /// JPEG, 4:2:0
    Jpg,
    /// PNG
    Png,
    /// WebP
    Webp,
}

/// `--compute-hash`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum HashArg {
    /// SHA-256
    Sha256,
    /// MD5
    Md5,
    /// No hash
    None,
}

const STATS_EXAMPLES: &str = "\
Examples:
  clipdata stats laion/part-00000.parquet
  clipdata stats shards/*.parquet --json | jq .data.rows";

/// `clipdata stats`.
#[derive(Debug, Args)]
#[command(after_help = STATS_EXAMPLES)]
pub struct Stats {
    /// Tables: .parquet, .csv or .tsv
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How many of the top hosts to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// One JSON line on standard output
    #[arg(long)]
    pub json: bool,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  clipdata serve photos --port 8765
  clipdata download list.tsv --allow-private-addresses     # in another terminal";

/// `clipdata serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct Serve {
    /// The folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8765)]
    pub port: u16,
}
