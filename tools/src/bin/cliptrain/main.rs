//! `cliptrain`: trains CLIP and evaluates it.

mod cli;
mod demo;
mod train;

use std::process::ExitCode;

use clap::Parser;
use tools::{exit, spelling};

fn main() -> ExitCode {
    exit::start_logging();
    let arguments = cli::Cli::parse_from(spelling::arguments());
    exit::finish(exit::guarded(|| match &arguments.verb {
        Some(cli::Verb::Demo(demo)) => demo::run(demo),
        None => train::run(&arguments.train),
    }))
}
