//! A run's progress in words: three short lines for a terminal, one for a log.

use std::time::Duration;

use tools::{human, terminal};

use super::hosts::HostCounts;
use super::tally::Tally;

/// What is told of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Time since the start.
    pub elapsed: Duration,
    /// Samples by second, over the last seconds.
    pub images_per_second: f64,
    /// Rows by second, over the last seconds.
    pub rows_per_second: f64,
    /// Bytes of bodies by second, over the last seconds.
    pub bytes_per_second: f64,
}

impl Moment {
    /// Time until the last row ends, at the pace of now; `None` where that cannot be said.
    pub fn left(&self, tally: &Tally) -> Option<Duration> {
        let rows = (tally.ahead.rows_in_all()? - tally.rows as f64).max(0.0);
        let mean = tally.rows as f64 / self.elapsed.as_secs_f64().max(1e-3);
        let pace = if self.rows_per_second > 0.0 { self.rows_per_second } else { mean };
        Duration::try_from_secs_f64(rows / pace).ok()
    }
}

/// Counts and rates; failures by kind; slow hosts. Lines without anything to tell are empty.
pub fn all(tally: &Tally, moment: &Moment) -> [String; 3] {
    let counts = counts(tally, moment);
    let first = if tally.stopping { format!("{}: {counts}", terminal::STOPPING) } else { counts };
    [first, failures(tally), slowest(tally)]
}

/// All in one line.
pub fn one(tally: &Tally, moment: &Moment) -> String {
    let lines = all(tally, moment);
    lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn counts(tally: &Tally, moment: &Moment) -> String {
    let mean = tally.successes as f64 / moment.elapsed.as_secs_f64().max(1e-3);
    format!(
        "{}{} rows, {} success, {:.0} images/s, {}{}, mean {mean:.0}/s, {}/s, {}",
        human::thousands(tally.rows),
        of_all(tally),
        human::percent(tally.successes, tally.rows),
        moment.images_per_second,
        whole_seconds(moment.elapsed),
        moment.left(tally).map_or_else(String::new, |left| format!(", ETA {}", whole_seconds(left))),
        human::bytes(moment.bytes_per_second as u64),
        shards(tally),
    )
}

/// Sealed ones, and those of which nothing would be left if the run ended now.
fn shards(tally: &Tally) -> String {
    let open = if tally.open_shards > 0 { format!(" and {} open", tally.open_shards) } else { String::new() };
    format!("{}{open}", human::counted(tally.shards, "shard"))
}

/// How many rows there are; about how many, until the whole list has been read.
fn of_all(tally: &Tally) -> String {
    let about = if tally.ahead.list_read == Some(1.0) { "" } else { "~" };
    tally.ahead.rows_in_all().map_or_else(String::new, |all| format!(" of {about}{}", human::thousands(all as u64)))
}

fn whole_seconds(duration: Duration) -> String {
    human::duration(Duration::from_secs(duration.as_secs())).replace(".0s", "s")
}

fn failures(tally: &Tally) -> String {
    let failed = tally.rows - tally.successes;
    if failed == 0 {
        return String::new();
    }
    let kinds = tally.top_kinds(3).into_iter();
    let kinds: Vec<_> = kinds.map(|(name, count)| format!("{name} {}", human::thousands(count))).collect();
    let more = if tally.kinds.len() > 3 { ", …" } else { "" };
    format!("failed {}: {}{more}", human::thousands(failed), kinds.join(", "))
}

fn slowest(tally: &Tally) -> String {
    let hosts = tally.hosts.slowest(2).into_iter().filter(|(_, counts)| counts.mean() >= HostCounts::SLOW);
    let hosts: Vec<_> = hosts
        .map(|(name, counts)| {
            let timeouts = if counts.timeouts > 0 {
                format!(", {}", human::counted(counts.timeouts, "timeout"))
            } else {
                String::new()
            };
            format!("{name} (mean {}{timeouts})", human::duration(counts.mean()))
        })
        .collect();
    if hosts.is_empty() { String::new() } else { format!("slowest: {}", hosts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use ingest::Ahead;

    use super::super::tally::Failures;
    use super::*;

    #[test]
    fn a_moment_is_told_in_three_lines_or_in_one() {
        let mut tally =
            Tally { rows: 12_345, successes: 12_000, bytes: 1, shards: 1, open_shards: 3, ..Tally::default() };
        for (name, count) in [("http_404", 200), ("timeout", 100), ("dns", 40), ("empty", 5)] {
            tally.kinds.insert(name.to_owned(), Failures { count, ..Failures::default() });
        }
        tally.ahead = Ahead { rows: 20_000, listed: 40_000, list_read: Some(0.5) };
        let slow = HostCounts { rows: 12, failures: 12, timeouts: 12, elapsed: Duration::from_secs(96) };
        tally.hosts.add("slow.example", slow);
        let moment = Moment {
            elapsed: Duration::from_secs(20),
            images_per_second: 612.4,
            rows_per_second: 640.0,
            bytes_per_second: 34_500_000.0,
        };
        insta::assert_snapshot!(all(&tally, &moment).join("\n"), @r"
        12,345 of ~60,000 rows, 97.2% success, 612 images/s, 20s, ETA 1m 14s, mean 600/s, 34.5 MB/s, 1 shard and 3 open
        failed 345: http_404 200, timeout 100, dns 40, …
        slowest: slow.example (mean 8.0s, 12 timeouts)
        ");
        assert_eq!(one(&Tally::default(), &moment).matches(';').count(), 0);
    }
}
