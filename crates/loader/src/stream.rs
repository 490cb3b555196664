//! One stream as blocks: a thread that fills a part of the shuffle buffer with candidates, brings them into a random order,
//! and hands them over when the block before is used up.
//!
//! A block is filled up to a number of bytes, and ends with a pass, so which candidates it has, and in which order, depends
//! on the data and the seed alone. While one block is used up, the next is filled: each has half of the stream's buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::candidate::{Candidate, Content};
use crate::config::Sampling;
use crate::context::{Context, Data};
use crate::error::{Error, Result};
use crate::plan::Pass;
use crate::position::{Cursor, Loss};
use crate::seed::{Domain, Draws};
use crate::stop::Stop;
use crate::walk::{ShardWalk, Step};

/// Read ahead where nothing is mixed.
const UNMIXED_BYTES: u64 = 4 << 20;

/// The first blocks are smaller, so that the first batch need not wait for half of the buffer.
const FIRST_BLOCKS: u64 = 3;

/// Candidates in the order in which they are used.
pub(crate) struct Block {
    pub(crate) start: Cursor,
    /// Where the next block begins.
    pub(crate) end: Cursor,
    pub(crate) losses: Vec<Loss>,
    pub(crate) candidates: Vec<Candidate>,
}

/// What a stream's thread is started with.
pub(crate) struct StreamStart {
    pub(crate) stream: usize,
    pub(crate) at: Cursor,
    pub(crate) losses: Vec<Loss>,
    /// The epoch that is trained on: a stream whose order depends on epochs follows it.
    pub(crate) epoch: Arc<AtomicU64>,
    pub(crate) stop: Stop,
    /// Dropped when the thread ends.
    pub(crate) alive: Sender<()>,
}

/// Starts the thread; blocks come until it is stopped, or an error.
pub(crate) fn start(context: &Arc<Context>, start: StreamStart) -> Receiver<Result<Block>> {
    // Nothing lies in the channel: a block that is full is held by the thread that filled it.
    let (send, receive) = bounded(0);
    let context = Arc::clone(context);
    thread::spawn(move || {
        let _alive = start.alive.clone();
        let filled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fill_all(&context, &start, &send)));
        if filled.is_err() {
            // Nobody hears it once the batches are no longer wanted.
            let _ = send.send(Err(Error::Thread { thread: "reading" }));
        }
    });
    receive
}

fn fill_all(context: &Arc<Context>, start: &StreamStart, send: &Sender<Result<Block>>) {
    let mut filler = Filler::new(Arc::clone(context), start);
    while !start.stop.is_set() {
        let block = filler.fill();
        let is_error = block.is_err();
        if send.send(block).is_err() || is_error {
            return;
        }
    }
}

/// Candidates one after the other, from whatever they come from.
enum Walk {
    Shards(Box<ShardWalk>),
    Rows(RowWalk),
}

impl Walk {
    fn new(context: &Arc<Context>, start: &StreamStart, at: Cursor, losses: &[Loss]) -> Self {
        match &context.data {
            Data::Shards(shards) => {
                let (context, shards) = (Arc::clone(context), Arc::clone(shards));
                Self::Shards(Box::new(ShardWalk::new(context, shards, start.stream, at, losses, start.stop.clone())))
            }
            Data::Table(_) | Data::Synthetic => Self::Rows(RowWalk::new(Arc::clone(context), start.stream, at)),
        }
    }

    fn next(&mut self) -> Result<Step> {
        match self {
            Self::Shards(walk) => walk.next(),
            Self::Rows(walk) => Ok(walk.next()),
        }
    }

    fn cursor(&self) -> Cursor {
        match self {
            Self::Shards(walk) => walk.cursor(),
            Self::Rows(walk) => walk.at,
        }
    }

    fn take_losses(&mut self) -> Vec<Loss> {
        match self {
            Self::Shards(walk) => walk.take_losses(),
            Self::Rows(_) => Vec::new(),
        }
    }
}

/// Rows of a table: their order is random already.
struct RowWalk {
    context: Arc<Context>,
    stream: usize,
    at: Cursor,
    rows: Vec<u32>,
}

impl RowWalk {
    fn new(context: Arc<Context>, stream: usize, at: Cursor) -> Self {
        let rows = context.plan.rows(Pass { epoch: at.epoch, pass: at.pass }, stream);
        Self { context, stream, at, rows }
    }

    fn next(&mut self) -> Step {
        let Some(row) = self.rows.get(self.at.turn as usize).copied() else {
            self.at = Cursor { pass: self.at.pass + 1, turn: 0, ..self.at };
            self.rows = self.context.plan.rows(Pass { epoch: self.at.epoch, pass: self.at.pass }, self.stream);
            return Step::PassEnd;
        };
        self.at.turn += 1;
        self.context.tally.lock().counts.samples += 1;
        let place = [self.at.epoch, self.at.pass, u64::from(row), 0, 0];
        Step::Candidate(self.context.row(row as usize, self.at.pass, place))
    }
}

impl Context {
    /// What rows are told to be of.
    fn rows_name(&self) -> Arc<str> {
        match &self.data {
            Data::Table(table) => table.name(),
            Data::Shards(_) | Data::Synthetic => Arc::from("synthetic data"),
        }
    }

    fn row(&self, row: usize, pass: u64, place: [u64; 5]) -> Candidate {
        let (picture, caption) = match &self.data {
            Data::Table(table) => {
                let (path, caption) = table.row(row);
                (Content::File(path), caption.to_owned())
            }
            Data::Shards(_) | Data::Synthetic => (Content::Black, SYNTHETIC_CAPTION.to_owned()),
        };
        let key = match &picture {
            Content::File(path) => path.display().to_string(),
            Content::Black | Content::Bytes(_) => row.to_string(),
        };
        Candidate { key: shards::SampleKey::new(key), shard: self.rows_name(), picture, caption, pass, place }
    }
}

/// open_clip's caption of synthetic samples.
const SYNTHETIC_CAPTION: &str = "Dummy caption";

struct Filler<'a> {
    context: Arc<Context>,
    start: &'a StreamStart,
    walk: Walk,
    block: u64,
    /// Passes in a row without a candidate.
    empty: u64,
    has_any: bool,
}

impl<'a> Filler<'a> {
    fn new(context: Arc<Context>, start: &'a StreamStart) -> Self {
        let walk = Walk::new(&context, start, start.at, &start.losses);
        // What is left of a pass is no proof that it had nothing.
        Self { context, start, walk, block: start.at.block, empty: 0, has_any: start.at.is_within_pass() }
    }

    fn cursor(&self) -> Cursor {
        Cursor { block: self.block, ..self.walk.cursor() }
    }

    /// Goes to the start of the epoch that is trained on, where order depends on it and this is an earlier one.
    fn follow_epoch(&mut self) -> bool {
        let epoch = self.start.epoch.load(Ordering::Acquire);
        if self.context.plan.sampling != Sampling::Once || self.walk.cursor().epoch >= epoch {
            return false;
        }
        self.walk = Walk::new(&self.context, self.start, Cursor { epoch, ..Cursor::default() }, &[]);
        self.block = 0;
        true
    }

    fn fill(&mut self) -> Result<Block> {
        self.follow_epoch();
        let mut start = self.cursor();
        let (mut candidates, mut bytes) = (Vec::new(), 0);
        while bytes < self.block_bytes() && !self.start.stop.is_set() {
            if self.follow_epoch() {
                (start, bytes) = (self.cursor(), 0);
                candidates.clear();
            }
            match self.walk.next()? {
                Step::Candidate(candidate) => {
                    bytes += candidate.bytes();
                    candidates.push(candidate);
                    self.has_any = true;
                }
                Step::PassEnd => {
                    self.pass_ended()?;
                    // A sample comes again only after all have come.
                    if self.context.plan.sampling != Sampling::Resampled && !candidates.is_empty() {
                        break;
                    }
                }
            }
        }
        if self.context.config.shuffle_buffer > 0 {
            let place = [start.epoch, self.block, self.start.stream as u64];
            Draws::new(self.context.plan.seed, Domain::SampleOrder, &place).shuffle(&mut candidates);
        }
        self.block += 1;
        Ok(Block { start, end: self.cursor(), losses: self.walk.take_losses(), candidates })
    }

    fn pass_ended(&mut self) -> Result<()> {
        self.empty = if self.has_any { 0 } else { self.empty + 1 };
        self.has_any = false;
        if self.empty >= self.context.patience() && !self.start.stop.is_set() {
            return Err(self.context.no_usable_sample("a whole pass"));
        }
        Ok(())
    }

    /// Half of the stream's part of the buffer.
    fn block_bytes(&self) -> u64 {
        let buffer = self.context.config.shuffle_buffer;
        if buffer == 0 {
            return UNMIXED_BYTES / self.context.plan.lanes.streams as u64;
        }
        let whole = buffer / (2 * self.context.plan.lanes.streams as u64);
        (whole >> FIRST_BLOCKS.saturating_sub(self.block)).max(1)
    }
}
