//! The thread that writes one shard: rows come in as they finish and are written in their
//! order; with the last one the shard is sealed, tar before parquet before summary. When rows
//! stop coming, everything unsealed vanishes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use shards::Field;
use shards::key::KeyFormat;
use shards::metadata::{MetadataLayout, MetadataRow, MetadataWriter, Status};
use shards::summary::ShardSummary;
use shards::writer::ShardWriter;
use tokio::sync::mpsc;

use super::SealedShard;
use super::row::RowOutcome;
use crate::encode::EncodeFormat;
use crate::error::{Error, Result};

/// How all shards of a download are written.
#[derive(Clone)]
pub(super) struct ShardFormat {
    pub folder: PathBuf,
    pub keys: KeyFormat,
    pub layout: MetadataLayout,
    pub image: EncodeFormat,
}

impl ShardFormat {
    /// The summary of a shard that an earlier run sealed, where its tar is still there.
    pub(super) fn done(&self, shard_id: u64) -> Result<Option<ShardSummary>> {
        let name = self.keys.shard_name(shard_id);
        let summary = ShardSummary::read(&ShardSummary::path(&self.folder, &name))?;
        Ok(summary.filter(|_| self.file(&name, "tar").is_file()))
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{name}.{extension}"))
    }
}

/// A finished row with its place in the shard.
pub(super) type PlacedOutcome = (usize, RowOutcome);

/// What comes of a shard: sealed, with the bytes that its bodies had; or `None` when rows
/// stopped coming.
pub(super) type ShardEnd = Result<Option<(SealedShard, u64)>>;

/// Rows that wait for the disk; those that wait for an earlier row are held beside.
const QUEUE_ROWS: usize = 64;

/// Starts the thread for a shard of `rows` rows, which sends how it ended to `ends`.
pub(super) fn open(
    format: ShardFormat,
    shard_id: u64,
    rows: usize,
    ends: mpsc::Sender<ShardEnd>,
) -> Result<mpsc::Sender<PlacedOutcome>> {
    let (sender, receiver) = mpsc::channel(QUEUE_ROWS);
    let worker = move || {
        let end = catch_unwind(AssertUnwindSafe(|| write(&format, shard_id, rows, receiver)));
        let panicked = |_| Err(Error::Worker { worker: "shard writer", reason: "it panicked".into() });
        // Without a receiver the run is over, and the summary on the disk tells the rest.
        let _ = ends.blocking_send(end.unwrap_or_else(panicked));
    };
    let spawned = thread::Builder::new().name(format!("shard-{shard_id}")).spawn(worker);
    spawned.map_err(|e| Error::Worker { worker: "shard writer", reason: e.to_string() })?;
    Ok(sender)
}

fn write(format: &ShardFormat, shard_id: u64, rows: usize, mut outcomes: mpsc::Receiver<PlacedOutcome>) -> ShardEnd {
    let mut shard = OpenShard::create(format, shard_id)?;
    // Bounded by the byte budget, whose shares the outcomes hold, and by the shard's rows.
    let mut early = BTreeMap::new();
    let mut next = 0;
    while next < rows {
        let Some((place, outcome)) = outcomes.blocking_recv() else { return Ok(None) };
        early.insert(place, outcome);
        while let Some(outcome) = early.remove(&next) {
            shard.push(next as u64, outcome)?;
            next += 1;
        }
    }
    shard.seal(rows as u64).map(Some)
}

struct OpenShard<'a> {
    format: &'a ShardFormat,
    shard_id: u64,
    name: String,
    tar: ShardWriter,
    table: MetadataWriter,
    summary: ShardSummary,
    bytes: u64,
    started: Instant,
}

impl<'a> OpenShard<'a> {
    fn create(format: &'a ShardFormat, shard_id: u64) -> Result<Self> {
        let name = format.keys.shard_name(shard_id);
        let tar = ShardWriter::create(&format.file(&name, "tar"))?;
        let table = MetadataWriter::create(&format.file(&name, "parquet"), format.layout.clone())?;
        let now = unix_seconds();
        let summary = ShardSummary {
            count: 0,
            successes: 0,
            failed_to_download: 0,
            failed_to_resize: 0,
            duration: 0.0,
            start_time: now,
            end_time: now,
            status_dict: BTreeMap::new(),
        };
        Ok(Self { format, shard_id, name, tar, table, summary, bytes: 0, started: Instant::now() })
    }

    fn push(&mut self, place: u64, outcome: RowOutcome) -> Result<()> {
        self.count(&outcome);
        let (row, image) = described(outcome, self.format, self.shard_id, place);
        if let Some(image) = image {
            let fields = members(&row, image, self.format);
            self.tar.write(&row.key, &fields)?;
        }
        Ok(self.table.push(row)?)
    }

    fn count(&mut self, outcome: &RowOutcome) {
        self.bytes += outcome.bytes.unwrap_or(0);
        self.summary.count += 1;
        let (status, name) = match &outcome.result {
            Ok(_) => (Status::Success, Status::Success.as_str().to_string()),
            Err(failure) => (failure.kind.status(), failure.kind.name()),
        };
        match status {
            Status::Success => self.summary.successes += 1,
            Status::FailedToDownload => self.summary.failed_to_download += 1,
            Status::FailedToResize => self.summary.failed_to_resize += 1,
        }
        *self.summary.status_dict.entry(name).or_default() += 1;
    }

    fn seal(mut self, rows: u64) -> Result<(SealedShard, u64)> {
        let summary = &mut self.summary;
        if !summary.is_balanced() || summary.count != rows || self.tar.samples() != summary.successes {
            return Err(Error::Unbalanced {
                shard: self.name,
                rows,
                successes: self.tar.samples(),
                failed_to_download: summary.failed_to_download,
                failed_to_resize: summary.failed_to_resize,
            });
        }
        self.tar.seal()?;
        self.table.seal()?;
        summary.duration = self.started.elapsed().as_secs_f64();
        summary.end_time = unix_seconds();
        summary.write(&ShardSummary::path(&self.format.folder, &self.name))?;
        Ok((SealedShard { shard_id: self.shard_id, name: self.name, summary: self.summary }, self.bytes))
    }
}

/// The row of the table and, where there is one, the picture. The outcome's share of memory
/// is given back on return: the picture is on its way to the disk.
fn described(outcome: RowOutcome, format: &ShardFormat, shard_id: u64, place: u64) -> (MetadataRow, Option<Bytes>) {
    let RowOutcome { row, result, http_status, bytes, share: _share } = outcome;
    let mut described = MetadataRow {
        additional: row.extra,
        caption: row.caption,
        url: row.url,
        key: format.keys.key(shard_id, place),
        status: Status::Success,
        error_message: None,
        width: None,
        height: None,
        original_width: None,
        original_height: None,
        exif: None,
        hash: None,
        error_kind: None,
        http_status,
        bytes,
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

/// The sample's members, sorted by extension as img2dataset's are.
fn members(row: &MetadataRow, image: Bytes, format: &ShardFormat) -> Vec<Field> {
    let field = |extension: &str, bytes: Bytes| Field { extension: extension.into(), bytes };
    let mut members =
        vec![field(format.image.as_str(), image), field("json", Bytes::from(row.to_json(&format.layout)))];
    if format.layout.caption {
        members.push(field("txt", Bytes::from(row.caption.clone().unwrap_or_default())));
    }
    members.sort_by(|a, b| a.extension.cmp(&b.extension));
    members
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
