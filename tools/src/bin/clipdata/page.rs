//! `--report`: what a run came to, as a page to look at.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ingest::DownloadReport;
use shards::store::Folder;
use tools::human;
use tools::report::download::{DownloadPage, HostLine, Kind, render};
use tools::report::{Fact, Headline};

use crate::watch::{Failures, HostCounts, Tally};
use crate::{pictures, summary};

/// Hosts in each table.
const HOSTS: usize = 10;

/// Characters of the command on the page.
const MAX_COMMAND_CHARS: usize = 1000;

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A download.
    Download,
    /// Failed rows, tried again.
    Retry,
}

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, what: Page, report: &DownloadReport, tally: &Tally, folder: &Folder) -> anyhow::Result<()> {
    std::fs::write(file, render(&page(what, report, tally, folder)))
        .with_context(|| format!("cannot write the report `{}`", file.display()))
}

fn page(what: Page, report: &DownloadReport, tally: &Tally, folder: &Folder) -> DownloadPage {
    let name = folder.to_string();
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let end = if report.interrupted { "interrupted, " } else { "" };
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let (year, month, day) = human::civil_date(now / 86_400);
    let clock = format!("{:02}:{:02} UTC", now / 3600 % 24, now / 60 % 60);
    DownloadPage {
        title: match what {
            Page::Download => format!("Download into {last}"),
            Page::Retry => format!("Retry of {last}"),
        },
        rows: match what {
            Page::Download => "Every row of the list, and how it ended.",
            Page::Retry => {
                "Every row of the shards with rows that were tried again, and how it ended; hosts are of these rows."
            }
        }
        .to_owned(),
        summary: format!("In {name}; {end}finished {year}-{month:02}-{day:02} {clock}."),
        command: command(),
        headlines: headlines(report),
        successes: report.successes,
        kinds: kinds(&report.failures_by_kind, &tally.kinds),
        facts: facts(report),
        sides: [tally.widths.clone(), tally.heights.clone()],
        sizes: tally.sizes.clone(),
        times: tally.times.clone(),
        failing: tally.hosts.failing(HOSTS).into_iter().map(host_line).collect(),
        slowest: tally.hosts.slowest(HOSTS).into_iter().map(host_line).collect(),
        samples: pictures::some(folder),
    }
}

fn command() -> String {
    let words: Vec<_> = std::env::args().skip(1).collect();
    format!("clipdata {}", words.join(" ")).chars().take(MAX_COMMAND_CHARS).collect()
}

fn headlines(report: &DownloadReport) -> Vec<Headline> {
    let headline = |value: String, label: &str, detail: String| Headline { value, label: label.to_owned(), detail };
    let shards = human::counted(report.shards, "shard");
    let per_second = summary::bytes_per_second(report) as u64;
    vec![
        headline(human::thousands(report.count), "rows", shards),
        headline(human::percent(report.successes, report.count), "success", human::counted(report.successes, "sample")),
        headline(format!("{:.0}", report.images_per_second), "images/s", "mean of this run".to_owned()),
        headline(human::bytes(per_second), "a second", format!("{} in all", human::bytes(report.bytes_downloaded))),
        headline(human::duration(Duration::from_secs_f64(report.seconds)), "duration", String::new()),
    ]
}

/// Kinds of all shards, those of earlier runs included, with what this run saw of them.
fn kinds(counts: &BTreeMap<String, u64>, seen: &BTreeMap<String, Failures>) -> Vec<Kind> {
    let kind = |(name, count): (&String, &u64)| {
        let seen = seen.get(name).cloned().unwrap_or_default();
        let Failures { after_download, url, message, .. } = seen;
        Kind { name: name.clone(), after_download, count: *count, url, message }
    };
    let mut kinds: Vec<Kind> = counts.iter().filter(|(_, count)| **count > 0).map(kind).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds
}

fn facts(report: &DownloadReport) -> Vec<Fact> {
    let facts = [
        ("failed to download", report.failed_to_download),
        ("failed to resize", report.failed_to_resize),
        ("shards done before", report.shards_already_done),
        ("rows of those", report.rows_already_done),
        ("shards left to other runs", report.shards_elsewhere),
        ("rows not in UTF-8", report.invalid_utf8_rows),
    ];
    facts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| Fact::new(name, human::thousands(count)))
        .collect()
}

fn host_line((name, counts): (String, HostCounts)) -> HostLine {
    HostLine { name, rows: counts.rows, failures: counts.failures, mean: mean(counts.mean()) }
}

/// Most hosts answer within a fraction of a second.
fn mean(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{} ms", time.as_millis()) } else { human::duration(time) }
}
