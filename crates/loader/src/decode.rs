//! From the bytes of a candidate to pixels and ids, on threads that keep their buffers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::BytesMut;
use crossbeam_channel::{Receiver, Sender};
use shards::SampleKey;
use shards::image::{Decoder, JpegScale};

use crate::candidate::{Candidate, Content};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::picture_file::read_picture;
use crate::seed::{Domain, Draws};
use crate::tokenized::tokenize;
use crate::transform::Painter;

/// A candidate on its way to a place in a batch.
pub(crate) struct Job {
    pub(crate) lane: usize,
    /// Which candidate of its lane it is.
    pub(crate) turn: u64,
    pub(crate) candidate: Candidate,
    /// Where its pixels go.
    pub(crate) pixels: BytesMut,
}

/// What became of it.
pub(crate) struct Done {
    pub(crate) lane: usize,
    pub(crate) turn: u64,
    pub(crate) pixels: BytesMut,
    pub(crate) pass: u64,
    pub(crate) key: SampleKey,
    pub(crate) shard: Arc<str>,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// The pixels are there; these are the caption's ids.
    Example(Vec<u32>),
    /// The picture cannot be used: a name to count by, and why.
    Unusable(&'static str, String),
    /// The run cannot go on.
    Failed(Error),
}

/// Starts the decoding threads, which end with the channel of jobs.
pub(crate) fn start(context: &Arc<Context>, jobs: &Receiver<Job>, results: &Sender<Done>, alive: &Sender<()>) {
    for _ in 0..context.config.workers.max(1) {
        let (context, jobs, results, alive) = (Arc::clone(context), jobs.clone(), results.clone(), alive.clone());
        thread::spawn(move || {
            let _alive = alive;
            let mut hands = Hands::default();
            for job in jobs {
                if results.send(hands.work(&context, job)).is_err() {
                    return;
                }
            }
        });
    }
}

/// What a decoding thread works with.
#[derive(Default)]
struct Hands {
    decoder: Decoder,
    painter: Painter,
}

impl Hands {
    fn work(&mut self, context: &Context, job: Job) -> Done {
        let Job { lane, turn, candidate, mut pixels } = job;
        let outcome = catch_unwind(AssertUnwindSafe(|| self.decode(context, &candidate, &mut pixels)));
        let outcome = outcome.unwrap_or(Err(Error::Thread { thread: "decoding" })).unwrap_or_else(Outcome::Failed);
        let Candidate { key, shard, pass, .. } = candidate;
        Done { lane, turn, pixels, pass, key, shard, outcome }
    }

    fn decode(&mut self, context: &Context, candidate: &Candidate, pixels: &mut [u8]) -> Result<Outcome> {
        let (config, times) = (&context.config, context.tally.times());
        let started = Instant::now();
        let read;
        let bytes = match &candidate.picture {
            Content::Bytes(bytes) => bytes,
            Content::File(path) => match read_picture(path) {
                Ok(bytes) => {
                    read = bytes::Bytes::from(bytes);
                    &read
                }
                Err(error) => return Ok(Outcome::Unusable("unreadable", error.to_string())),
            },
            Content::Black => {
                pixels.fill(0);
                return self.ids(context, candidate).map(Outcome::Example);
            }
        };
        let picture = match self.decoder.decode_rgb(bytes, &config.limits, JpegScale::Full) {
            Ok(picture) => picture,
            Err(error) => return Ok(Outcome::Unusable(error.kind(), error.to_string())),
        };
        let decoded = Instant::now();
        let mut draws = |domain: Domain| Draws::new(config.seed, domain, &candidate.place);
        self.painter.paint(&config.transform, picture, config.image_size, &mut draws, pixels);
        times.decode.add(decoded - started);
        times.decode_histogram.add(decoded - started);
        times.transform.add(decoded.elapsed());
        self.ids(context, candidate).map(Outcome::Example)
    }

    fn ids(&self, context: &Context, candidate: &Candidate) -> Result<Vec<u32>> {
        let started = Instant::now();
        let ids = tokenize(&context.config.tokenize, &candidate.caption, context.config.context_length);
        context.tally.times().tokenize.add(started.elapsed());
        ids
    }
}
