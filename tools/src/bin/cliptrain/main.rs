//! `cliptrain`: trains CLIP and evaluates it.

mod cli;
mod demo;
mod embed;
mod encode;
mod models;
mod train;

use std::process::ExitCode;

use clap::Parser;
use tools::{exit, spelling};

fn main() -> ExitCode {
    exit::start_logging();
    let arguments = cli::Cli::parse_from(spelling::arguments());
    exit::finish(exit::guarded(|| match &arguments.verb {
        Some(cli::Verb::Demo(demo)) => demo::run(demo),
        Some(cli::Verb::Models(models)) => models::run(models),
        Some(cli::Verb::Encode(encode)) => encode::run(encode),
        Some(cli::Verb::Embed(embed)) => embed::run(embed),
        None => train::run(&arguments.train),
    }))
}
