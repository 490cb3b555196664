//! `cliptrain`: trains CLIP and evaluates it.

mod advice;
mod arguments;
mod cli;
mod demo;
mod embed;
mod encode;
mod evaluate;
mod finetune;
mod interpolate;
mod launch;
mod models;
mod params;
mod plot;
mod processes;
mod remote;
mod resume;
mod run_folder;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use tools::exit::{self, Outcome};

/// `--debug`: what this program does, not what its network stack does.
const DEBUG: &str = "warn,loader=debug,model=debug,shards=debug,trainer=debug,tools=debug";

fn main() -> ExitCode {
    let debug = std::env::args_os().any(|argument| argument == "--debug");
    exit::start_logging_at(if debug { DEBUG } else { "warn" });
    exit::finish(exit::guarded(run).map_err(advice::advised))
}

fn run() -> anyhow::Result<Outcome> {
    let mut command = cli::Cli::command();
    command.build();
    let matches = command.clone().get_matches_from(arguments::expanded(&command, std::env::args_os())?);
    let arguments = cli::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match &arguments.verb {
        Some(cli::Verb::Demo(demo)) => demo::run(demo),
        Some(cli::Verb::Models(models)) => models::run(models),
        Some(cli::Verb::Encode(encode)) => encode::run(encode),
        Some(cli::Verb::Embed(embed)) => embed::run(embed),
        Some(cli::Verb::Finetune(finetune)) => {
            let own = command.find_subcommand("finetune").zip(matches.subcommand_matches("finetune"));
            finetune::run(finetune, &own.map(|(command, matches)| params::of(command, matches)).unwrap_or_default())
        }
        Some(cli::Verb::Interpolate(interpolate)) => interpolate::run(interpolate),
        Some(cli::Verb::Plot(plot)) => plot::run(plot),
        None => train::run(&arguments.train, &params::of(&command, &matches)),
    }
}
