//! `cliptrain`: trains CLIP and evaluates it.

mod cli;
mod demo;
mod embed;
mod encode;
mod finetune;
mod interpolate;
mod models;
mod plot;
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
        Some(cli::Verb::Finetune(finetune)) => finetune::run(finetune),
        Some(cli::Verb::Interpolate(interpolate)) => interpolate::run(interpolate),
        Some(cli::Verb::Plot(plot)) => plot::run(plot),
        None => train::run(&arguments.train),
    }))
}
