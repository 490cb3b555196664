//! Work spread over threads whose results come back in the order of the jobs, so that the
//! number of threads changes nothing but the time.
//!
//! One thread draws jobs, `workers` threads do them, and whoever iterates puts the results in
//! order. At most `window` jobs are under way or waiting to be taken, whichever of them is slow.
//!
//! Threads that wait for a source cannot be woken; once a [`Stop`] is set they are not waited for either.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::error::{Error, Result};
use crate::stop::Stop;

/// How often whoever waits for a result looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Results in the order of their jobs; an error where a thread panicked, and then the end.
pub(crate) struct Ordered<O> {
    /// `None` once ended.
    channels: Option<Channels<O>>,
    waiting: BTreeMap<u64, O>,
    next: u64,
    threads: Vec<JoinHandle<()>>,
    stop: Stop,
}

struct Channels<O> {
    results: Receiver<(u64, Option<O>)>,
    permits: Receiver<()>,
}

/// Jobs under way for batches of `batch_size`: one batch is decoded while the one before it is computed with.
pub(crate) fn window(batch_size: usize, workers: usize) -> usize {
    batch_size.saturating_add(workers.saturating_mul(2))
}

/// Does `work` on `jobs` in `workers` threads.
pub(crate) fn ordered<J, O>(
    jobs: impl Iterator<Item = J> + Send + 'static,
    workers: usize,
    window: usize,
    stop: &Stop,
    work: impl Fn(J) -> O + Send + Sync + 'static,
) -> Ordered<O>
where
    J: Send + 'static,
    O: Send + 'static,
{
    let window = window.max(1);
    // Permits bound what is between drawing a job and taking its result; the other channels
    // are as large, so that only drawing ever waits for room.
    let (permit, permits) = bounded(window);
    let (queue, queued) = bounded(window);
    let (done, results) = bounded(window);
    let work = Arc::new(work);
    let mut threads = vec![thread::spawn(move || draw(jobs, &permit, &queue))];
    for _ in 0..workers.max(1) {
        let (queued, done, work) = (queued.clone(), done.clone(), Arc::clone(&work));
        threads.push(thread::spawn(move || labour(&queued, &done, work.as_ref())));
    }
    let channels = Some(Channels { results, permits });
    Ordered { channels, waiting: BTreeMap::new(), next: 0, threads, stop: stop.clone() }
}

fn draw<J>(jobs: impl Iterator<Item = J>, permit: &Sender<()>, queue: &Sender<(u64, J)>) {
    for numbered in (0..).zip(jobs) {
        if permit.send(()).is_err() || queue.send(numbered).is_err() {
            return;
        }
    }
}

fn labour<J, O>(queued: &Receiver<(u64, J)>, done: &Sender<(u64, Option<O>)>, work: &impl Fn(J) -> O) {
    for (number, job) in queued {
        let result = catch_unwind(AssertUnwindSafe(|| work(job))).ok();
        if done.send((number, result)).is_err() {
            return;
        }
    }
}

impl<O> Ordered<O> {
    /// Ends all threads; whether one of them had panicked.
    fn end(&mut self) -> bool {
        self.channels = None;
        if self.stop.is_set() {
            self.threads.clear();
        }
        self.threads.drain(..).map(JoinHandle::join).fold(false, |panicked, ended| panicked | ended.is_err())
    }
}

impl<O> Iterator for Ordered<O> {
    type Item = Result<O>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let channels = self.channels.as_ref()?;
            if let Some(result) = self.waiting.remove(&self.next) {
                self.next += 1;
                // A result stands for a permit given before, so one is there.
                let _ = channels.permits.try_recv();
                return Some(Ok(result));
            }
            if self.stop.is_set() {
                self.end();
                return None;
            }
            match channels.results.recv_timeout(LOOK_EVERY) {
                Ok((number, Some(result))) => {
                    self.waiting.insert(number, result);
                }
                Ok((_, None)) => {
                    self.end();
                    return Some(Err(Error::Thread { thread: "decoding" }));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return self.end().then_some(Err(Error::Thread { thread: "reading" }));
                }
            }
        }
    }
}

impl<O> Drop for Ordered<O> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for workers in [0, 1, 2, 7] {
            let results = ordered(0..500u64, workers, 8, &Stop::default(), |job| {
                (0..(job % 13) * 500).fold(job, |sum, n| std::hint::black_box(sum ^ n ^ n))
            });
            let results: Vec<_> = results.map(|result| result.unwrap()).collect();
            assert_eq!(results, (0..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn endless_work_can_be_dropped() {
        let mut endless = ordered(0.., 3, 4, &Stop::default(), |job: u64| job);
        assert_eq!(endless.next().unwrap().unwrap(), 0);
        drop(endless);
    }

    #[test]
    fn a_stop_ends_the_waiting_for_a_source_that_stalls() {
        let (stop, (stall, stalled)) = (Stop::default(), bounded::<u64>(0));
        let mut results = ordered(stalled.into_iter(), 2, 4, &stop, |job| job);
        let stopper = stop.clone();
        let waiting = thread::spawn(move || results.next().is_none());
        stopper.set();
        assert!(waiting.join().unwrap());
        drop(stall);
    }

    #[test]
    fn a_panic_is_an_error_and_the_end() {
        let mut results = ordered(0..10, 2, 4, &Stop::default(), |job| assert!(job != 3));
        assert!(results.by_ref().any(|result| matches!(result, Err(Error::Thread { thread: "decoding" }))));
        assert!(results.next().is_none());
        let jobs = (0..10).inspect(|job| assert!(*job != 3));
        let results: Vec<_> = ordered(jobs, 2, 4, &Stop::default(), |job| job).collect();
        assert_eq!(results.len(), 4);
        assert!(matches!(results[3], Err(Error::Thread { thread: "reading" })));
    }
}
