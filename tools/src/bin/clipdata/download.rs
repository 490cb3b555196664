//! `clipdata download`: the run as people and machines see it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::ProgressBar;
use ingest::{DownloadReport, Observer, RowEnd, SealedShard, StopToken};
use tools::exit::{Hint, Outcome};
use tools::{human, json, terminal};

use crate::cli::{Download, Retry};

/// Runs the download and prints its summary.
pub fn run(arguments: Download) -> anyhow::Result<Outcome> {
    let as_json = arguments.machine.json;
    let config = arguments.config()?;
    let output_folder = config.output.output_folder.to_string();
    let report = observed(as_json, |progress, stop| ingest::download(&config, progress, stop));
    let report = report.with_context(|| format!("cannot download `{}`", config.input.url_list.display()))?;
    tell(&report, &output_folder, as_json)?;
    Ok(outcome(&report))
}

/// Tries failed rows again, and prints what came of their shards.
pub fn retry(arguments: Retry) -> anyhow::Result<Outcome> {
    let as_json = arguments.machine.json;
    let config = arguments.config()?;
    let folder = config.folder.to_string();
    let report = observed(as_json, |progress, stop| ingest::retry(&config, progress, stop));
    let report = report.with_context(|| format!("cannot retry `{folder}`"))?;
    if report.shards == 0 && !report.interrupted && !as_json {
        println!("`{folder}` has no failed rows of these kinds");
        return Ok(Outcome::Done);
    }
    tell(&report, &folder, as_json)?;
    Ok(if report.interrupted { Outcome::Interrupted } else { Outcome::Done })
}

/// Runs something with its progress shown, until it ends or is interrupted.
fn observed(
    as_json: bool,
    run: impl FnOnce(Arc<Progress>, &StopToken) -> ingest::Result<DownloadReport>,
) -> anyhow::Result<DownloadReport> {
    let stop = StopToken::new();
    let stopper = stop.clone();
    let interrupted = move || {
        stopper.stop();
        shards::store::hurry();
    };
    terminal::on_interrupt(interrupted).context("cannot watch for Ctrl-C")?;
    let progress = Arc::new(Progress::start(as_json));
    let result = run(progress.clone(), &stop);
    progress.finish();
    result.map_err(explained)
}

/// Says what to do about an error, where something can be done.
fn explained(error: ingest::Error) -> anyhow::Error {
    let hint = match &error {
        ingest::Error::OtherOptions { .. } | ingest::Error::OtherRows { .. } | ingest::Error::OtherPlan { .. } => {
            "go on with the same list and options, or start in another --output-folder; \
             --incremental-mode overwrite deletes these shards, extend puts the list behind them"
        }
        ingest::Error::NoManifest { .. } => "only folders that `clipdata download` wrote can be retried",
        _ => return error.into(),
    };
    anyhow::Error::new(error).context(Hint(hint.to_owned()))
}

fn tell(report: &DownloadReport, output_folder: &str, as_json: bool) -> anyhow::Result<()> {
    match as_json {
        true => json::line("summary", report)?,
        false => print!("{}", summary(report, output_folder)),
    }
    if let Some(hint) = hint(report) {
        eprintln!("hint: {hint}");
    }
    Ok(())
}

/// What to try where nearly everything failed in the same way.
fn hint(report: &DownloadReport) -> Option<&'static str> {
    if report.count == 0 && report.shards_elsewhere == 0 && !report.interrupted {
        return Some("the list has no rows");
    }
    let (kind, count) = report.failures_by_kind.iter().max_by_key(|(_, count)| **count)?;
    match kind.as_str() {
        _ if count * 2 < report.count => None,
        "forbidden_address" => Some(
            "--allow-private-addresses lets URLs lead to this machine and to private networks; start in another --output-folder",
        ),
        "dns" | "connect" => Some("is this machine on the network? proxies are not used"),
        "timeout" => Some("a larger --timeout or a smaller --thread-count may help"),
        "bad_row" | "bad_url" | "scheme" => Some("--url-col names the column that holds the URL"),
        _ => None,
    }
}

fn outcome(report: &DownloadReport) -> Outcome {
    match report {
        _ if report.interrupted => Outcome::Interrupted,
        _ if report.count == 0 && report.shards_elsewhere > 0 => Outcome::Done,
        _ if report.successes == 0 => Outcome::BadData,
        _ => Outcome::Done,
    }
}

/// The table at the end of a run.
fn summary(report: &DownloadReport, output_folder: &str) -> String {
    let mut text = String::new();
    let mut row = |name: &str, count: u64| {
        text.push_str(&format!(
            "  {name:<22}{:>12}{:>9}\n",
            human::thousands(count),
            human::percent(count, report.count)
        ));
    };
    row("rows", report.count);
    row("successes", report.successes);
    row("failed to download", report.failed_to_download);
    row("failed to resize", report.failed_to_resize);
    let kinds: BTreeMap<_, _> = report.failures_by_kind.iter().filter(|(_, count)| **count > 0).collect();
    if !kinds.is_empty() {
        text.push_str("failures\n");
        for (kind, count) in kinds {
            text.push_str(&format!(
                "  {kind:<22}{:>12}{:>9}\n",
                human::thousands(*count),
                human::percent(*count, report.count)
            ));
        }
    }
    if report.shards_already_done > 0 {
        let (shards, rows) = (report.shards_already_done, human::thousands(report.rows_already_done));
        text.push_str(&format!(
            "of these, {} with {rows} rows: done before, kept as they are (another --output-folder starts anew)\n",
            human::counted(shards, "shard")
        ));
    }
    if report.shards_elsewhere > 0 {
        let shards = human::counted(report.shards_elsewhere, "shard");
        text.push_str(&format!("{shards} left to another run that is at work in this folder\n"));
    }
    text.push_str(&format!(
        "{} in `{output_folder}`, {} downloaded in {}, {:.0} images/s\n",
        human::counted(report.shards, "shard"),
        human::bytes(report.bytes_downloaded),
        human::duration(Duration::from_secs_f64(report.seconds)),
        report.images_per_second,
    ));
    text
}

/// Counts rows as they end, and tells people or machines of it.
struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    rows: AtomicU64,
    successes: AtomicU64,
    last_line: Mutex<Instant>,
    as_json: bool,
}

impl Progress {
    const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

    fn start(as_json: bool) -> Self {
        let bar = (!as_json).then(terminal::live_line);
        let now = Instant::now();
        Self { bar, started: now, rows: 0.into(), successes: 0.into(), last_line: Mutex::new(now), as_json }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn message(&self) -> String {
        let rows = self.rows.load(Ordering::Relaxed);
        let successes = self.successes.load(Ordering::Relaxed);
        let rate = rows as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let share = human::percent(successes, rows);
        format!("{} rows, {share} success, {rate:.0} rows/s", human::thousands(rows))
    }

    /// Where no live line can be drawn, a plain one every few seconds.
    fn plain_line(&self) {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= Self::PLAIN_LINE_EVERY {
            *last = Instant::now();
            eprintln!("{}", self.message());
        }
    }
}

impl Observer for Progress {
    fn row_finished(&self, row: &RowEnd<'_>) {
        let rows = self.rows.fetch_add(1, Ordering::Relaxed) + 1;
        if row.kind.is_none() {
            self.successes.fetch_add(1, Ordering::Relaxed);
        }
        if !rows.is_multiple_of(16) {
            return;
        }
        match &self.bar {
            Some(bar) if !bar.is_hidden() => bar.set_message(self.message()),
            _ => self.plain_line(),
        }
    }

    fn shard_sealed(&self, shard: &SealedShard) {
        if self.as_json {
            // A closed pipe ends the reader's interest, not the download.
            let _ = json::line("shard", &serde_json::json!({ "name": shard.name, "stats": shard.summary }));
        }
    }
}
