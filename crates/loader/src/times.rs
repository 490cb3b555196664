//! Where a loader's time goes, stage by stage, and which of them holds up the rest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Times that all threads add to.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Opening and reading shards.
    pub(crate) read: Stage,
    pub(crate) decode: Stage,
    /// Crop, resize and changes of colour.
    pub(crate) transform: Stage,
    pub(crate) tokenize: Stage,
    /// From results to batches.
    pub(crate) assemble: Stage,
    /// Waiting of whoever takes the batches.
    pub(crate) stall: Stage,
    /// Waiting for a stream while decoding threads had nothing to do.
    pub(crate) starved: Stage,
    /// Samples that wait to be decoded, and batches that wait to be taken, as they were when a batch was taken.
    pub(crate) queued: Stage,
    pub(crate) ready: Stage,
    pub(crate) decode_histogram: Histogram,
}

/// A sum of times, or of counts, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    sum: AtomicU64,
    count: AtomicU64,
}

impl Stage {
    pub(crate) fn add(&self, time: Duration) {
        self.add_number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn add_number(&self, number: u64) {
        self.sum.fetch_add(number, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    fn mean(&self) -> f64 {
        self.sum() as f64 / self.count.load(Ordering::Relaxed).max(1) as f64
    }
}

/// Counts by time, four bins for each doubling.
#[derive(Debug)]
pub(crate) struct Histogram([AtomicU64; BINS]);

const BINS: usize = 160;

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Histogram {
    pub(crate) fn add(&self, time: Duration) {
        let bin = (4.0 * (time.as_nanos() as f64).max(1.0).log2()) as usize;
        self.0[bin.min(BINS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Milliseconds that a share of the times stays below.
    fn quantile(&self, share: f64) -> f64 {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let mut below = 0;
        let bin = counts.iter().position(|count| {
            below += count;
            below as f64 >= share * total as f64
        });
        if total == 0 { 0.0 } else { 2f64.powf((bin.unwrap_or(0) + 1) as f64 / 4.0) / 1e6 }
    }
}

/// What limits the rate of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// Whoever takes the batches: the loader waits for it.
    Training,
    /// Reading: the network, the disk, or a command.
    Reading,
    /// Decoding: more `workers` where there are cores for them.
    Decoding,
    /// Crop, resize and colour, on the same threads.
    Transforming,
    /// The tokenizer, on the same threads.
    Tokenizing,
}

/// Where time went since the loader was made. Milliseconds are of one thread, for each sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoaderMetrics {
    /// Share of the time for which whoever takes the batches waited, 0 to 1.
    pub stall_share: f64,
    /// Milliseconds of reading from shards, unpacking included.
    pub read_ms: f64,
    /// Milliseconds of decoding.
    pub decode_ms: f64,
    /// The time that half of the pictures take less to be decoded than, in milliseconds.
    pub decode_p50_ms: f64,
    /// The same for 99 of a hundred.
    pub decode_p99_ms: f64,
    /// Milliseconds of crop, resize and colour.
    pub transform_ms: f64,
    /// Milliseconds of tokenizing.
    pub tokenize_ms: f64,
    /// Milliseconds of putting batches together.
    pub assemble_ms: f64,
    /// Samples that wait to be decoded, in the mean.
    pub samples_queued: f64,
    /// Batches that wait to be taken, in the mean.
    pub batches_ready: f64,
    /// What limits the rate.
    pub bottleneck: Bottleneck,
}

impl Bottleneck {
    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Reading => "reading",
            Self::Decoding => "decoding",
            Self::Transforming => "crop and resize",
            Self::Tokenizing => "tokenizing",
        }
    }
}

impl Times {
    /// What takes most of the time of the threads that decode.
    fn busiest(&self) -> Bottleneck {
        let (decode, transform, tokenize) = (self.decode.sum(), self.transform.sum(), self.tokenize.sum());
        match decode.max(transform).max(tokenize) {
            most if most == decode => Bottleneck::Decoding,
            most if most == transform => Bottleneck::Transforming,
            _ => Bottleneck::Tokenizing,
        }
    }

    /// The times by now, of a loader that gives batches since `started` with so many decoding threads.
    pub(crate) fn metrics(&self, started: Instant, examples: u64) -> LoaderMetrics {
        let wall = started.elapsed().as_nanos().max(1) as f64;
        let per_sample = |stage: &Stage| stage.sum() as f64 / examples.max(1) as f64 / 1e6;
        let stall_share = (self.stall.sum() as f64 / wall).min(1.0);
        let bottleneck = if stall_share < 0.02 {
            Bottleneck::Training
        } else if self.starved.sum() as f64 > 0.5 * self.stall.sum() as f64 {
            Bottleneck::Reading
        } else {
            self.busiest()
        };
        LoaderMetrics {
            stall_share,
            read_ms: per_sample(&self.read),
            decode_ms: per_sample(&self.decode),
            decode_p50_ms: self.decode_histogram.quantile(0.5),
            decode_p99_ms: self.decode_histogram.quantile(0.99),
            transform_ms: per_sample(&self.transform),
            tokenize_ms: per_sample(&self.tokenize),
            assemble_ms: per_sample(&self.assemble),
            samples_queued: self.queued.mean(),
            batches_ready: self.ready.mean(),
            bottleneck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_what_threads_spend_most_on() {
        let times = Times::default();
        assert_eq!(times.metrics(Instant::now(), 0).bottleneck, Bottleneck::Training);
        times.stall.add(Duration::from_secs(60));
        assert_eq!(times.metrics(Instant::now(), 0).bottleneck, Bottleneck::Decoding);
        times.transform.add(Duration::from_secs(1));
        assert_eq!(times.metrics(Instant::now(), 0).bottleneck, Bottleneck::Transforming);
        times.tokenize.add(Duration::from_secs(2));
        assert_eq!(times.metrics(Instant::now(), 0).bottleneck, Bottleneck::Tokenizing);
        times.starved.add(Duration::from_secs(31));
        assert_eq!(times.metrics(Instant::now(), 0).bottleneck, Bottleneck::Reading);
    }

    #[test]
    fn quantiles_are_within_a_bin() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0.0);
        (1..=1000).for_each(|i| histogram.add(Duration::from_micros(i)));
        for (share, expected) in [(0.5, 0.5), (0.99, 0.99)] {
            let found = histogram.quantile(share);
            assert!((expected..expected * 1.2).contains(&found), "{share}: {found}");
        }
    }
}
