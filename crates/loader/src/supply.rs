//! What the streams of a rank have ready, dealt out to lanes, and where each stream would have to begin to give the rest
//! again.

use std::collections::VecDeque;

use crossbeam_channel::Receiver;

use crate::candidate::Candidate;
use crate::error::Result;
use crate::lanes::Lanes;
use crate::position::{Cursor, Loss, StreamPosition};
use crate::split::Replica;
use crate::stream::Block;

/// The streams that a rank reads.
pub(crate) struct Supply {
    lanes: Lanes,
    replica: Replica,
    streams: Vec<Stream>,
    /// Of each lane, what was dealt to it and not taken.
    waiting: Vec<VecDeque<(u64, Candidate)>>,
    /// Blocks of epochs before this one are of no use.
    epoch: u64,
}

/// A stream as its rank sees it.
pub(crate) struct Stream {
    pub(crate) stream: usize,
    pub(crate) blocks: Receiver<Result<Block>>,
    /// Where it began, for as long as no block has come.
    pub(crate) at: Cursor,
    pub(crate) losses: Vec<Loss>,
    /// Blocks that came and are not used up, in order, the last being dealt out.
    pub(crate) infos: VecDeque<BlockInfo>,
    pub(crate) candidates: std::vec::IntoIter<Candidate>,
    /// Index within the stream of the next candidate.
    pub(crate) next: u64,
}

/// A block without its samples.
pub(crate) struct BlockInfo {
    pub(crate) start: Cursor,
    pub(crate) end: Cursor,
    pub(crate) losses: Vec<Loss>,
    /// Index within the stream of its first candidate, and of the first one behind it.
    pub(crate) first: u64,
    pub(crate) behind: u64,
}

impl Supply {
    pub(crate) fn new(lanes: Lanes, replica: Replica, streams: Vec<Stream>, epoch: u64) -> Self {
        let mut waiting = Vec::new();
        waiting.resize_with(lanes.lanes, VecDeque::new);
        Self { lanes, replica, streams, waiting, epoch }
    }

    /// The streams that a rank reads: those that feed one of its lanes.
    pub(crate) fn streams_of(lanes: Lanes, replica: Replica) -> Vec<usize> {
        let own =
            |stream: &usize| (*stream..lanes.lanes).step_by(lanes.streams).any(|lane| lanes.is_own(lane, replica));
        (0..lanes.streams).filter(own).collect()
    }

    fn place(&self, stream: usize) -> usize {
        // A lane of this rank asks only for its own stream.
        self.streams.iter().position(|known| known.stream == stream).unwrap_or(0)
    }

    /// Where the stream's blocks come from.
    pub(crate) fn receiver(&self, stream: usize) -> &Receiver<Result<Block>> {
        &self.streams[self.place(stream)].blocks
    }

    /// Takes in the next block of a stream.
    pub(crate) fn accept(&mut self, stream: usize, block: Block) {
        if block.start.epoch < self.epoch {
            return;
        }
        let place = self.place(stream);
        let stream = &mut self.streams[place];
        let Block { start, end, losses, candidates } = block;
        let (first, behind) = (stream.next, stream.next + candidates.len() as u64);
        stream.infos.push_back(BlockInfo { start, end, losses, first, behind });
        stream.candidates = candidates.into_iter();
    }

    /// The next candidate of `lane` and which one it is; `None` until its stream has given another block. Candidates before
    /// the one that `used` says of each lane were trained on already.
    pub(crate) fn take(&mut self, lane: usize, used: impl Fn(usize) -> u64) -> Option<(u64, Candidate)> {
        let place = self.place(self.lanes.stream_of(lane));
        while self.waiting[lane].is_empty() {
            let stream = &mut self.streams[place];
            let candidate = stream.candidates.next()?;
            let (taker, turn) =
                (self.lanes.of_candidate(stream.stream, stream.next), self.lanes.turn_of_candidate(stream.next));
            stream.next += 1;
            if self.lanes.is_own(taker, self.replica) && turn >= used(taker) {
                self.waiting[taker].push_back((turn, candidate));
            }
        }
        self.waiting[lane].pop_front()
    }

    /// Drops what is left of an epoch.
    pub(crate) fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.waiting.iter_mut().for_each(VecDeque::clear);
        for stream in &mut self.streams {
            stream.infos.clear();
            stream.candidates = Vec::new().into_iter();
            stream.next = 0;
            (stream.at, stream.losses) = (Cursor { epoch, ..Cursor::default() }, Vec::new());
        }
    }

    /// Where each stream stands when lanes have used up so many of their candidates.
    pub(crate) fn positions(&mut self, used: impl Fn(usize) -> u64) -> Vec<StreamPosition> {
        let (lanes, replica) = (self.lanes, self.replica);
        let mut positions = Vec::with_capacity(self.streams.len());
        for stream in &mut self.streams {
            let own = (stream.stream..lanes.lanes).step_by(lanes.streams).filter(|lane| lanes.is_own(*lane, replica));
            let own: Vec<(usize, u64)> = own.map(|lane| (lane, used(lane))).collect();
            let next = own.iter().map(|(lane, used)| lanes.candidate(*lane, *used)).min().unwrap_or(0);
            while stream.infos.len() > 1 && stream.infos.front().is_some_and(|info| info.behind <= next) {
                stream.infos.pop_front();
            }
            let (block, first, losses) = match stream.infos.front() {
                None => (stream.at, stream.next, stream.losses.clone()),
                // One that is used up need not be read again.
                Some(info) if info.behind <= next => (info.end, info.behind, Vec::new()),
                Some(info) => (info.start, info.first, info.losses.clone()),
            };
            positions.push(StreamPosition { stream: stream.stream, block, first, lanes: own, losses });
        }
        positions
    }
}
