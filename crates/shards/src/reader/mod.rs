//! Reads one shard, and says how it ended.
//!
//! Members are grouped as open_clip groups them: a new sample begins where the key changes or
//! the extension is already there; names such as `__meta__` and members that are no files are
//! passed over. Unlike there, a shard that is cut short never looks like a whole one: after the
//! last sample [`ShardReader::end`] is [`ShardEnd::Complete`] only if the tar's end marker was
//! seen and its source vouched for every byte up to its end.

mod blocks;
mod header;
mod members;

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::key::{SampleKey, split_name};
use crate::sample::{Field, Sample};
use crate::store;
use crate::uri::ShardUri;

use members::{Event, Member, Members, Stop};

/// Largest member that is read unless [`ShardReader::with_max_member_bytes`] says otherwise.
pub const MAX_MEMBER_BYTES: u64 = 1 << 30;

/// How a shard ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEnd {
    /// With its end marker, and nothing behind it.
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
    /// A block is not what tar asks for; the reader returned the error.
    Malformed,
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
            Self::Malformed => "malformed",
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
            Self::Malformed => f.write_str("malformed"),
            Self::Source(reason) => f.write_str(reason),
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
    end: Option<ShardEnd>,
    /// An error that waits for the sample before it to be taken.
    trouble: Option<Error>,
}

impl ShardReader<Box<dyn Read + Send>> {
    /// Opens the shard at `uri`; one that is gzipped is decompressed, whatever it is called.
    ///
    /// # Errors
    /// When there is nothing to read at `uri`.
    pub fn open(uri: &ShardUri) -> Result<Self> {
        let failed = |e: std::io::Error| Error::Source { uri: uri.to_string(), reason: e.to_string() };
        let source = decompressed(store::open(uri)?).map_err(failed)?;
        Ok(Self::new(&uri.to_string(), source))
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
            end: None,
            trouble: None,
        }
    }

    /// Takes a header that announces more than `bytes` for an error.
    #[must_use]
    pub fn with_max_member_bytes(mut self, bytes: u64) -> Self {
        self.members.max_member_bytes = bytes;
        self
    }

    /// How the shard ended; `None` while there may be more samples.
    pub fn end(&self) -> Option<&ShardEnd> {
        self.end.as_ref()
    }

    /// Takes in a member; returns the sample that it closes.
    fn group(&mut self, member: Member) -> Option<Sample> {
        let (key, extension) = split_name(&member.name)?;
        let continues = self
            .pending
            .as_ref()
            .is_some_and(|sample| sample.key.as_str() == key && !has_extension(sample, &extension));
        let closed = if continues { None } else { self.pending.take() };
        let shard = &self.shard;
        let sample = self.pending.get_or_insert_with(|| Sample {
            key: SampleKey::new(key),
            fields: Vec::new(),
            shard: Arc::clone(shard),
            offset: member.offset,
        });
        sample.fields.push(Field { extension, bytes: Bytes::from(member.content) });
        closed
    }

    fn deliver(&mut self, sample: Sample) -> Sample {
        self.samples += 1;
        self.previous = sample.fields.iter().map(|field| field.extension.clone()).collect();
        sample
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
                let last = self.pending.take().map(|sample| self.deliver(sample));
                self.end = Some(ShardEnd::Incomplete { samples: self.samples, reason, offset, key: None });
                return last.map(Ok);
            }
            Stop::Cut { offset, reason, name } => (offset, reason, name),
            Stop::Malformed { offset, reason } => {
                self.trouble = Some(Error::Malformed { shard: self.shard.to_string(), offset, reason });
                (offset, IncompleteReason::Malformed, None)
            }
        };
        let mut key = name.as_deref().and_then(split_name).map(|(key, _)| SampleKey::new(key));
        let mut last = None;
        if let Some(sample) = self.pending.take() {
            if self.is_whole(&sample, key.as_ref()) {
                last = Some(self.deliver(sample));
            } else {
                key = key.or(Some(sample.key));
            }
        }
        self.end = Some(ShardEnd::Incomplete { samples: self.samples, reason, offset, key });
        last.map(Ok).or_else(|| self.trouble.take().map(Err))
    }
}

impl<R: Read> Iterator for ShardReader<R> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.end.is_none() {
            match self.members.next_event() {
                Ok(Event::Member(member)) => {
                    if let Some(closed) = self.group(member) {
                        return Some(Ok(self.deliver(closed)));
                    }
                }
                Ok(Event::End) => {
                    let last = self.pending.take().map(|sample| self.deliver(sample));
                    self.end = Some(ShardEnd::Complete { samples: self.samples });
                    return last.map(Ok);
                }
                Err(stop) => return self.stop(stop),
            }
        }
        self.trouble.take().map(Err)
    }
}

fn has_extension(sample: &Sample, extension: &str) -> bool {
    sample.fields.iter().any(|field| field.extension == extension)
}

/// `source` itself, or through gzip where it begins as gzip does.
fn decompressed(mut source: Box<dyn Read + Send>) -> std::io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::with_capacity(2);
    (&mut source).take(2).read_to_end(&mut start)?;
    let is_gzip = start == [0x1f, 0x8b];
    let whole = std::io::Cursor::new(start).chain(source);
    Ok(if is_gzip { Box::new(flate2::read::MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

#[cfg(test)]
mod tests;
