//! What a run has seen so far: counts by status, kind and host, and how sizes and times are distributed. Takes the same
//! memory for ten rows and for ten billion.

use std::collections::BTreeMap;

use ingest::{Ahead, RowEnd};
use shards::metadata::Status;
use tools::report::Buckets;

use super::hosts::{HostCounts, Hosts};

/// Characters kept of a foreign text: an example's URL or message.
const MAX_EXAMPLE_CHARS: usize = 200;

/// Failures of one kind.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// Whether a body arrived that no picture could be made of.
    pub after_download: bool,
    /// The URL of the first.
    pub url: String,
    /// What the first was told as.
    pub message: String,
}

/// What a run has seen so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rows that ended.
    pub rows: u64,
    /// Rows that are to come, as far as that is known.
    pub ahead: Ahead,
    /// Samples among them.
    pub successes: u64,
    /// Rows without a body.
    pub failed_to_download: u64,
    /// Rows without a picture.
    pub failed_to_resize: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Whether the run is told to end.
    pub stopping: bool,
    /// Shards that were sealed.
    pub shards: u64,
    /// Shards whose rows are begun and which are not sealed yet.
    pub open_shards: u64,
    /// Failures by name of their kind; names are a closed set, HTTP statuses of three digits included.
    pub kinds: BTreeMap<String, Failures>,
    /// The hosts.
    pub hosts: Hosts,
    /// Widths of downloaded pictures.
    pub widths: Buckets,
    /// Their heights.
    pub heights: Buckets,
    /// Bytes of bodies, by body.
    pub sizes: Buckets,
    /// Milliseconds of downloads.
    pub times: Buckets,
}

impl Tally {
    /// Counts a row.
    pub fn add(&mut self, row: &RowEnd<'_>) {
        self.rows += 1;
        self.bytes += row.trace.bytes.unwrap_or(0);
        match row.kind.map(|kind| kind.status()) {
            None | Some(Status::Success) => self.successes += 1,
            Some(Status::FailedToDownload) => self.failed_to_download += 1,
            Some(Status::FailedToResize) => self.failed_to_resize += 1,
        }
        if let Some(kind) = row.kind {
            let failures = self.kinds.entry(kind.name()).or_insert_with(|| example(row));
            failures.count += 1;
        }
        self.add_host(row);
        self.add_sizes(row);
    }

    fn add_host(&mut self, row: &RowEnd<'_>) {
        let Some(url) = &row.trace.final_url else { return };
        let Some(host) = url.host_str() else { return };
        let counts = HostCounts {
            rows: 1,
            failures: row.kind.is_some().into(),
            timeouts: u64::from(row.kind == Some(ingest::FailureKind::Timeout)),
            elapsed: row.trace.elapsed,
        };
        match url.port() {
            None => self.hosts.add(host, counts),
            Some(port) => self.hosts.add(&format!("{host}:{port}"), counts),
        }
    }

    fn add_sizes(&mut self, row: &RowEnd<'_>) {
        if let Some(size) = row.original_size {
            self.widths.add(size.width.into());
            self.heights.add(size.height.into());
        }
        if let Some(bytes) = row.trace.bytes {
            self.sizes.add(bytes);
        }
        if row.trace.attempts > 0 {
            self.times.add(u64::try_from(row.trace.elapsed.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// The kinds with most failures, most first.
    pub fn top_kinds(&self, most: usize) -> Vec<(&str, u64)> {
        let mut kinds: Vec<_> = self.kinds.iter().map(|(name, failures)| (name.as_str(), failures.count)).collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        kinds.truncate(most);
        kinds
    }
}

fn example(row: &RowEnd<'_>) -> Failures {
    let short = |text: &str| text.chars().take(MAX_EXAMPLE_CHARS).collect();
    let after_download = row.kind.is_some_and(|kind| kind.status() == Status::FailedToResize);
    Failures { count: 0, after_download, url: short(row.url), message: short(row.message.unwrap_or_default()) }
}
