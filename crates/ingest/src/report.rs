//! What a download came to, over all its shards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shards::summary::ShardSummary;

/// Counts of a whole download. `count` is `successes + failed_to_download + failed_to_resize`,
/// shards of earlier runs included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DownloadReport {
    /// Rows of all sealed shards.
    pub count: u64,
    /// Rows that became samples.
    pub successes: u64,
    /// Rows without a body.
    pub failed_to_download: u64,
    /// Rows without a picture.
    pub failed_to_resize: u64,
    /// Failed rows by name of their kind.
    pub failures_by_kind: BTreeMap<String, u64>,
    /// Sealed shards, those of earlier runs included.
    pub shards: u64,
    /// Shards that an earlier run had sealed.
    pub shards_already_done: u64,
    /// Rows of those.
    pub rows_already_done: u64,
    /// Shards left out because another run is about them at this moment.
    pub shards_elsewhere: u64,
    /// Shards that the whole list makes, other machines' included; `None` where it was not read to its end.
    pub shards_in_list: Option<u64>,
    /// Which of the machines that share the list this is, from 0.
    pub rank: usize,
    /// How many there are.
    pub world_size: usize,
    /// Rows of the list that were not UTF-8.
    pub invalid_utf8_rows: u64,
    /// Files of the list that are damaged, so that no row behind the damage was read.
    pub cut_lists: u64,
    /// Bytes of the bodies that arrived, decompressed, in this run.
    pub bytes_downloaded: u64,
    /// Seconds that this run took.
    pub seconds: f64,
    /// Rows that this run downloaded, or tried to, of shards that it sealed.
    pub tried_by_this_run: u64,
    /// Samples among them.
    pub made_by_this_run: u64,
    /// `made_by_this_run` by second.
    pub images_per_second: f64,
    /// Whether the run was stopped before the end of the list.
    pub interrupted: bool,
}

impl DownloadReport {
    /// Counts a shard sealed by this run.
    pub(crate) fn add_sealed(&mut self, summary: &ShardSummary) {
        self.shards += 1;
        self.count += summary.count;
        self.successes += summary.successes;
        self.failed_to_download += summary.failed_to_download;
        self.failed_to_resize += summary.failed_to_resize;
        for (name, rows) in summary.status_dict.iter().filter(|(name, _)| *name != "success") {
            *self.failures_by_kind.entry(name.clone()).or_default() += rows;
        }
    }

    /// Counts a shard that an earlier run sealed.
    pub(crate) fn add_done(&mut self, summary: &ShardSummary) {
        self.add_sealed(summary);
        self.shards_already_done += 1;
        self.rows_already_done += summary.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_earlier_runs_count_as_well() {
        let summary = ShardSummary {
            count: 4,
            successes: 2,
            failed_to_download: 1,
            failed_to_resize: 1,
            duration: 1.0,
            start_time: 0.0,
            end_time: 1.0,
            status_dict: [("success", 2), ("timeout", 1), ("decode", 1)].map(|(k, n)| (k.to_string(), n)).into(),
            rows_sha256: None,
            tar_bytes: None,
            table_bytes: None,
        };
        let mut report = DownloadReport::default();
        report.add_sealed(&summary);
        report.add_done(&summary);
        assert_eq!((report.count, report.successes, report.rows_already_done), (8, 4, 4));
        assert_eq!((report.shards, report.shards_already_done), (2, 1));
        assert_eq!(report.failures_by_kind, BTreeMap::from([("decode".into(), 2), ("timeout".into(), 2)]));
    }
}
