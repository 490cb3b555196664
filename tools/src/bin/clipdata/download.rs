//! `clipdata download`: the run as people and machines see it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use ingest::{DownloadReport, StopToken};
use serde_json::json;
use shards::Error as ShardError;
use shards::store::Folder;
use tools::exit::{self, Hint, Outcome};
use tools::{json, out, terminal};

use crate::cli::{Download, Retry, Telling};
use crate::page::{self, Page};
use crate::summary;
use crate::watch::{Tally, Teller, Watch};

/// Runs the download and prints its summary.
pub fn run(arguments: Download) -> anyhow::Result<Outcome> {
    let telling = arguments.telling.clone();
    telling.check()?;
    let config = arguments.config()?;
    if config.output.world_size > 1 {
        let (rank, world_size) = (config.output.rank, config.output.world_size);
        tools::note!("this is machine {rank} of {world_size}, counted from 0, and makes its share of the shards");
    }
    let context = || format!("cannot download `{}`", config.input.url_list.display());
    let observed =
        observed(&telling, |watch, stop| ingest::download(&config, watch, stop).map_err(explained), context)?;
    let Some((report, watch)) = observed else { return Ok(Outcome::Interrupted) };
    tell(Page::Download, &report, &watch, &config.output.output_folder, &telling)?;
    Ok(outcome(&report))
}

/// Tries failed rows again, and prints what came of their shards.
pub fn retry(arguments: Retry) -> anyhow::Result<Outcome> {
    let telling = arguments.telling.clone();
    telling.check()?;
    let config = arguments.config()?;
    let folder = &config.folder;
    check_there(folder)?;
    let context = || format!("cannot retry `{folder}`");
    let observed = observed(&telling, |watch, stop| ingest::retry(&config, watch, stop).map_err(explained), context)?;
    let Some((report, watch)) = observed else { return Ok(Outcome::Interrupted) };
    if report.shards == 0 && !report.interrupted && !telling.json {
        let which = if config.kinds.is_empty() { "" } else { " of these kinds" };
        out::line(&format!("`{folder}` has no failed rows{which}"))?;
        return Ok(Outcome::Done);
    }
    if !telling.json {
        out::text(&summary::of_retry(&report))?;
    }
    tell(Page::Retry, &report, &watch, folder, &telling)?;
    Ok(if report.interrupted { Outcome::Interrupted } else { Outcome::Done })
}

/// Refuses a folder of this machine that is not there.
///
/// # Errors
/// Names it.
pub fn check_there(folder: &Folder) -> anyhow::Result<()> {
    match folder.local_path() {
        Some(path) if !path.is_dir() => bail!("there is no folder `{folder}`"),
        _ => Ok(()),
    }
}

/// Runs something with its progress shown, until it ends or is interrupted; `None` where an interruption made it fail,
/// which is told.
fn observed(
    telling: &Telling,
    run: impl FnOnce(Arc<Watch>, &StopToken) -> anyhow::Result<DownloadReport>,
    context: impl FnOnce() -> String,
) -> anyhow::Result<Option<(DownloadReport, Arc<Watch>)>> {
    let stop = StopToken::new();
    let (watch, teller) = Teller::start(telling).context("cannot show progress")?;
    let (stopper, stopped) = (stop.clone(), Arc::clone(&watch));
    let interrupted = move || {
        stopped.stopping();
        stopper.stop();
        shards::store::hurry();
        shards::store::end_commands();
        give_up_later();
    };
    terminal::on_interrupt(interrupted).context("cannot watch for Ctrl-C")?;
    let result = run(Arc::clone(&watch), &stop);
    teller.finish();
    match result.with_context(context) {
        Ok(report) => Ok(Some((report, watch))),
        Err(error) if stop.is_stopped() => {
            out::tell(&exit::describe(&error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How long a run that is told to stop may take: more than the last answers of S3.
const GRACE: Duration = Duration::from_secs(15);

/// Ends the process when a list or a place that never answers keeps it from stopping. Nothing unsealed is visible.
#[expect(clippy::exit, reason = "a thread that waits for a pipe cannot be woken")]
fn give_up_later() {
    std::thread::spawn(|| {
        std::thread::sleep(GRACE);
        tools::note!("stopped without waiting any longer for what does not answer");
        std::process::exit(130);
    });
}

/// Says what to do about an error, where something can be done.
fn explained(error: ingest::Error) -> anyhow::Error {
    match advice(&error) {
        Some(advice) => anyhow::Error::new(error).context(Hint(advice)),
        None => error.into(),
    }
}

fn advice(error: &ingest::Error) -> Option<String> {
    use ingest::Error::{Disagree, MissingColumn, NoManifest, OtherOptions, OtherPlan, OtherRows, Shard, Table};
    const CHANGED: &str = "go on with the same list, or start in another --output-folder; --incremental-mode overwrite \
                           deletes these shards, extend puts the whole list behind them";
    let is_manifest = |path: &Path| path.ends_with("manifest.json");
    Some(match error {
        OtherOptions { .. } => "go on with the same options, or start in another --output-folder; \
                                --incremental-mode overwrite deletes these shards"
            .to_owned(),
        OtherPlan { shard, expected, found } if expected > found => format!(
            "where the list has only grown, remove shard {shard} (its _stats.json is enough) and the same command goes on with \
             the new rows; otherwise {CHANGED}"
        ),
        OtherRows { .. } | OtherPlan { .. } => CHANGED.to_owned(),
        MissingColumn { available, .. } if available.contains(';') && !available.contains(',') => {
            "cells of a csv are separated by commas, those of a tsv by tabs".to_owned()
        }
        MissingColumn { .. } => {
            "--url-col names the column that holds the URL, --caption-col that of the caption".to_owned()
        }
        Table { path, .. } | Shard(ShardError::Table { path, .. }) if is_manifest(path) => {
            "it says how the shards beside it were made; where it is removed, the same command writes it anew"
                .to_owned()
        }
        Table { .. } | Disagree { .. } | Shard(ShardError::Table { .. }) => {
            "a shard was damaged after it was written: the `clipdata download` that made it makes such shards again"
                .to_owned()
        }
        NoManifest { .. } => "only folders that `clipdata download` wrote can be retried".to_owned(),
        _ => return None,
    })
}

fn tell(what: Page, report: &DownloadReport, watch: &Watch, folder: &Folder, telling: &Telling) -> anyhow::Result<()> {
    let tally = watch.tally();
    match telling.json {
        true => json::line("summary", &with_rates(report)?)?,
        false => out::text(&summary::text(report, &tally, &folder.to_string()))?,
    }
    if let Some(file) = &telling.report {
        page::write(file, what, report, &tally, folder)?;
        if !telling.json {
            out::line(&format!("to look at: {}", file.display()))?;
        }
    }
    if let Some(hint) = hint(report, &tally, folder) {
        tools::note!("hint: {hint}");
    }
    Ok(())
}

/// The report, and the rates that follow from it.
fn with_rates(report: &DownloadReport) -> anyhow::Result<serde_json::Value> {
    let mut summary = serde_json::to_value(report)?;
    summary["bytes_per_second"] = json!(summary::bytes_per_second(report));
    Ok(summary)
}

/// What to try where nearly everything failed in the same way.
fn hint(report: &DownloadReport, tally: &Tally, folder: &Folder) -> Option<String> {
    if report.shards_in_list == Some(0) {
        return Some("the list has no rows".to_owned());
    }
    let (kind, count) = report.failures_by_kind.iter().max_by_key(|(_, count)| **count)?;
    match kind.as_str() {
        _ if count * 2 < report.count => None,
        "forbidden_address" => Some(format!(
            "--allow-private-addresses lets URLs lead to this machine and to private networks; \
             `clipdata retry {folder} --allow-private-addresses` tries these rows again"
        )),
        "dns" | "connect" => Some("is this machine on the network? proxies are not used".to_owned()),
        "timeout" => Some("a larger --timeout or a smaller --thread-count may help".to_owned()),
        "bad_url" | "scheme" => Some(
            "--url-col names the column that holds the URL, --preset the columns of a known data set; --input-format is \
             told by the list's name unless given"
                .to_owned(),
        ),
        "bad_row" => tally.kinds.get(kind).map(|failures| format!("the first of them: {}", failures.message)),
        _ => None,
    }
}

fn outcome(report: &DownloadReport) -> Outcome {
    match report {
        _ if report.interrupted => Outcome::Interrupted,
        // All is left to other runs and other machines.
        _ if report.count == 0 && report.shards_in_list.is_some_and(|shards| shards > 0) => Outcome::Done,
        _ if report.successes == 0 || report.cut_lists > 0 => Outcome::BadData,
        _ => Outcome::Done,
    }
}
