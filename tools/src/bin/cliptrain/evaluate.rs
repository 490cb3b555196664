//! A bare `cliptrain` without training data: the evaluation of given weights.

use anyhow::Context;
use tools::exit::Outcome;
use tools::{human, json, out, training, zoo};
use trainer::evaluate::{Due, Evaluated, Suite, ZeroShotReport};

use crate::cli::Train;
use crate::resume::{self, Scratch};
use crate::run_folder;
use crate::train::model;

/// Evaluates, and says what was found.
pub fn run(arguments: &Train, suite: &Suite) -> anyhow::Result<Outcome> {
    resume::check(arguments.output.resume.as_deref())?;
    let scratch = Scratch::new();
    let named = run_folder::of_name(arguments);
    let from = resume::find(arguments, named.as_deref(), scratch.path())?;
    let hub = zoo::hub_in(arguments.architecture.cache_dir.as_deref());
    let mut clip = model(arguments, &from, &hub)?;
    let _ = arguments.architecture.apply(&mut clip)?;
    let tokenizer = training::tokenizer(&clip, &hub)?;
    let stop = training::stop_on_interrupt()?;
    let found = match suite.run(&clip, &tokenizer, from.epochs()?, Due::ALL, &stop) {
        Err(trainer::Error::Interrupted) => return Ok(Outcome::Interrupted),
        found => found?,
    };
    if let Some(run) = named {
        let folder = run.join("checkpoints");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        found.metrics.append_to(&folder.join("results.jsonl"))?;
    }
    if arguments.output.json {
        let metrics = found.metrics.entries();
        let summary = serde_json::json!({ "zero_shot": found.zero_shot, "val": found.pairs, "metrics": metrics });
        json::line("summary", &summary)?;
        return Ok(Outcome::Done);
    }
    for report in &found.zero_shot {
        out::line(&score_line(report))?;
    }
    out::text(&other_lines(&found))?;
    Ok(Outcome::Done)
}

/// What is known beside accuracies: loss, retrieval, robustness.
fn other_lines(found: &Evaluated) -> String {
    let of_report = |name: &str| found.zero_shot.iter().any(|report| name.starts_with(&format!("{}-", report.name)));
    let others = found.metrics.entries().iter().filter(|(name, _)| *name != "epoch" && !of_report(name));
    others
        .map(|(name, value)| {
            format!(
                "{name}: {}\n",
                value.as_f64().filter(|_| value.is_f64()).map_or(value.to_string(), |v| format!("{v:.4}"))
            )
        })
        .collect()
}

fn score_line(report: &ZeroShotReport) -> String {
    let left_out = match report.unreadable {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    let (name, pictures) = (&report.name, human::counted(report.samples, "picture"));
    format!("{name}-top1: {:.4}\t{name}-top5: {:.4}\t({pictures}{left_out})", report.top1, report.top5)
}
