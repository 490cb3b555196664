//! The table at the end of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use ingest::DownloadReport;
use tools::human;

use crate::watch::{HostCounts, Tally};

/// Hosts that are listed.
const HOSTS: usize = 5;

/// Counts, failures by kind, hosts where something failed, and what the run took.
pub fn text(report: &DownloadReport, tally: &Tally, output_folder: &str) -> String {
    let mut text = counts(report);
    if report.successes < report.count {
        text.push_str(&failing(&tally.hosts.failing(HOSTS)));
        text.push_str(&slowest(&tally.hosts.slowest(HOSTS)));
    }
    text.push_str(&earlier(report));
    text.push_str(&of_the_list(report));
    text.push_str(&interrupted(report, tally));
    text.push_str(&format!(
        "{} in `{output_folder}`, {} downloaded in {}, {:.0} images/s, {}/s\n",
        human::counted(report.shards, "shard"),
        human::bytes(report.bytes_downloaded),
        human::duration(Duration::from_secs_f64(report.seconds)),
        report.images_per_second,
        human::bytes(bytes_per_second(report) as u64),
    ));
    text
}

/// Bytes of bodies by second, over the whole run.
pub fn bytes_per_second(report: &DownloadReport) -> f64 {
    report.bytes_downloaded as f64 / report.seconds.max(1e-3)
}

fn counts(report: &DownloadReport) -> String {
    let row = |name: &str, count: u64| {
        format!("  {name:<22}{:>12}{:>9}\n", human::thousands(count), human::percent(count, report.count))
    };
    let mut text = [
        row("rows", report.count),
        row("successes", report.successes),
        row("failed to download", report.failed_to_download),
        row("failed to resize", report.failed_to_resize),
    ]
    .concat();
    let kinds: BTreeMap<_, _> = report.failures_by_kind.iter().filter(|(_, count)| **count > 0).collect();
    if !kinds.is_empty() {
        text.push_str("failures\n");
        text.extend(kinds.into_iter().map(|(kind, count)| row(kind, *count)));
    }
    text
}

fn failing(hosts: &[(String, HostCounts)]) -> String {
    let line = |(name, counts): &(String, HostCounts)| {
        let share = human::percent(counts.failures, counts.rows);
        format!(
            "  {:<32}{:>12} of {:<10}{share:>7}\n",
            short(name),
            human::thousands(counts.failures),
            human::thousands(counts.rows)
        )
    };
    titled("hosts with most failures\n", hosts.iter().map(line).collect())
}

fn slowest(hosts: &[(String, HostCounts)]) -> String {
    let slow = hosts.iter().filter(|(_, counts)| counts.mean() >= HostCounts::SLOW);
    let line = |(name, counts): &(String, HostCounts)| {
        let timeouts = match counts.timeouts {
            0 => String::new(),
            timeouts => format!("   {}", human::counted(timeouts, "timeout")),
        };
        format!("  {:<32}{:>12} mean{timeouts}\n", short(name), human::duration(counts.mean()))
    };
    titled("slowest hosts\n", slow.map(line).collect())
}

fn titled(title: &str, lines: String) -> String {
    if lines.is_empty() { lines } else { format!("{title}{lines}") }
}

/// The end of a long name is what tells hosts apart.
fn short(name: &str) -> String {
    let chars = name.chars().count();
    if chars <= 31 { name.to_owned() } else { format!("…{}", name.chars().skip(chars - 30).collect::<String>()) }
}

/// What was wrong with the list itself.
fn of_the_list(report: &DownloadReport) -> String {
    let mut text = String::new();
    if report.invalid_utf8_rows > 0 {
        let rows = human::counted(report.invalid_utf8_rows, "row");
        text.push_str(&format!("{rows} of the list not UTF-8: what could not be read there is U+FFFD\n"));
    }
    if report.cut_lists > 0 {
        let files = human::counted(report.cut_lists, "file");
        text.push_str(&format!("{files} of the list damaged: rows behind the damage are not in any shard\n"));
    }
    text
}

/// What a run that was stopped leaves undone.
fn interrupted(report: &DownloadReport, tally: &Tally) -> String {
    if !report.interrupted {
        return String::new();
    }
    let dropped = tally.rows.saturating_sub(report.tried_by_this_run);
    let rows = human::counted(dropped, "row");
    format!("interrupted: {rows} of shards that were not complete dropped; the same command goes on\n")
}

/// What a retry did for the rows that it was about.
pub fn of_retry(report: &DownloadReport) -> String {
    let [tried, made] = [report.tried_by_this_run, report.made_by_this_run].map(human::thousands);
    format!("{tried} rows tried again, {made} of them are samples now; the shards that they are of have\n")
}

/// What other machines and other runs do.
fn earlier(report: &DownloadReport) -> String {
    let mut text = String::new();
    if report.world_size > 1 {
        let shards = match report.shards_in_list {
            Some(shards) => format!("the list makes {} for all", human::counted(shards, "shard")),
            None => "the list was not read to its end".to_owned(),
        };
        text.push_str(&format!("machine {} of {}, counted from 0: {shards}\n", report.rank, report.world_size));
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
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_failed_and_where() {
        let report = DownloadReport {
            count: 2000,
            successes: 1500,
            failed_to_download: 500,
            failures_by_kind: [("timeout".to_owned(), 500)].into(),
            shards: 2,
            bytes_downloaded: 3_000_000,
            seconds: 10.0,
            images_per_second: 150.0,
            ..DownloadReport::default()
        };
        let mut tally = Tally::default();
        let counts = HostCounts { rows: 1000, failures: 500, timeouts: 500, elapsed: Duration::from_secs(5000) };
        tally.hosts.add("slow.example", counts);
        insta::assert_snapshot!(text(&report, &tally, "out"), @r"
          rows                         2,000   100.0%
          successes                    1,500    75.0%
          failed to download             500    25.0%
          failed to resize                 0     0.0%
        failures
          timeout                        500    25.0%
        hosts with most failures
          slow.example                             500 of 1,000       50.0%
        slowest hosts
          slow.example                            5.0s mean   500 timeouts
        2 shards in `out`, 3.0 MB downloaded in 10.0s, 150 images/s, 300.0 kB/s
        ");
    }
}
