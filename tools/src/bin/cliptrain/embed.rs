//! `cliptrain embed`: embeddings of a data set, part by part.

use anyhow::Context;
use model::Device;
use shards::store::Folder;
use tools::embed::{self, Options, Parts};
use tools::exit::Outcome;
use tools::{human, json, training, zoo};
use trainer::zoo::open;

use crate::cli::zoo::Embed;

/// Embeds what is not embedded yet, and says what was met.
pub fn run(arguments: &Embed) -> anyhow::Result<Outcome> {
    let choice = &arguments.choice;
    let pretrained = choice.pretrained.as_deref();
    let pretrained = pretrained.context("--pretrained: embeddings of weights that nobody trained mean nothing")?;
    let parts = Parts::of(&arguments.spec).context("SPEC")?;
    choice.forced.check()?;
    let wanted = zoo::wanted(choice.name(), Some(pretrained), (&choice.forced).into(), 0);
    let ready = open(&wanted, &zoo::hub(), &Device::Cpu)?;
    let output = Folder::parse(&arguments.output).context("--output")?;
    let manifest = serde_json::json!({
        "version": 1,
        "data": arguments.spec,
        "model": choice.name().as_str(),
        "pretrained": pretrained,
        "embed_dim": ready.clip.config().embed_dim,
        "image_size": ready.clip.config().vision_cfg.image_size,
        "context_length": ready.clip.config().text_cfg.context_length,
    });
    let stop = training::stop_on_interrupt()?;
    let (batch_size, workers) = (arguments.batch_size, arguments.workers.max(1));
    let options = Options { output: &output, batch_size, workers, stop: &stop };
    let mut tell = |name: &str, report: &embed::Report| {
        eprintln!("{name}: {} so far", human::counted(report.embedded, "row"));
    };
    let report = embed::run(&ready, &parts, &manifest, &options, &mut tell)?;
    match arguments.json {
        true => json::line("summary", &report)?,
        false => println!("{}", told(&report)),
    }
    Ok(match report {
        embed::Report { interrupted: true, .. } => Outcome::Interrupted,
        embed::Report { incomplete_shards: 0, .. } => Outcome::Done,
        _ => Outcome::BadData,
    })
}

fn told(report: &embed::Report) -> String {
    let mut told = format!(
        "{} in {}, {} from before",
        human::counted(report.embedded, "row"),
        human::counted(report.parts, "part"),
        human::thousands(report.parts_before)
    );
    for (count, what) in [
        (report.without_caption, "without a caption"),
        (report.without_picture, "left out: no picture"),
        (report.undecodable, "left out: not decodable"),
        (report.incomplete_shards, "shards cut off"),
    ] {
        if count > 0 {
            told.push_str(&format!("; {} {what}", human::thousands(count)));
        }
    }
    told
}
