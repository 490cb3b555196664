//! `cliptrain embed`: embeddings of a data set, part by part.

use anyhow::Context;
use loader::MissingEnd;
use model::Device;
use model::config::ClipConfig;
use shards::store::Folder;
use tools::embed::{self, Manifest, Options, Parts};
use tools::exit::Outcome;
use tools::{human, json, out, training, zoo};
use trainer::zoo::{name_of, open};

use crate::cli::zoo::{Embed, ModelChoice};

/// Embeds what is not embedded yet, and says what was met.
pub fn run(arguments: &Embed) -> anyhow::Result<Outcome> {
    let choice = &arguments.choice;
    let pretrained = choice.weights();
    let pretrained = pretrained.context("--pretrained: embeddings of weights that nobody trained mean nothing")?;
    let parts = Parts::of(&arguments.spec).context("SPEC")?;
    choice.forced.check()?;
    let wanted = zoo::wanted(choice.name(), choice.pretrained.as_deref(), (&choice.forced).into(), 0);
    let ready = open(&wanted, &zoo::hub(), &Device::Cpu)?;
    let output = Folder::parse(&arguments.output).context("--output")?;
    let manifest = Manifest {
        model: called(choice, ready.clip.config()),
        pretrained: pretrained.to_owned(),
        fingerprint: trainer::fingerprint(&ready.clip)?,
        embed_dim: ready.clip.config().embed_dim,
        folder: parts.folder(),
    };
    let stop = training::stop_on_interrupt()?;
    let (batch_size, workers) = (arguments.batch_size, arguments.workers.max(1));
    let missing_end = if arguments.accept_missing_end { MissingEnd::IsAccepted } else { MissingEnd::IsACut };
    let options = Options { output: &output, batch_size, workers, missing_end, stop: &stop };
    let mut tell = |name: &str, report: &embed::Report| {
        tools::note!("{}: {} so far", out::visible(name), human::counted(report.embedded, "row"));
    };
    let report = embed::run(&ready, &parts, &manifest, &options, &mut tell)?;
    match arguments.json {
        true => json::line("summary", &report)?,
        false => out::line(&told(&report))?,
    }
    Ok(match report {
        embed::Report { interrupted: true, .. } => Outcome::Interrupted,
        embed::Report { incomplete_shards: 0, .. } => Outcome::Done,
        _ => Outcome::BadData,
    })
}

/// The preset, or the name that was given to another configuration.
fn called(choice: &ModelChoice, config: &ClipConfig) -> String {
    let preset = name_of(config).map(str::to_owned);
    preset.or_else(|| choice.model.clone()).unwrap_or_else(|| "of its own configuration".to_owned())
}

fn told(report: &embed::Report) -> String {
    let [rows, before] = [report.embedded, report.rows_before].map(|rows| human::counted(rows, "row"));
    let [parts, parts_before] = [report.parts, report.parts_before].map(|parts| human::counted(parts, "part"));
    let mut told = format!("{rows} in {parts}");
    if report.parts_before > 0 {
        told.push_str(&format!("; {before} in {parts_before} from before"));
    }
    for (count, one, several) in [
        (
            report.parts_again,
            "part made again, for its source has changed",
            "parts made again, for their sources have changed",
        ),
        (report.without_caption, "row without a caption", "rows without a caption"),
        (report.without_picture, "sample left out: no picture", "samples left out: no picture"),
        (report.undecodable, "sample left out: not decodable", "samples left out: not decodable"),
        (report.members_left_out, "member of no sample", "members of no sample"),
        (report.incomplete_shards, "shard not whole", "shards not whole"),
    ] {
        if count > 0 {
            let what = if count == 1 { one } else { several };
            told.push_str(&format!("; {} {what}", human::thousands(count)));
        }
    }
    told
}
