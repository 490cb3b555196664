//! From the blocks of streams to batches, by one thread: it hands candidates to the decoding threads, each with its place in
//! a batch, and puts what comes back where it belongs.
//!
//! Each slot of the run is one lane's, and slot `n` of a lane takes the lane's `n`-th candidate that can be decoded. A
//! candidate is given the place that it has if none before it fails; where one does, those behind it in the lane move up by
//! one, which copies their pixels. So the order depends on bytes alone, and nothing waits for a slow picture but its batch.
//! Two batches are under way at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select};
use shards::SampleKey;

use crate::assembly::Assembly;
use crate::batch::Batch;
use crate::candidate::Candidate;
use crate::config::Sampling;
use crate::context::Context;
use crate::decode::{Done, Job, Outcome};
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::position::LoaderPosition;
use crate::stats::is_worth_a_line;
use crate::stop::Stop;
use crate::supply::Supply;

/// How often the thread looks whether batches are still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Batches that are put together, or wait to be taken, beside the one that is trained on.
const BATCHES: usize = 2;

/// Pictures that must fail, and none decode, before it is said that none does: lanes may meet bad ones at first.
const FAILURES: u64 = 1000;

/// So many say it before a pass is over.
const MOST_FAILURES: u64 = 100_000;

/// The ends of the channels that the thread works between.
pub(crate) struct Ends {
    pub(crate) jobs: Sender<Job>,
    pub(crate) results: Receiver<Done>,
    pub(crate) batches: Sender<Result<Delivery>>,
    /// One message for each batch that was taken.
    pub(crate) taken: Receiver<()>,
    /// Buffers of batches that are no longer used.
    pub(crate) home: Sender<BytesMut>,
    pub(crate) returned: Receiver<BytesMut>,
}

/// A batch, and where the run stands behind it.
pub(crate) struct Delivery {
    pub(crate) batch: Batch,
    pub(crate) position: LoaderPosition,
}

/// A lane of this rank.
#[derive(Default)]
struct Lane {
    /// Candidates that are decoded, in their order.
    flying: VecDeque<Flying>,
    /// Candidates that are used up.
    used: u64,
}

struct Flying {
    turn: u64,
    /// The slot whose place it was given; `None` for a place that is no batch's.
    home: Option<u64>,
    example: Option<Example>,
}

struct Example {
    key: SampleKey,
    input_ids: Vec<u32>,
    pixels: BytesMut,
    pass: u64,
}

/// The thread's state. Slots are counted over this rank's own, from 0 at the start of `origin`.
pub(crate) struct Pipeline {
    context: Arc<Context>,
    stop: Stop,
    ends: Ends,
    supply: Supply,
    lanes: Vec<Lane>,
    /// Lanes to which a candidate is owed for one that failed.
    owed: VecDeque<usize>,
    assemblies: VecDeque<Assembly>,
    /// Batches that were begun and are not taken.
    outstanding: usize,
    spare: Vec<BytesMut>,
    /// The global slot of this rank's slot 0.
    origin: u64,
    dispatched: u64,
    assembled: u64,
    /// Where the last batch ended.
    position: LoaderPosition,
    /// The epoch as the streams see it.
    epoch: Arc<AtomicU64>,
    /// Batches of this epoch that were not begun.
    to_begin: u64,
    /// Pictures that decoded since the thread started, and that did not.
    decoded: u64,
    failed: u64,
    /// The first pass that the thread has all of.
    first_pass: u64,
}

impl Pipeline {
    pub(crate) fn new(
        context: Arc<Context>,
        stop: Stop,
        ends: Ends,
        supply: Supply,
        position: LoaderPosition,
        epoch: Arc<AtomicU64>,
    ) -> Self {
        let mut lanes: Vec<Lane> = Vec::new();
        lanes.resize_with(context.plan.lanes.lanes, Lane::default);
        for (lane, used) in position.streams.iter().flat_map(|stream| &stream.lanes) {
            if let Some(lane) = lanes.get_mut(*lane) {
                lane.used = *used;
            }
        }
        let origin = Lanes::first_own(position.slot, context.config.replica);
        let first_pass = position.streams.iter().map(|stream| stream.block.pass + 1).max().unwrap_or(0);
        let mut pipeline = Self {
            stop,
            ends,
            supply,
            lanes,
            owed: VecDeque::new(),
            assemblies: VecDeque::new(),
            outstanding: 0,
            spare: Vec::new(),
            origin,
            dispatched: 0,
            assembled: 0,
            to_begin: 0,
            position,
            epoch,
            decoded: 0,
            failed: 0,
            first_pass,
            context,
        };
        pipeline.to_begin = pipeline.batches_left();
        pipeline
    }

    /// Works until batches are no longer wanted, or cannot come.
    pub(crate) fn run(mut self) {
        let error = loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => break error,
            }
        };
        // Nobody hears it once the batches are no longer wanted.
        let _ = self.ends.batches.send(Err(error));
    }

    /// Whether there is more to do.
    fn step(&mut self) -> Result<bool> {
        while self.ends.taken.try_recv().is_ok() {
            self.outstanding -= 1;
        }
        let waits_for = self.dispatch()?;
        if self.stop.is_set() {
            return Ok(false);
        }
        let never = never();
        let stream = waits_for.map_or(&never, |stream| self.supply.receiver(stream));
        let started = Instant::now();
        let is_starved = waits_for.is_some() && self.ends.jobs.is_empty();
        let mut block = None;
        select! {
            recv(self.ends.results) -> done => match done {
                Ok(done) => self.arrived(done)?,
                Err(_) => return Err(Error::Thread { thread: "decoding" }),
            },
            recv(stream) -> received => block = Some(received.map_err(|_| Error::Thread { thread: "reading" })?),
            recv(self.ends.taken) -> taken => match taken {
                Ok(()) => self.outstanding -= 1,
                Err(_) => return Ok(false),
            },
            default(LOOK_EVERY) => {}
        }
        if is_starved {
            self.context.tally.times().starved.add(started.elapsed());
        }
        if let (Some(block), Some(stream)) = (block, waits_for) {
            self.supply.accept(stream, block?);
        }
        while let Ok(done) = self.ends.results.try_recv() {
            self.arrived(done)?;
        }
        self.assemble()
    }

    fn batch_size(&self) -> u64 {
        self.context.config.batch_size as u64
    }

    /// Batches that this epoch still has, of the size that batches have now.
    fn batches_left(&self) -> u64 {
        let global_batch = self.batch_size() * self.context.config.replica.world_size as u64;
        self.position.epoch_samples.saturating_sub(self.position.samples).div_ceil(global_batch)
    }

    fn lane_of(&self, own_slot: u64) -> usize {
        let slot = self.origin + own_slot * self.context.config.replica.world_size as u64;
        self.context.plan.lanes.of_slot(slot)
    }

    /// Hands out candidates for as many slots as are open; the stream that has none ready, if that is what it ends with.
    fn dispatch(&mut self) -> Result<Option<usize>> {
        while let Some(lane) = self.owed.front().copied() {
            let Some((turn, candidate)) = self.take(lane)? else {
                return Ok(Some(self.context.plan.lanes.stream_of(lane)));
            };
            self.owed.pop_front();
            let pixels = self.spare.pop().unwrap_or_else(|| BytesMut::zeroed(self.context.picture_bytes()));
            self.send(lane, turn, None, candidate, pixels)?;
        }
        let window = (self.batch_size() + 2 * self.context.config.workers.max(1) as u64).max(2);
        while self.dispatched < self.assembled + window && self.has_room()? {
            let lane = self.lane_of(self.dispatched);
            let Some((turn, candidate)) = self.take(lane)? else {
                return Ok(Some(self.context.plan.lanes.stream_of(lane)));
            };
            let slot = self.dispatched;
            let place = self.place_of(slot).and_then(|(assembly, place)| self.assemblies[assembly].lend(place));
            let pixels = place.ok_or(Error::Thread { thread: "batching" })?;
            self.dispatched += 1;
            self.send(lane, turn, Some(slot), candidate, pixels)?;
        }
        Ok(None)
    }

    /// Which of the open batches has the place of a slot, and which place.
    fn place_of(&self, slot: u64) -> Option<(usize, usize)> {
        let first = self.assembled - self.assemblies.front().map_or(0, Assembly::len) as u64;
        let ahead = slot.checked_sub(first)?;
        let assembly = (ahead / self.batch_size()) as usize;
        (assembly < self.assemblies.len()).then_some((assembly, (ahead % self.batch_size()) as usize))
    }

    /// Whether the next slot has a place, for which a batch may have to be begun.
    fn has_room(&mut self) -> Result<bool> {
        if self.place_of(self.dispatched).is_some() {
            return Ok(true);
        }
        if self.to_begin == 0 && self.assemblies.is_empty() {
            self.begin_epoch();
        }
        if self.outstanding >= BATCHES || self.to_begin == 0 {
            return Ok(false);
        }
        let (config, picture_bytes) = (&self.context.config, self.context.picture_bytes());
        let bytes = picture_bytes * config.batch_size;
        let used = self.ends.returned.try_recv().ok().filter(|buffer| buffer.len() == bytes);
        let buffer = used.unwrap_or_else(|| BytesMut::zeroed(bytes));
        let assembly = Assembly::new(buffer, config.batch_size, picture_bytes, config.context_length);
        self.assemblies.push_back(assembly);
        self.outstanding += 1;
        self.to_begin -= 1;
        Ok(true)
    }

    /// The next epoch; where each has an order of its own, streams and lanes begin anew.
    fn begin_epoch(&mut self) {
        self.position = self.context.next_epoch(&self.position);
        self.to_begin = self.batches_left();
        if self.context.plan.sampling != Sampling::Once {
            return;
        }
        self.epoch.store(self.position.epoch, Ordering::Release);
        self.supply.begin_epoch(self.position.epoch);
        self.lanes.iter_mut().for_each(|lane| lane.used = 0);
        (self.dispatched, self.assembled) = (0, 0);
        self.origin = Lanes::first_own(0, self.context.config.replica);
    }

    /// The next candidate of a lane, and which one of the lane it is; `None` while its stream has none ready.
    fn take(&mut self, lane: usize) -> Result<Option<(u64, Candidate)>> {
        loop {
            let lanes = &self.lanes;
            if let Some(found) = self.supply.take(lane, |lane| lanes[lane].used) {
                return Ok(Some(found));
            }
            let stream = self.context.plan.lanes.stream_of(lane);
            match self.supply.receiver(stream).try_recv() {
                Ok(block) => self.supply.accept(stream, block?),
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) if self.stop.is_set() => return Ok(None),
                Err(TryRecvError::Disconnected) => return Err(Error::Thread { thread: "reading" }),
            }
        }
    }

    fn send(
        &mut self,
        lane: usize,
        turn: u64,
        home: Option<u64>,
        candidate: Candidate,
        pixels: BytesMut,
    ) -> Result<()> {
        self.lanes[lane].flying.push_back(Flying { turn, home, example: None });
        let sent = self.ends.jobs.send(Job { lane, turn, candidate, pixels });
        sent.map_err(|_| Error::Thread { thread: "decoding" })
    }

    fn arrived(&mut self, done: Done) -> Result<()> {
        let Done { lane, turn, pixels, pass, key, shard, outcome } = done;
        let flying = &mut self.lanes[lane].flying;
        let Some(at) = flying.iter().position(|flying| flying.turn == turn) else { return Ok(()) };
        match outcome {
            Outcome::Example(input_ids) => {
                flying[at].example = Some(Example { key, input_ids, pixels, pass });
                self.decoded += 1;
            }
            Outcome::Failed(error) => return Err(error),
            Outcome::Unusable(kind, reason) => {
                let home = flying.remove(at).and_then(|flying| flying.home);
                self.put_back(home, pixels);
                self.owed.push_back(lane);
                self.left_out(kind, &reason, &key, &shard, pass)?;
            }
        }
        Ok(())
    }

    /// Returns pixels that hold nothing of use to the place that they were lent from.
    fn put_back(&mut self, home: Option<u64>, pixels: BytesMut) {
        match home.and_then(|slot| self.place_of(slot)) {
            Some((assembly, place)) => self.assemblies[assembly].give_back(place, pixels),
            None => self.spare.push(pixels),
        }
    }

    fn left_out(&mut self, kind: &str, reason: &str, key: &SampleKey, shard: &str, pass: u64) -> Result<()> {
        let (count, bad) = {
            let mut stats = self.context.tally.lock();
            let count = stats.counts.undecodable.entry(kind.into()).or_default();
            *count += 1;
            let count = *count;
            stats.bad_samples += 1;
            (count, stats.bad_samples)
        };
        let error = || Error::Sample { shard: shard.into(), key: key.to_string(), reason: reason.into() };
        self.context.config.policy.on_sample_error.judge("samples", bad, error)?;
        if is_worth_a_line(count) {
            tracing::warn!("`{shard}`: sample `{key}` is left out: {reason} ({count} so far)");
        }
        self.failed += 1;
        let has_passed = pass >= self.first_pass + self.context.patience() || self.failed > MOST_FAILURES;
        if self.decoded == 0 && self.failed > FAILURES && has_passed {
            return Err(self.context.no_usable_sample("a whole pass"));
        }
        Ok(())
    }

    /// Puts into their places what is next, as far as it has come; whether batches are still wanted.
    fn assemble(&mut self) -> Result<bool> {
        let started = Instant::now();
        let before = self.assembled;
        while let Some(assembly) = self.assemblies.front_mut() {
            if assembly.is_full() {
                if !self.deliver()? {
                    return Ok(false);
                }
                continue;
            }
            let lane = self.lane_of(self.assembled);
            let Some(flying) = self.lanes[lane].flying.pop_front_if(|flying| flying.example.is_some()) else { break };
            let Some(example) = flying.example else { break };
            self.place(lane, flying.turn, flying.home, example)?;
        }
        if self.assembled > before {
            self.context.tally.times().assemble.add(started.elapsed());
        }
        Ok(true)
    }

    fn place(&mut self, lane: usize, turn: u64, home: Option<u64>, example: Example) -> Result<()> {
        let slot = self.assembled;
        let Example { key, input_ids, pixels, pass } = example;
        let Some(assembly) = self.assemblies.front_mut() else { return Err(Error::Thread { thread: "batching" }) };
        if home == Some(slot) {
            let place = assembly.len();
            assembly.give_back(place, pixels);
            assembly.push(key, &input_ids);
        } else {
            // It moved up: whatever was in this place before it has left it.
            if !assembly.copy(&pixels) {
                return Err(Error::Thread { thread: "batching" });
            }
            self.put_back(home, pixels);
            if let Some(assembly) = self.assemblies.front_mut() {
                assembly.push(key, &input_ids);
            }
        }
        self.assembled += 1;
        self.lanes[lane].used = turn + 1;
        let mut stats = self.context.tally.lock();
        stats.counts.examples += 1;
        stats.counts.repeated += u64::from(pass > 0 && self.context.plan.sampling == Sampling::Once);
        Ok(())
    }

    /// Sends the first of the open batches, which is full; whether anybody takes it.
    fn deliver(&mut self) -> Result<bool> {
        let Some(assembly) = self.assemblies.pop_front() else { return Ok(true) };
        let batch = assembly.finish(self.position.epoch, self.ends.home.clone());
        let batch = batch.ok_or(Error::Thread { thread: "batching" })?;
        let samples = self.batch_size() * self.context.config.replica.world_size as u64;
        self.position.samples += samples;
        self.position.slot += samples;
        let lanes = &self.lanes;
        self.position.streams = self.supply.positions(|lane| lanes[lane].used);
        let times = self.context.tally.times();
        times.queued.add_number(self.ends.jobs.len() as u64);
        times.ready.add_number(self.ends.batches.len() as u64);
        let is_last = self.position.samples >= self.position.epoch_samples;
        let position = if is_last { self.context.next_epoch(&self.position) } else { self.position.clone() };
        let delivery = Delivery { batch, position };
        Ok(self.ends.batches.send(Ok(delivery)).is_ok())
    }
}

impl Context {
    /// The start of the epoch behind the one that `position` is in.
    fn next_epoch(&self, position: &LoaderPosition) -> LoaderPosition {
        let mut next = position.clone();
        (next.epoch, next.samples) = (position.epoch + 1, 0);
        next.epoch_samples = self.epoch_samples(position.workers);
        if self.plan.sampling == Sampling::Once {
            next.slot = 0;
            next.streams.clear();
        }
        next
    }

    /// Bytes of a picture in a batch.
    pub(crate) fn picture_bytes(&self) -> usize {
        let side = self.config.image_size as usize;
        side * side * 3
    }
}
