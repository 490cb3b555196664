//! Where a run stands in its data: small, and enough to go on with the very next batch, on any number of ranks and threads.
//!
//! Nothing of the samples themselves is in it. Streams are read again from the start of the block of the shuffle buffer
//! that they stood in; what was trained on before is passed over without being decoded. Format: JSON, version 1.

use serde::{Deserialize, Serialize};

use crate::config::Sampling;
use crate::error::{Error, Result};

/// The format that is written, and read.
const VERSION: u32 = 1;

/// Where batches go on. That of one rank holds the streams that it reads; [`LoaderPosition::merged`] makes one of those of
/// all ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoaderPosition {
    /// Version of the format.
    pub version: u32,
    /// What the order depends on; it must stay.
    pub order: Order,
    /// `--workers` as they were at the start of the run, by which epochs are rounded.
    pub workers: usize,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Samples of this epoch that all ranks together have had.
    pub samples: u64,
    /// Samples that all ranks together get in this epoch.
    pub epoch_samples: u64,
    /// The next sample of the global stream.
    pub slot: u64,
    /// The streams that have begun.
    pub streams: Vec<StreamPosition>,
}

/// What the order of samples depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// A hash of the names of all shards, or the rows of the table, in their order, and of their weights.
    pub data: String,
    /// Seed of every draw.
    pub seed: u64,
    /// How shards are drawn.
    pub sampling: Sampling,
    /// Bytes of the shuffle buffer over all ranks.
    pub shuffle_buffer: u64,
    /// Lanes of the run.
    pub lanes: usize,
    /// Streams that feed them.
    pub streams: usize,
    /// Whether the sizes of all shards were known.
    pub sizes_known: bool,
}

/// Where one stream stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPosition {
    /// Which stream.
    pub stream: usize,
    /// Where its present block begins.
    pub block: Cursor,
    /// Index within the stream of the block's first candidate.
    pub first: u64,
    /// Candidates that each of its lanes has used up, with the lane's number.
    pub lanes: Vec<(usize, u64)>,
    /// Shards that were given up within the block.
    pub losses: Vec<Loss>,
}

/// A place between two samples of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// The epoch whose order it is; 0 where order does not depend on epochs.
    pub epoch: u64,
    /// The pass, from 0.
    pub pass: u64,
    /// Which of the stream's shards in that pass.
    pub turn: u64,
    /// Index in the shard of the next sample.
    pub sample: u64,
    /// Blocks before this place.
    pub block: u64,
}

/// A shard that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The pass.
    pub pass: u64,
    /// Which of the stream's shards in that pass.
    pub turn: u64,
    /// Samples that it gave before.
    pub samples: u64,
}

impl Cursor {
    /// Whether something of its pass lies before it.
    pub(crate) fn is_within_pass(&self) -> bool {
        self.turn > 0 || self.sample > 0
    }
}

impl LoaderPosition {
    /// The start of a run.
    pub(crate) fn start(order: Order, workers: usize, epoch_samples: u64) -> Self {
        Self { version: VERSION, order, workers, epoch: 0, samples: 0, epoch_samples, slot: 0, streams: Vec::new() }
    }

    /// The position of a run by those of all its ranks, which have had the same number of batches.
    ///
    /// # Errors
    /// [`Error::Position`] when there is none, or when they are not of one moment of one run.
    pub fn merged(parts: &[Self]) -> Result<Self> {
        let mut parts = parts.iter();
        let mut whole = parts.next().ok_or_else(|| differs("parts", "at least 1", "0"))?.clone();
        for part in parts {
            whole.order.check(&part.order)?;
            let moment = |position: &Self| format!("epoch {}, sample {}", position.epoch, position.samples);
            if moment(&whole) != moment(part) || whole.slot != part.slot {
                return Err(differs("moment", &moment(&whole), &moment(part)));
            }
            for stream in &part.streams {
                match whole.streams.iter_mut().find(|known| known.stream == stream.stream) {
                    Some(known) => known.join(stream),
                    None => whole.streams.push(stream.clone()),
                }
            }
        }
        whole.streams.sort_by_key(|stream| stream.stream);
        Ok(whole)
    }

    /// Whether a loader of this `order` may go on from here.
    pub(crate) fn check(&self, order: &Order) -> Result<()> {
        if self.version != VERSION {
            return Err(differs("version of the format", &self.version.to_string(), &VERSION.to_string()));
        }
        self.order.check(order)
    }
}

impl StreamPosition {
    /// Two ranks that read the same stream may stand in different blocks of it: the earlier one has what both need.
    fn join(&mut self, other: &Self) {
        if other.first < self.first {
            (self.block, self.first, self.losses) = (other.block, other.first, other.losses.clone());
        }
        for (lane, used) in &other.lanes {
            match self.lanes.iter_mut().find(|(known, _)| known == lane) {
                Some((_, known)) => *known = (*known).max(*used),
                None => self.lanes.push((*lane, *used)),
            }
        }
    }
}

impl Order {
    fn check(&self, other: &Self) -> Result<()> {
        let text = |order: &Self| {
            [
                ("data", format!("the list of shards or rows with hash {}", order.data)),
                ("seed", order.seed.to_string()),
                ("sampling", format!("{:?}", order.sampling).to_lowercase()),
                ("shuffle_buffer", order.shuffle_buffer.to_string()),
                ("lanes", order.lanes.to_string()),
                ("open_shards", order.streams.to_string()),
                ("sizes_known", order.sizes_known.to_string()),
            ]
        };
        for ((setting, expected), (_, got)) in text(self).into_iter().zip(text(other)) {
            if expected != got {
                return Err(differs(setting, &expected, &got));
            }
        }
        Ok(())
    }
}

fn differs(setting: &'static str, expected: &str, got: &str) -> Error {
    Error::Position { setting, expected: expected.into(), got: got.into() }
}
