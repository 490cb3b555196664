//! Reads one shard, and says how it ended.
//!
//! Members are grouped as open_clip groups them: a new sample begins where the key changes or
//! the extension is already there; names such as `__meta__` and members that are no files are
//! passed over. Unlike there, a shard that is cut short never looks like a whole one: after the
//! last sample [`ShardReader::end`] is [`ShardEnd::Complete`] only if the tar's end marker was
//! seen, or whoever wrote it left a [`Proof`], and its source vouched for every byte up to its end.

mod blocks;
mod compression;
mod header;
mod members;
mod proof;

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::key::{SampleKey, split_name};
use crate::sample::{Field, Sample};
use crate::store::{self, Cache};
use crate::uri::ShardUri;

use compression::unpacked;
use members::{Entry, Event, Members, Stop};

pub use proof::{MissingEnd, Proof};

/// Largest member, and largest sample, that is read unless [`ShardReader::with_max_member_bytes`] says otherwise.
pub const MAX_MEMBER_BYTES: u64 = 1 << 30;

/// Members that a sample may have.
const MOST_FIELDS: usize = 1000;

/// How a shard ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEnd {
    /// With its end marker and nothing behind it, or as its [`Proof`] has it.
    Complete {
        /// How many samples it has.
        samples: u64,
    },
    /// Early.
    Incomplete {
        /// How many samples were delivered.
        samples: u64,
        /// What is missing.
        reason: IncompleteReason,
        /// Offset in the uncompressed tar of the member or marker that is missing or cut.
        offset: u64,
        /// The sample that was not delivered for it, where its name is known.
        key: Option<SampleKey>,
    },
}

/// Why a shard is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncompleteReason {
    /// The bytes end within a header.
    CutInHeader,
    /// The bytes end within a member's content.
    CutInData,
    /// The bytes end behind a member, without the end marker.
    NoEndMarker,
    /// More than zeros follows the end marker: another tar, perhaps.
    BytesAfterEnd,
    /// A block is not what tar asks for, and what it is; the reader returned the error.
    Malformed(String),
    /// The source failed: a broken connection, a command that exits with an error.
    Source(String),
}

impl IncompleteReason {
    /// A stable name to count by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CutInHeader => "cut_in_header",
            Self::CutInData => "cut_in_data",
            Self::NoEndMarker => "no_end_marker",
            Self::BytesAfterEnd => "bytes_after_end",
            Self::Malformed(_) => "malformed",
            Self::Source(_) => "source",
        }
    }
}

impl fmt::Display for IncompleteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutInHeader => f.write_str("cut within a header"),
            Self::CutInData => f.write_str("cut within a member's content"),
            Self::NoEndMarker => f.write_str("ends without the end marker"),
            Self::BytesAfterEnd => f.write_str("more than zeros follows the end marker"),
            Self::Malformed(reason) | Self::Source(reason) => f.write_str(reason),
        }
    }
}

/// The samples of one shard, in its order.
///
/// Yields an error at most once, for bytes that are no tar, and then nothing more.
pub struct ShardReader<R> {
    members: Members<R>,
    shard: Arc<str>,
    pending: Option<Sample>,
    /// Extensions of the sample delivered last.
    previous: Vec<String>,
    samples: u64,
    /// Samples that are passed over before the first is delivered.
    passed_over: u64,
    /// The last of them.
    passed_key: Option<SampleKey>,
    proof: Proof,
    end: Option<ShardEnd>,
    /// An error that waits for the sample before it to be taken.
    trouble: Option<Error>,
}

impl ShardReader<Box<dyn Read + Send>> {
    /// Opens the shard at `uri`; one that is compressed (gzip, bzip2, xz, zstd) is unpacked, whatever it is called.
    ///
    /// # Errors
    /// When there is nothing to read at `uri`.
    pub fn open(uri: &ShardUri) -> Result<Self> {
        Self::of_source(uri, store::open(uri)?)
    }

    /// The same, by way of a cache on this machine's disk.
    ///
    /// # Errors
    /// Those of [`ShardReader::open`], and when the disk refuses.
    pub fn open_cached(uri: &ShardUri, cache: &Cache) -> Result<Self> {
        Self::of_source(uri, cache.open(uri)?)
    }

    fn of_source(uri: &ShardUri, source: Box<dyn Read + Send>) -> Result<Self> {
        let failed = |e: std::io::Error| Error::Source { uri: uri.to_string(), reason: e.to_string() };
        Ok(Self::new(&uri.to_string(), unpacked(source).map_err(failed)?))
    }
}

impl<R: Read> ShardReader<R> {
    /// Reads the tar that `source` delivers; `shard` names it in samples and errors.
    pub fn new(shard: &str, source: R) -> Self {
        Self {
            members: Members::new(source, MAX_MEMBER_BYTES),
            shard: shard.into(),
            pending: None,
            previous: Vec::new(),
            samples: 0,
            passed_over: 0,
            passed_key: None,
            proof: Proof::default(),
            end: None,
            trouble: None,
        }
    }

    /// What the shard is called.
    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// Takes a tar without end marker for whole where this says so.
    #[must_use]
    pub fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    /// Delivers no sample before the one of index `count`: contents of the others are not kept. They count as samples of
    /// the shard all the same.
    pub fn pass_over(&mut self, count: u64) {
        self.passed_over = count;
    }

    /// Takes a member, or members of one sample, of more than `bytes` for an error.
    #[must_use]
    pub fn with_max_member_bytes(mut self, bytes: u64) -> Self {
        self.members.max_member_bytes = bytes;
        self
    }

    /// Members so far that are part of no sample, though they may have been meant to: links, devices, files without an
    /// extension. Folders, global headers and reserved names such as `__meta__` are none.
    pub fn members_left_out(&self) -> u64 {
        self.members.left_out
    }

    /// How many samples its writer recorded, where the shard is complete and has another number.
    pub fn miscount(&self) -> Option<u64> {
        let Some(ShardEnd::Complete { samples }) = &self.end else { return None };
        self.proof.samples.filter(|recorded| recorded != samples)
    }

    /// The key of the last sample that was passed over.
    pub fn passed_key(&self) -> Option<&SampleKey> {
        self.passed_key.as_ref()
    }

    /// How the shard ended; `None` while there may be more samples.
    pub fn end(&self) -> Option<&ShardEnd> {
        self.end.as_ref()
    }

    /// Takes in a member; returns the sample that it closes.
    fn take(&mut self, entry: &Entry) -> std::result::Result<Option<Sample>, Stop> {
        let Some((key, extension)) = split_name(&entry.name) else {
            return self.members.pass_over(entry).map(|()| None);
        };
        let continues = self
            .pending
            .as_ref()
            .is_some_and(|sample| sample.key.as_str() == key && !has_extension(sample, &extension));
        let index = self.samples + u64::from(self.pending.is_some() && !continues);
        let bytes = if index < self.passed_over {
            self.members.pass_over(entry).map(|()| Bytes::new())?
        } else {
            if continues {
                self.check_sample(entry)?;
            }
            self.members.content(entry).map(Bytes::from)?
        };
        let closed = if continues { None } else { self.pending.take() };
        let shard = &self.shard;
        let sample = self.pending.get_or_insert_with(|| Sample {
            key: SampleKey::new(key),
            fields: Vec::new(),
            shard: Arc::clone(shard),
            offset: entry.offset,
        });
        sample.fields.push(Field { extension, bytes });
        Ok(closed)
    }

    /// Refuses a member that would make its sample larger than any is: one is held in memory as a whole.
    fn check_sample(&self, entry: &Entry) -> std::result::Result<(), Stop> {
        let Some(sample) = &self.pending else { return Ok(()) };
        let held: u64 = sample.fields.iter().map(|field| field.bytes.len() as u64).sum();
        let (most, key, offset) = (self.members.max_member_bytes, &sample.key, entry.offset);
        // Its name keeps the sample from being taken for one that ended before.
        let name = Some(entry.name.clone());
        if sample.fields.len() >= MOST_FIELDS {
            let reason = format!("sample `{key}` has more than {MOST_FIELDS} members");
            return Err(Stop::Malformed { offset, reason, name });
        }
        if held.saturating_add(entry.size) > most {
            let reason = format!("sample `{key}` has more than {most} bytes");
            return Err(Stop::Malformed { offset, reason, name });
        }
        Ok(())
    }

    /// Counts a sample; `None` for one that is passed over.
    fn deliver(&mut self, sample: Sample) -> Option<Sample> {
        self.samples += 1;
        self.previous.clear();
        self.previous.extend(sample.fields.iter().map(|field| field.extension.clone()));
        if self.samples > self.passed_over {
            return Some(sample);
        }
        self.passed_key = Some(sample.key);
        None
    }

    /// Whether the sample that a cut left open has all its members: the cut is in another one,
    /// and it has what the sample before it has; the very first must be more than one member.
    fn is_whole(&self, sample: &Sample, cut_key: Option<&SampleKey>) -> bool {
        let has_all = self.previous.iter().all(|extension| has_extension(sample, extension));
        let is_told = !self.previous.is_empty() || sample.fields.len() > 1;
        cut_key != Some(&sample.key) && has_all && is_told
    }

    fn stop(&mut self, stop: Stop) -> Option<Result<Sample>> {
        let (offset, reason, name) = match stop {
            Stop::AfterSamples { offset, reason } => {
                let last = self.pending.take().and_then(|sample| self.deliver(sample));
                self.end = Some(self.judge(reason, offset, None));
                return last.map(Ok);
            }
            Stop::Cut { offset, reason, name } => (offset, reason, name),
            Stop::Malformed { offset, reason, name } => {
                let shard = self.shard.to_string();
                self.trouble = Some(Error::Malformed { shard, offset, reason: reason.clone() });
                (offset, IncompleteReason::Malformed(reason), name)
            }
        };
        let mut key = name.as_deref().and_then(split_name).map(|(key, _)| SampleKey::new(key));
        let mut last = None;
        if let Some(sample) = self.pending.take() {
            if self.is_whole(&sample, key.as_ref()) {
                last = self.deliver(sample);
            } else {
                key = key.or(Some(sample.key));
            }
        }
        self.end = Some(self.judge(reason, offset, key));
        last.map(Ok).or_else(|| self.trouble.take().map(Err))
    }

    /// An early end, unless all that is missing is the marker and it is not needed.
    fn judge(&self, reason: IncompleteReason, offset: u64, key: Option<SampleKey>) -> ShardEnd {
        let samples = self.samples;
        let lacks_marker_only = reason == IncompleteReason::NoEndMarker && key.is_none();
        if lacks_marker_only && self.proof.holds(samples, offset) {
            return ShardEnd::Complete { samples };
        }
        ShardEnd::Incomplete { samples, reason, offset, key }
    }
}

impl<R: Read> Iterator for ShardReader<R> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.end.is_none() {
            let event = match self.members.next_event() {
                Ok(event) => event,
                Err(stop) => return self.stop(stop),
            };
            let closed = match event {
                Event::Member(entry) => match self.take(&entry) {
                    Ok(closed) => closed,
                    Err(stop) => return self.stop(stop),
                },
                Event::End => {
                    let last = self.pending.take();
                    let last = last.and_then(|sample| self.deliver(sample));
                    self.end = Some(ShardEnd::Complete { samples: self.samples });
                    return last.map(Ok);
                }
            };
            if let Some(sample) = closed.and_then(|sample| self.deliver(sample)) {
                return Some(Ok(sample));
            }
        }
        self.trouble.take().map(Err)
    }
}

fn has_extension(sample: &Sample, extension: &str) -> bool {
    sample.fields.iter().any(|field| field.extension == extension)
}

#[cfg(test)]
mod tests;
