//! What hosts do, by name. Lists name millions of hosts, so only so many are kept: when there are too many, those that
//! were seen least make room. Counts of hosts that come back after that are too low, those of busy ones are not.

use std::collections::HashMap;
use std::time::Duration;

/// Hosts kept at most; of some 150 bytes each.
const MOST_HOSTS: usize = 10_000;

/// A name of DNS has no more; longer ones are no hosts.
const MAX_NAME_BYTES: usize = 255;

/// What one host did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// Rows that led to it.
    pub rows: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those of them that took too long.
    pub timeouts: u64,
    /// Time of all downloads.
    pub elapsed: Duration,
}

impl HostCounts {
    /// A mean time that is worth a line.
    pub const SLOW: Duration = Duration::from_secs(1);

    /// Mean time of a download.
    pub fn mean(&self) -> Duration {
        self.elapsed / u32::try_from(self.rows.max(1)).unwrap_or(u32::MAX)
    }
}

/// Counts by host.
#[derive(Debug, Default)]
pub struct Hosts(HashMap<String, HostCounts>);

impl Hosts {
    /// Counts one row of `host`.
    pub fn add(&mut self, host: &str, row: HostCounts) {
        if host.len() > MAX_NAME_BYTES {
            return;
        }
        if !self.0.contains_key(host) {
            self.make_room();
            self.0.insert(host.to_owned(), HostCounts::default());
        }
        if let Some(counts) = self.0.get_mut(host) {
            counts.rows += row.rows;
            counts.failures += row.failures;
            counts.timeouts += row.timeouts;
            counts.elapsed += row.elapsed;
        }
    }

    /// Lets the rarer half go, where all places are taken.
    fn make_room(&mut self) {
        if self.0.len() < MOST_HOSTS {
            return;
        }
        let mut rows: Vec<u64> = self.0.values().map(|counts| counts.rows).collect();
        rows.sort_unstable();
        let (middle, mut dropped) = (rows[rows.len() / 2], 0);
        self.0.retain(|_, counts| {
            let keep = counts.rows > middle || (counts.rows == middle && dropped >= MOST_HOSTS / 2);
            dropped += usize::from(!keep);
            keep
        });
    }

    /// The hosts with the longest mean time of a download, slowest first.
    pub fn slowest(&self, most: usize) -> Vec<(String, HostCounts)> {
        self.top(most, |counts| counts.mean().as_nanos())
    }

    /// The hosts with most failures, worst first.
    pub fn failing(&self, most: usize) -> Vec<(String, HostCounts)> {
        self.top(most, |counts| u128::from(counts.failures))
    }

    fn top(&self, most: usize, rank: impl Fn(&HostCounts) -> u128) -> Vec<(String, HostCounts)> {
        let mut hosts: Vec<_> = self.0.iter().filter(|(_, counts)| rank(counts) > 0).collect();
        hosts.sort_by(|a, b| rank(b.1).cmp(&rank(a.1)).then_with(|| a.0.cmp(b.0)));
        hosts.into_iter().take(most).map(|(name, counts)| (name.clone(), *counts)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(failures: u64, seconds: u64) -> HostCounts {
        HostCounts { rows: 1, failures, timeouts: 0, elapsed: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_worst_and_the_slowest_come_first() {
        let mut hosts = Hosts::default();
        for (host, failures, seconds) in [("a", 1, 1), ("b", 0, 9), ("a", 1, 3), ("c", 1, 0)] {
            hosts.add(host, row(failures, seconds));
        }
        let names = |hosts: Vec<(String, HostCounts)>| hosts.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(hosts.slowest(5)), ["b", "a"]);
        assert_eq!(names(hosts.failing(5)), ["a", "c"]);
        assert_eq!(hosts.slowest(1)[0].1.mean(), Duration::from_secs(9));
    }

    #[test]
    fn any_number_of_hosts_takes_bounded_memory_and_busy_ones_stay() {
        let mut hosts = Hosts::default();
        for i in 0..5 * MOST_HOSTS {
            hosts.add(&format!("host-{i}"), row(0, 1));
            hosts.add("busy", row(1, 1));
        }
        assert!(hosts.0.len() <= MOST_HOSTS);
        assert_eq!(hosts.failing(1)[0].1.failures, 5 * MOST_HOSTS as u64);
    }
}
