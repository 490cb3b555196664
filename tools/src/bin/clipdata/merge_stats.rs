//! `clipdata merge-stats`: what all shards of a folder hold together, whoever made them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use ingest::output::Manifest;
use serde::Serialize;
use shards::store::Folder;
use shards::summary::{ShardSummary, complete_shards, write_sizes};
use tools::exit::Outcome;
use tools::{human, json, out};

use crate::cli::MergeStats;
use crate::download::check_there;

/// Sums over shards.
#[derive(Debug, Default, Serialize)]
struct Totals {
    shards: u64,
    count: u64,
    successes: u64,
    failed_to_download: u64,
    failed_to_resize: u64,
    status_dict: BTreeMap<String, u64>,
    /// Shards that the list makes; `None` where no run has read it to its end.
    shards_in_list: Option<u64>,
    /// Shards that are not as they were written, and not counted.
    damaged: u64,
    /// Numbers of shards that are missing: of all, or between the first and the last where it is not known how many
    /// there are.
    missing: Vec<u64>,
}

/// Adds up the summaries, and writes `sizes.json` by them.
pub fn run(arguments: &MergeStats) -> anyhow::Result<Outcome> {
    let folder = Folder::parse(&arguments.folder)?;
    check_there(&folder)?;
    let mut totals = Totals::default();
    let mut numbers = Vec::new();
    for shard in complete_shards(&folder)? {
        if let Some(summary) = ShardSummary::read_from(&folder, &shard)? {
            match summary.damage(&folder, &shard)? {
                None => {
                    totals.add(&summary);
                    numbers.extend(shard.parse::<u64>());
                }
                Some(damage) => {
                    totals.damaged += 1;
                    tools::note!("shard `{shard}` is not counted: {damage}; the command that made it makes it again");
                }
            }
        }
    }
    if totals.shards + totals.damaged == 0 {
        bail!("`{folder}` has no complete shard (NNNNN_stats.json)");
    }
    let manifest = Manifest::read(&folder)?;
    let is_unknown = manifest.as_ref().is_some_and(|manifest| manifest.shards.is_none());
    totals.shards_in_list = manifest.and_then(|manifest| manifest.shards);
    totals.missing = missing(&numbers, totals.shards_in_list);
    // Whoever may only read can still count.
    if let Err(error) = write_sizes(&folder) {
        tracing::warn!("sizes.json is as it was: {:#}", anyhow::Error::new(error));
    }
    match arguments.json {
        true => json::line("totals", &totals)?,
        false => out::text(&totals.table())?,
    }
    let is_whole = totals.missing.is_empty() && totals.damaged == 0 && !is_unknown;
    Ok(if is_whole { Outcome::Done } else { Outcome::BadData })
}

impl Totals {
    fn add(&mut self, summary: &ShardSummary) {
        self.shards += 1;
        self.count += summary.count;
        self.successes += summary.successes;
        self.failed_to_download += summary.failed_to_download;
        self.failed_to_resize += summary.failed_to_resize;
        for (status, count) in &summary.status_dict {
            *self.status_dict.entry(status.clone()).or_default() += count;
        }
    }

    fn table(&self) -> String {
        let mut text = format!("  {:<22}{:>12}\n", "shards", human::thousands(self.shards));
        text.push_str(&format!("  {:<22}{:>12}\n", "rows", human::thousands(self.count)));
        for (status, count) in &self.status_dict {
            let share = human::percent(*count, self.count);
            text.push_str(&format!("  {status:<22}{:>12}{share:>9}\n", human::thousands(*count)));
        }
        text.push_str(&self.completeness());
        text
    }

    fn completeness(&self) -> String {
        let named: Vec<String> = self.missing.iter().take(10).map(u64::to_string).collect();
        let more = if self.missing.len() > 10 { ", …" } else { "" };
        let missing = human::counted(self.missing.len() as u64, "shard");
        let missing = format!("{missing} missing: {}{more}", named.join(", "));
        match (self.shards_in_list, self.missing.is_empty()) {
            (Some(_), true) => "all shards of the list are there\n".to_owned(),
            (Some(all), false) => format!("{missing} (of {})\n", human::thousands(all)),
            (None, true) => "whether these are all is not known: no run has read the list to its end\n".to_owned(),
            (None, false) => format!("{missing}, and perhaps more behind: no run has read the list to its end\n"),
        }
    }
}

/// What is missing of so many numbers, or in a row of numbers.
fn missing(numbers: &[u64], all: Option<u64>) -> Vec<u64> {
    let there: BTreeSet<u64> = numbers.iter().copied().collect();
    let (Some(first), Some(last)) = (there.first(), there.last()) else { return Vec::new() };
    let expected = all.map_or(*first..last + 1, |all| 0..all);
    // A stray huge number must not be counted up to.
    expected.take(1_000_000).filter(|number| !there.contains(number)).collect()
}

#[test]
fn what_is_missing_is_found() {
    assert_eq!(missing(&[3, 0, 5], None), [1, 2, 4]);
    assert_eq!(missing(&[3, 1], Some(6)), [0, 2, 4, 5]);
    assert!(missing(&[], None).is_empty() && missing(&[7], None).is_empty() && missing(&[1, 0], Some(2)).is_empty());
}
