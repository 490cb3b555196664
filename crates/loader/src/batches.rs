//! The batches of a run, one after the other without end, and the threads that make them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::batch::Batch;
use crate::config::Sampling;
use crate::context::Context;
use crate::decode;
use crate::error::{Error, Result};
use crate::pipeline::{Delivery, Ends, Pipeline};
use crate::position::{Cursor, LoaderPosition};
use crate::stop::Stop;
use crate::stream::{self, StreamStart};
use crate::supply::{Stream, Supply};
use crate::times::LoaderMetrics;

/// How often whoever waits for a batch looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long threads that may wait for a source are waited for. They end by themselves once it answers.
const PATIENCE: Duration = Duration::from_secs(2);

/// Batches, all of them full; they end only after an error, or when the configuration's stop is set.
pub struct Batches {
    context: Arc<Context>,
    /// `None` once ended.
    deliveries: Option<Receiver<Result<Delivery>>>,
    taken: Option<Sender<()>>,
    position: LoaderPosition,
    /// Ends the threads.
    stop: Stop,
    /// Disconnected once all threads have ended.
    alive: Receiver<()>,
    started: Instant,
}

impl Batches {
    /// Starts the threads. The position fits the context.
    pub(crate) fn start(context: Arc<Context>, position: LoaderPosition) -> Self {
        let (alive, all_ended) = bounded(0);
        let (stop, epoch) = (context.config.stop.child(), Arc::new(AtomicU64::new(position.epoch)));
        let (jobs, queued) = unbounded();
        let (done, results) = unbounded();
        let (batches, deliveries) = unbounded();
        let (take, taken) = unbounded();
        let (home, returned) = unbounded();
        decode::start(&context, &queued, &done, &alive);
        let supply = supply(&context, &position, &epoch, &stop, &alive);
        // None of these needs a bound of its own: two batches are under way at most.
        let ends = Ends { jobs, results, batches, taken, home, returned };
        let pipeline = Pipeline::new(Arc::clone(&context), stop.clone(), ends, supply, position.clone(), epoch);
        thread::spawn(move || {
            let _alive = alive;
            pipeline.run();
        });
        let (deliveries, taken) = (Some(deliveries), Some(take));
        Self { context, deliveries, taken, position, stop, alive: all_ended, started: Instant::now() }
    }

    /// Where the run stands behind the last batch that was taken.
    pub fn position(&self) -> &LoaderPosition {
        &self.position
    }

    /// Batches that are left of the epoch of the next one.
    pub fn left_in_epoch(&self) -> u64 {
        let config = &self.context.config;
        let global_batch = config.batch_size as u64 * config.replica.world_size as u64;
        self.position.epoch_samples.saturating_sub(self.position.samples).div_ceil(global_batch)
    }

    /// Where time went since the threads were started.
    pub fn metrics(&self) -> LoaderMetrics {
        let examples = self.context.tally.lock().counts.examples;
        self.context.tally.times().metrics(self.started, examples)
    }

    fn end(&mut self) {
        self.stop.set();
        (self.deliveries, self.taken) = (None, None);
        // Those that wait for a source which does not answer are left to themselves.
        let _ = self.alive.recv_timeout(PATIENCE);
    }

    fn wait(&mut self) -> Option<Result<Delivery>> {
        loop {
            if self.context.config.stop.is_set() {
                return None;
            }
            match self.deliveries.as_ref()?.recv_timeout(LOOK_EVERY) {
                // What ends because it was told to has nothing to tell.
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) if self.context.config.stop.is_set() => return None,
                Ok(delivery) => return Some(delivery),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Some(Err(Error::Thread { thread: "batching" })),
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let started = Instant::now();
        let delivery = self.wait();
        self.context.tally.times().stall.add(started.elapsed());
        match delivery {
            Some(Ok(Delivery { batch, position })) => {
                // The pipeline may have ended with an error, which is then the next to be heard.
                let _ = self.taken.as_ref().map(|taken| taken.send(()));
                self.position = position;
                Some(Ok(batch))
            }
            Some(Err(error)) => {
                self.end();
                Some(Err(error))
            }
            None => {
                self.end();
                None
            }
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the streams of this rank where the position has them.
fn supply(
    context: &Arc<Context>,
    position: &LoaderPosition,
    epoch: &Arc<AtomicU64>,
    stop: &Stop,
    alive: &Sender<()>,
) -> Supply {
    let (lanes, replica) = (context.plan.lanes, context.config.replica);
    let epoch_of_order = if context.plan.sampling == Sampling::Once { position.epoch } else { 0 };
    let begin = |stream: usize| {
        let known = position.streams.iter().find(|known| known.stream == stream);
        let fresh = Cursor { epoch: epoch_of_order, ..Cursor::default() };
        let (at, losses) = known.map_or((fresh, Vec::new()), |known| (known.block, known.losses.clone()));
        let next = known.map_or(0, |known| known.first);
        let (epoch, stop, alive) = (Arc::clone(epoch), stop.clone(), alive.clone());
        let start = StreamStart { stream, at, losses: losses.clone(), epoch, stop, alive };
        let (blocks, candidates) = (stream::start(context, start), Vec::new().into_iter());
        Stream { stream, blocks, at, losses, infos: Default::default(), candidates, next }
    };
    let streams = Supply::streams_of(lanes, replica).into_iter().map(begin).collect();
    Supply::new(lanes, replica, streams, epoch_of_order)
}
