//! The threads that decode, resize and encode, fed by a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use shards::image::Decoder;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::failure::{FailureKind, SampleFailure};
use crate::fetch::Fetched;
use crate::process::{DecodeBudget, ProcessOptions, Processed, RowInstructions, process};

/// Bytes of pixels that a thread keeps for its next picture: new ones would each be mapped and cleared by the kernel.
const MOST_KEPT: usize = 4 << 20;

type Answer = std::result::Result<Processed, SampleFailure>;

struct Job {
    fetched: Fetched,
    instructions: RowInstructions,
    reply: oneshot::Sender<Answer>,
}

/// The entrance to the pool; its threads end when all clones are gone.
#[derive(Clone)]
pub(super) struct DecodePool {
    jobs: mpsc::Sender<Job>,
}

/// The pool's threads.
pub(super) struct DecodeThreads(Vec<JoinHandle<()>>);

impl DecodePool {
    /// Starts `threads` threads.
    pub(super) fn start(threads: usize, options: ProcessOptions) -> Result<(Self, DecodeThreads)> {
        // One job in hand and one waiting for each thread keeps them busy; more would only
        // hold memory.
        let (jobs, queue) = mpsc::channel(threads);
        let queue = Arc::new(Mutex::new(queue));
        let budget = Arc::new(DecodeBudget::new(options.decode_budget_bytes));
        let options = Arc::new(options);
        let mut handles = Vec::with_capacity(threads);
        for number in 0..threads {
            let (queue, options, budget) = (Arc::clone(&queue), Arc::clone(&options), Arc::clone(&budget));
            let builder = thread::Builder::new().name(format!("decode-{number}"));
            let handle = builder.spawn(move || work(&queue, &options, &budget));
            handles.push(handle.map_err(|e| Error::Worker { worker: "decode thread", reason: e.to_string() })?);
        }
        Ok((Self { jobs }, DecodeThreads(handles)))
    }

    /// Hands a body to the pool and waits for the picture.
    pub(super) async fn process(&self, fetched: Fetched, instructions: RowInstructions) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || SampleFailure::new(FailureKind::Internal, "the decode threads ended");
        self.jobs.send(Job { fetched, instructions, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl DecodeThreads {
    /// Waits until all threads have ended.
    pub(super) fn join(self) {
        for handle in self.0 {
            // A panic within a job is caught there; there is nothing left to tell.
            let _ = handle.join();
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, options: &ProcessOptions, budget: &DecodeBudget) {
    let mut decoder = Decoder::keeping(MOST_KEPT);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Job { fetched, instructions, reply }) = job else { return };
        if reply.is_closed() {
            continue;
        }
        // A decoder's panic costs its row, not the run.
        let answer = catch_unwind(AssertUnwindSafe(|| process(&fetched, &instructions, options, budget, &mut decoder)));
        let panicked = |_| Err(SampleFailure::new(FailureKind::Internal, "the decoder panicked"));
        // Nobody waits any more when the run was stopped.
        let _ = reply.send(answer.unwrap_or_else(panicked));
    }
}
