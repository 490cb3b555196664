//! `clipdata merge-stats`: what all shards of a folder hold together, whoever made them.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;
use shards::store::Folder;
use shards::summary::{ShardSummary, complete_shards, write_sizes};
use tools::exit::Outcome;
use tools::{human, json};

use crate::cli::MergeStats;

/// Sums over shards.
#[derive(Debug, Default, Serialize)]
struct Totals {
    shards: u64,
    count: u64,
    successes: u64,
    failed_to_download: u64,
    failed_to_resize: u64,
    status_dict: BTreeMap<String, u64>,
    /// Numbers of shards that are missing between the first and the last.
    gaps: Vec<u64>,
}

/// Adds up the summaries, and writes `sizes.json` by them.
pub fn run(arguments: &MergeStats) -> anyhow::Result<Outcome> {
    let folder = Folder::parse(&arguments.folder)?;
    let mut totals = Totals::default();
    let mut numbers = Vec::new();
    for shard in complete_shards(&folder)? {
        if let Some(summary) = ShardSummary::read_from(&folder, &shard)? {
            totals.add(&summary);
            numbers.extend(shard.parse::<u64>());
        }
    }
    if totals.shards == 0 {
        bail!("`{folder}` has no complete shard (NNNNN_stats.json)");
    }
    totals.gaps = gaps(&numbers);
    write_sizes(&folder)?;
    match arguments.json {
        true => json::line("totals", &totals)?,
        false => print!("{}", totals.table()),
    }
    Ok(Outcome::Done)
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
        if !self.gaps.is_empty() {
            let named: Vec<String> = self.gaps.iter().take(10).map(u64::to_string).collect();
            let more = if self.gaps.len() > 10 { ", …" } else { "" };
            let missing = human::counted(self.gaps.len() as u64, "shard");
            text.push_str(&format!("{missing} missing in between: {}{more}\n", named.join(", ")));
        }
        text
    }
}

/// What is missing in a row of numbers.
fn gaps(numbers: &[u64]) -> Vec<u64> {
    let (Some(first), Some(last)) = (numbers.iter().min(), numbers.iter().max()) else { return Vec::new() };
    // A stray huge number must not be counted up to.
    (*first..=*last).take(1_000_000).filter(|number| !numbers.contains(number)).collect()
}

#[test]
fn gaps_are_found() {
    assert_eq!(gaps(&[3, 0, 5]), [1, 2, 4]);
    assert!(gaps(&[]).is_empty() && gaps(&[7]).is_empty());
}
