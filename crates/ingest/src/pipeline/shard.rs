//! The thread that writes one shard: rows come in as they finish and are written in their
//! order; with the last one the shard is sealed, samples before table before summary. When rows
//! stop coming, everything unsealed vanishes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use shards::key::{KeyFormat, SampleKey};
use shards::metadata::{MetadataRow, Status};
use shards::store::Claim;
use shards::summary::ShardSummary;
use tokio::sync::mpsc;

use super::SealedShard;
use super::early::Early;
use super::kept::Kept;
use super::row::RowOutcome;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::output::{Leftovers, OutputFormat, Place, Sink};

/// How all shards of a download are written.
#[derive(Clone)]
pub(super) struct ShardFormat {
    pub place: Place,
    pub keys: KeyFormat,
    /// Whether times are left out.
    pub deterministic: bool,
}

impl ShardFormat {
    /// What an earlier run left of a shard.
    pub(super) fn found(&self, name: &str) -> Result<Found> {
        let Some(summary) = ShardSummary::read_from(&self.place.folder, name)? else { return Ok(Found::Nothing) };
        let damage = match (summary.damage(&self.place.folder, name)?, summary.tar_bytes) {
            // img2dataset notes no size; no tar is smaller than its two last blocks.
            (None, None) if self.place.format == OutputFormat::Webdataset => {
                let size = self.place.folder.size(&format!("{name}.tar"))?;
                size.is_none_or(|size| size < 1024).then(|| format!("`{name}.tar` is not whole"))
            }
            (damage, _) => damage,
        };
        Ok(damage.map_or(Found::Sealed(Box::new(summary)), Found::Damaged))
    }
}

/// What there is of a shard.
pub(super) enum Found {
    Nothing,
    /// All of it.
    Sealed(Box<ShardSummary>),
    /// Its summary, but not all of its files; what is wrong with them.
    Damaged(String),
}

/// A shard to be written.
pub(super) struct Order {
    pub shard_id: u64,
    pub name: String,
    /// Rows that it will have.
    pub rows: usize,
    /// What the rows are.
    pub fingerprint: Option<String>,
    /// Rows that are not downloaded, but taken over from the shard as it is.
    pub kept: Kept,
    /// Held until the shard is sealed or given up.
    pub claim: Claim,
}

/// A finished row with its place in the shard.
pub(super) type PlacedOutcome = (usize, RowOutcome);

/// A shard that this run has sealed.
pub(super) struct Made {
    pub shard: SealedShard,
    pub fresh: Fresh,
}

/// What this run did for a shard; rows taken over as they were are left out.
#[derive(Clone, Copy, Default)]
pub(super) struct Fresh {
    pub rows: u64,
    pub samples: u64,
    /// Of their bodies.
    pub bytes: u64,
}

/// What comes of a shard: sealed, or `None` when rows stopped coming.
pub(super) type ShardEnd = Result<Option<Made>>;

/// Rows that wait for the disk; those that wait for an earlier row are held beside.
const QUEUE_ROWS: usize = 64;

/// Starts the thread for a shard, which sends how it ended to `ends`.
pub(super) fn open(
    format: ShardFormat,
    order: Order,
    ends: mpsc::Sender<ShardEnd>,
) -> Result<mpsc::Sender<PlacedOutcome>> {
    let (sender, receiver) = mpsc::channel(QUEUE_ROWS);
    let name = format!("shard-{}", order.name);
    let worker = move || {
        let end = catch_unwind(AssertUnwindSafe(|| write(&format, order, receiver)));
        let panicked = |_| Err(Error::Worker { worker: "shard writer", reason: "it panicked".into() });
        // Without a receiver the run is over, and the summary on the disk tells the rest.
        let _ = ends.blocking_send(end.unwrap_or_else(panicked));
    };
    let spawned = thread::Builder::new().name(name).spawn(worker);
    spawned.map_err(|e| Error::Worker { worker: "shard writer", reason: e.to_string() })?;
    Ok(sender)
}

fn write(format: &ShardFormat, order: Order, mut outcomes: mpsc::Receiver<PlacedOutcome>) -> ShardEnd {
    let Order { rows, mut kept, claim, .. } = order;
    let mut shard = OpenShard::create(format, order.shard_id, order.name, kept.leftovers())?;
    let mut early = Early::default();
    for place in 0..rows {
        if let Some(stored) = kept.take(place)? {
            shard.keep(stored)?;
            continue;
        }
        let outcome = loop {
            if let Some(outcome) = early.take(place)? {
                break outcome;
            }
            match outcomes.blocking_recv() {
                None => return Ok(None),
                Some((arrived, outcome)) if arrived == place => break outcome,
                Some((arrived, outcome)) => early.insert(arrived, outcome)?,
            }
        };
        shard.push(kept.key(place), place as u64, outcome)?;
    }
    let sealed = shard.seal(rows as u64, order.fingerprint)?;
    drop(claim);
    Ok(Some(sealed))
}

struct OpenShard<'a> {
    format: &'a ShardFormat,
    shard_id: u64,
    name: String,
    sink: Sink,
    summary: ShardSummary,
    fresh: Fresh,
    started: Instant,
}

impl<'a> OpenShard<'a> {
    fn create(format: &'a ShardFormat, shard_id: u64, name: String, leftovers: Leftovers) -> Result<Self> {
        let sink = Sink::create(format.place.clone(), name.clone(), leftovers)?;
        let now = if format.deterministic { 0.0 } else { unix_seconds() };
        let summary = ShardSummary {
            count: 0,
            successes: 0,
            failed_to_download: 0,
            failed_to_resize: 0,
            duration: 0.0,
            start_time: now,
            end_time: now,
            status_dict: BTreeMap::new(),
            rows_sha256: None,
            tar_bytes: None,
            table_bytes: None,
        };
        Ok(Self { format, shard_id, name, sink, summary, fresh: Fresh::default(), started: Instant::now() })
    }

    /// Takes over a row as it was.
    fn keep(&mut self, stored: super::kept::Stored) -> Result<()> {
        let row = &stored.row;
        let kind = row.error_kind.as_deref().map(|kind| FailureKind::full_name(kind, row.http_status));
        self.count(row.status, &kind.unwrap_or_else(|| row.status.as_str().to_owned()));
        match stored.image {
            Some(image) => self.sink.push_fields(stored.row, &stored.fields, image),
            None => self.sink.push_failed(stored.row),
        }
    }

    fn push(&mut self, key: Option<SampleKey>, place: u64, outcome: RowOutcome) -> Result<()> {
        self.fresh.rows += 1;
        self.fresh.samples += u64::from(outcome.result.is_ok());
        self.fresh.bytes += outcome.trace.bytes.unwrap_or(0);
        match &outcome.result {
            Ok(_) => self.count(Status::Success, Status::Success.as_str()),
            Err(failure) => self.count(failure.kind.status(), &failure.kind.name()),
        }
        let key = key.unwrap_or_else(|| self.format.keys.key(self.shard_id, place));
        let (mut row, image) = described(outcome, key);
        if self.format.deterministic {
            (row.ms, row.attempts) = (None, None);
        }
        match image {
            Some(image) => self.sink.push_sample(row, image),
            None => self.sink.push_failed(row),
        }
    }

    fn count(&mut self, status: Status, name: &str) {
        self.summary.count += 1;
        match status {
            Status::Success => self.summary.successes += 1,
            Status::FailedToDownload => self.summary.failed_to_download += 1,
            Status::FailedToResize => self.summary.failed_to_resize += 1,
        }
        *self.summary.status_dict.entry(name.to_owned()).or_default() += 1;
    }

    fn seal(mut self, rows: u64, fingerprint: Option<String>) -> Result<Made> {
        let summary = &mut self.summary;
        if !summary.is_balanced() || summary.count != rows || self.sink.samples() != summary.successes {
            return Err(Error::Unbalanced {
                shard: self.name,
                rows,
                successes: self.sink.samples(),
                failed_to_download: summary.failed_to_download,
                failed_to_resize: summary.failed_to_resize,
            });
        }
        summary.tar_bytes = self.sink.seal()?;
        summary.table_bytes = self.format.place.folder.size(&format!("{}.parquet", self.name))?;
        summary.rows_sha256 = fingerprint;
        if !self.format.deterministic {
            summary.duration = self.started.elapsed().as_secs_f64();
            summary.end_time = unix_seconds();
        }
        summary.write_to(&self.format.place.folder, &self.name)?;
        let shard = SealedShard { shard_id: self.shard_id, name: self.name, summary: self.summary };
        Ok(Made { shard, fresh: self.fresh })
    }
}

/// The row of the table and, where there is one, the picture. The outcome's share of memory
/// is given back on return: the picture is on its way to the disk.
fn described(outcome: RowOutcome, key: SampleKey) -> (MetadataRow, Option<Bytes>) {
    let RowOutcome { row, result, trace, share: _share } = outcome;
    let was_asked = trace.attempts > 0;
    let mut described = MetadataRow {
        additional: row.extra,
        caption: row.caption,
        url: row.url,
        key,
        status: Status::Success,
        error_message: None,
        width: None,
        height: None,
        original_width: None,
        original_height: None,
        exif: None,
        hash: None,
        error_kind: None,
        http_status: trace.http_status,
        bytes: trace.bytes,
        final_url: trace.final_url.map(String::from),
        mime: trace.mime,
        ms: was_asked.then(|| u64::try_from(trace.elapsed.as_millis()).unwrap_or(u64::MAX)),
        attempts: Some(trace.attempts),
    };
    match result {
        Ok(processed) => {
            described.width = processed.size.map(|size| size.width);
            described.height = processed.size.map(|size| size.height);
            described.original_width = processed.original_size.map(|size| size.width);
            described.original_height = processed.original_size.map(|size| size.height);
            described.exif = processed.exif;
            described.hash = processed.hash;
            (described, Some(processed.image))
        }
        Err(failure) => {
            described.status = failure.kind.status();
            described.error_kind = Some(failure.kind.column_name().to_string());
            described.error_message = Some(failure.message);
            (described, None)
        }
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
