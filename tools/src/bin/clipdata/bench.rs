//! `clipdata bench`: what this machine can load of some shards, stage by stage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use loader::{Augmentation, Loader, LoaderMetrics, Resize, Sampling, Stop, Tokenize};
use model::tokenizer::ClipTokenizer;
use serde::Serialize;
use tools::exit::Outcome;
use tools::training::{TrainData, stop_on_interrupt};
use tools::{human, json, out, usage};

use crate::cli::{Bench, ResizeMode};

/// CLIP's captions.
const CONTEXT_LENGTH: usize = 77;

/// More than anybody waits for; the order without epochs does not depend on it.
const ENDLESS: u64 = 1 << 40;

/// Bytes of copies of shards from afar.
const CACHE_BYTES: u64 = 100_000_000_000;

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    samples_per_second: f64,
    samples_per_cpu_second: f64,
    samples: u64,
    seconds: f64,
    /// From the start to the first batch, which `seconds` contain.
    first_batch_seconds: f64,
    cpu_seconds: f64,
    workers: usize,
    peak_memory_bytes: u64,
    /// Of all pixels and ids, by which two runs can be compared.
    checksum: String,
    #[serde(flatten)]
    metrics: LoaderMetrics,
    losses: Option<String>,
}

/// Loads for as long as it was told to.
pub fn run(arguments: &Bench) -> anyhow::Result<Outcome> {
    if !(arguments.seconds > 0.0 && arguments.seconds <= 86_400.0) {
        bail!("--seconds: expected a positive number, got {}", arguments.seconds);
    }
    let workers = arguments.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let tokenizer = ClipTokenizer::shared()?;
    let tokenize: Tokenize = Arc::new(move |caption| tokenizer.encode(caption, CONTEXT_LENGTH));
    let mut config = data(arguments, workers).config(arguments.image_size, tokenize, CONTEXT_LENGTH)?;
    let stop = stop_on_interrupt()?;
    config.stop = stop.clone();
    let loader = Loader::new(config).with_context(|| format!("cannot load `{}`", arguments.spec))?;
    let is_up = end_after(arguments.seconds, &stop);
    let report = measure(arguments, workers, &loader)?;
    match arguments.json {
        true => json::line("summary", &report)?,
        false => out::text(&describe(&report))?,
    }
    Ok(if stop.is_set() && !is_up.load(Ordering::Relaxed) { Outcome::Interrupted } else { Outcome::Done })
}

/// Ends the batches when the time is up, whatever the source does; the flag says that it was time.
fn end_after(seconds: f64, stop: &Stop) -> Arc<AtomicBool> {
    let (is_up, stop) = (Arc::new(AtomicBool::new(false)), stop.clone());
    let flag = Arc::clone(&is_up);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs_f64(seconds));
        flag.store(true, Ordering::Relaxed);
        stop.set();
        shards::store::end_commands();
    });
    is_up
}

fn data(arguments: &Bench, workers: usize) -> TrainData {
    let resize = if arguments.resize == ResizeMode::Exact { Resize::Exact } else { Resize::Fast };
    TrainData {
        sampling: Sampling::Epochless,
        num_samples: Some(ENDLESS),
        augmentation: Augmentation { resize, ..Augmentation::default() },
        shuffle_buffer: arguments.shuffle_buffer,
        cache: arguments.cache_dir.clone().map(|folder| (folder, CACHE_BYTES)),
        ..TrainData::shards(arguments.spec.clone(), arguments.batch_size, workers, 0)
    }
}

fn measure(arguments: &Bench, workers: usize, loader: &Loader) -> anyhow::Result<Report> {
    let (started, cpu_before) = (Instant::now(), usage::cpu_seconds());
    let (length, most) = (Duration::from_secs_f64(arguments.seconds), arguments.samples.unwrap_or(u64::MAX));
    let mut batches = loader.batches();
    let (mut samples, mut checksum, mut first) = (0, Checksum::default(), None);
    while started.elapsed() < length && samples < most {
        let Some(batch) = batches.next().transpose()? else { break };
        first.get_or_insert_with(|| started.elapsed());
        samples += batch.keys.len() as u64;
        checksum.add(&batch.pixels);
        batch.input_ids.iter().for_each(|id| checksum.add(&id.to_le_bytes()));
    }
    let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), usage::cpu_seconds() - cpu_before);
    Ok(Report {
        samples_per_second: samples as f64 / seconds,
        samples_per_cpu_second: samples as f64 / cpu_seconds.max(f64::MIN_POSITIVE),
        samples,
        seconds,
        first_batch_seconds: first.unwrap_or(length).as_secs_f64(),
        cpu_seconds,
        workers,
        peak_memory_bytes: usage::peak_memory_bytes(),
        checksum: format!("{:016x}", checksum.0),
        metrics: batches.metrics(),
        losses: loader.stats().losses(),
    })
}

/// Fast, and different for any two orders of words.
#[derive(Default)]
struct Checksum(u64);

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        rest.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

fn describe(report: &Report) -> String {
    let Report { metrics, .. } = report;
    let mut text = format!(
        "{:.0} samples/s, {:.0} a CPU second: {} in {}, {} threads, first batch after {:.2}s, {}\n",
        report.samples_per_second,
        report.samples_per_cpu_second,
        human::counted(report.samples, "sample"),
        human::duration(Duration::from_secs_f64(report.seconds)),
        report.workers,
        report.first_batch_seconds,
        human::bytes(report.peak_memory_bytes),
    );
    text.push_str("milliseconds of a thread a sample\n");
    for (stage, milliseconds) in [
        ("read", metrics.read_ms),
        ("decode", metrics.decode_ms),
        ("crop and resize", metrics.transform_ms),
        ("tokenize", metrics.tokenize_ms),
        ("assemble", metrics.assemble_ms),
    ] {
        text.push_str(&format!("  {stage:<18}{milliseconds:>8.3}\n"));
    }
    text.push_str(&format!(
        "  decode, half and 99 in 100 below {:.2} and {:.2}\n",
        metrics.decode_p50_ms, metrics.decode_p99_ms
    ));
    text.push_str(&format!("bottleneck: {}\nchecksum: {}\n", metrics.bottleneck.as_str(), report.checksum));
    if let Some(losses) = &report.losses {
        text.push_str(&format!("left out: {losses}\n"));
    }
    text
}
