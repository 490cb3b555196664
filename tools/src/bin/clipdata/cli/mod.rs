//! The flags of `clipdata`, in img2dataset's words.

mod accepted;
mod contents;
mod input;
mod machine;
mod network;
mod output;
mod picture;
mod telling;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ingest::process::ProcessOptions;
use ingest::{DownloadConfig, RetryConfig};
use shards::store::Folder;

pub use self::accepted::Accepted;
pub use self::contents::{Bench, Cat, Head, Ls, ResizeMode};
pub use self::input::Input;
pub use self::machine::Machine;
pub use self::network::Network;
pub use self::output::Output;
pub use self::picture::Picture;
pub use self::telling::Telling;

/// Flags without a verb are img2dataset's, which has none.
pub fn is_without_verb(arguments: &[OsString]) -> bool {
    let is_flag = |argument: &OsString| argument.to_str().is_some_and(|text| text.starts_with("--"));
    let is_list = |argument: &OsString| argument.to_str().is_some_and(|text| text.starts_with("--url-list"));
    arguments.get(1).is_some_and(is_flag) && arguments.iter().any(is_list)
}

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
    /// Try failed rows of finished shards again, and merge them in
    Retry(Box<Retry>),
    /// Count all shards of a folder, and rewrite its sizes.json
    MergeStats(MergeStats),
    /// Describe tables of URLs and captions: sizes, lengths, scores, hosts
    Stats(Stats),
    /// List the samples of shards, and say which shards are whole
    Ls(Ls),
    /// List the first samples of shards
    Head(Head),
    /// Write one member of one sample to standard output
    Cat(Cat),
    /// Measure what this machine can load of some shards
    Bench(Bench),
    /// Serve a folder over HTTP on this machine only, to try things without a network
    Serve(Serve),
}

const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  clipdata download cc3m.tsv --output-folder cc3m --image-size 256
  clipdata download laion.parquet --output-folder laion --preset laion --resize-mode keep_ratio
  clipdata download urls.txt --output-folder images --json | tail -n 1
  clipdata download cc3m.tsv --output-folder cc3m --report cc3m.html --prometheus-file /var/lib/node_exporter/cc3m.prom

Beside each shard NNNNN.tar lie NNNNN.parquet (every row and what became of it) and NNNNN_stats.json;
sizes.json counts the samples of all shards. The same command again goes on where it stopped.
img2dataset's spelling of flags, --output_folder, works as well.
Exit codes: 0 done, 1 no row succeeded or the list is damaged, 2 wrong usage or failure, 130 interrupted.";

/// `clipdata download`.
#[derive(Debug, Args)]
#[command(after_help = DOWNLOAD_EXAMPLES)]
pub struct Download {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub picture: Picture,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub accepted: Accepted,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub telling: Telling,
}

impl Download {
    /// What the flags say.
    ///
    /// # Errors
    /// When a value is out of range.
    pub fn config(self) -> anyhow::Result<DownloadConfig> {
        self.accepted.check()?;
        self.machine.check()?;
        let (bodies, pictures) = self.machine.budgets(self.network.thread_count);
        Ok(DownloadConfig {
            input: self.input.options()?,
            fetch: self.network.options()?,
            process: ProcessOptions { decode_budget_bytes: pictures, ..self.picture.options()? },
            output: self.output.options()?,
            processes_count: self.machine.processes_count.unwrap_or(0),
            memory_budget_bytes: bodies,
        })
    }
}

const RETRY_EXAMPLES: &str = "\
Examples:
  clipdata retry laion --timeout 30
  clipdata retry laion --kinds timeout,connect,http_429,http_503

Rows keep their keys and places; a shard is replaced once it is whole again. Kinds are those of the summary and of the
column error_kind; http_status stands for every HTTP status.";

/// `clipdata retry`.
#[derive(Debug, Args)]
#[command(after_help = RETRY_EXAMPLES)]
pub struct Retry {
    /// The output folder of a download
    #[arg(value_name = "DIR")]
    pub folder: String,
    /// Kinds of failures to try again [default: all]
    #[arg(long, value_name = "KINDS")]
    pub kinds: Option<String>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub machine: Machine,
    #[command(flatten)]
    pub telling: Telling,
}

impl Retry {
    /// What the flags say.
    ///
    /// # Errors
    /// When a value is out of range.
    pub fn config(self) -> anyhow::Result<RetryConfig> {
        self.machine.check()?;
        let (bodies, pictures) = self.machine.budgets(self.network.thread_count);
        Ok(RetryConfig {
            folder: Folder::parse(&self.folder)?,
            kinds: values::list(&self.kinds.unwrap_or_default()),
            fetch: self.network.options()?,
            processes_count: self.machine.processes_count.unwrap_or(0),
            memory_budget_bytes: bodies,
            decode_budget_bytes: pictures,
        })
    }
}

const MERGE_STATS_EXAMPLES: &str = "\
Examples:
  clipdata merge-stats laion
  clipdata merge-stats s3://bucket/laion --json | jq .data.successes

Exit codes: 0 all shards are there, 1 some are missing or damaged, or no run, on whichever machine, has read the list to its
end yet, so that it is not known how many there have to be; 2 failure. Of folders of img2dataset that is never known, and is
no reason for 1.";

/// `clipdata merge-stats`.
#[derive(Debug, Args)]
#[command(after_help = MERGE_STATS_EXAMPLES)]
pub struct MergeStats {
    /// The output folder of one or more downloads
    #[arg(value_name = "DIR")]
    pub folder: String,
    /// One JSON line on standard output
    #[arg(long)]
    pub json: bool,
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
