//! `clipdata`: builds image-text data sets.

mod bench;
mod cli;
mod contents;
mod download;
mod merge_stats;
mod page;
mod pictures;
mod serve;
mod stats;
mod summary;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use tools::{exit, memory, spelling};

fn main() -> ExitCode {
    memory::give_back_large_buffers();
    exit::start_logging();
    let mut arguments = spelling::arguments();
    if cli::is_without_verb(&arguments) {
        arguments.insert(1, "download".into());
    }
    let verb = cli::Cli::parse_from(arguments).verb;
    exit::finish(exit::guarded(|| match verb {
        cli::Verb::Download(arguments) => download::run(*arguments),
        cli::Verb::Retry(arguments) => download::retry(*arguments),
        cli::Verb::MergeStats(arguments) => merge_stats::run(&arguments),
        cli::Verb::Stats(arguments) => stats::run(&arguments),
        cli::Verb::Ls(arguments) => contents::ls(&arguments),
        cli::Verb::Head(arguments) => contents::head(&arguments),
        cli::Verb::Cat(arguments) => contents::cat(&arguments),
        cli::Verb::Bench(arguments) => bench::run(&arguments),
        cli::Verb::Serve(arguments) => serve::run(&arguments),
    }))
}
