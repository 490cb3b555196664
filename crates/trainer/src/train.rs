//! The training loop: learning rate, step, log, checkpoint, evaluation.

use std::collections::VecDeque;
use std::time::Instant;

use loader::{Batch, Batches, Loader, LoaderPosition, LoaderStats, Stop};
use model::tokenizer::Tokenizer;

use crate::checkpoint;
use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::evaluate::zero_shot::Prepared;
use crate::evaluate::{ZeroShotReport, ZeroShotTask};
use crate::input;
use crate::metrics::Metrics;
use crate::report::{Event, StepReport, TrainReport};
use crate::schedule::Schedule;
use crate::step::{Stepped, Trainer};

/// Everything a run works with.
pub struct Run<'a> {
    /// What it was told.
    pub config: &'a TrainConfig,
    /// Model and optimizer.
    pub trainer: Trainer,
    /// Where batches come from.
    pub loader: &'a Loader,
    /// Where in its data the run begins.
    pub position: LoaderPosition,
    /// Tokenizer of the zero-shot prompts.
    pub tokenizer: &'a Tokenizer,
    /// What is evaluated, and how often the configuration says.
    pub tasks: Vec<(ZeroShotTask, Prepared)>,
    /// Set from outside to stop after the step under way.
    pub stop: &'a Stop,
    /// Hears of every step, checkpoint and evaluation.
    pub listener: &'a mut dyn FnMut(Event),
}

/// What a finished run leaves in memory.
pub struct Trained {
    /// Counts and times.
    pub report: TrainReport,
    /// Model and optimizer.
    pub trainer: Trainer,
    /// The last evaluation of every task.
    pub zero_shot: Vec<ZeroShotReport>,
    /// What the loader met, losses included.
    pub loader: LoaderStats,
}

/// Trains for the configured number of epochs.
///
/// # Errors
/// When the configuration cannot be met, the data run out, a file cannot be written, or the loss stops
/// being a number.
pub fn train(mut run: Run<'_>) -> Result<Trained> {
    run.config.validate()?;
    let folder = run.config.checkpoint_dir();
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let size = run.loader.epoch_size();
    let schedule = run.config.schedule(size.num_batches);
    let started = Instant::now();
    let mut clock = Clock::new();
    let mut report = TrainReport::default();
    let mut zero_shot = Vec::new();
    let mut batches = run.loader.batches_from(&run.position)?;
    for epoch in run.position.epoch..run.config.epochs {
        train_epoch(&mut run, &mut batches, epoch, &schedule, &mut clock, &mut report)?;
        if report.interrupted {
            break;
        }
        report.epochs = epoch + 1;
        if run.config.is_due(run.config.save_frequency, report.epochs) {
            let path = checkpoint::save(&run.trainer, batches.position(), &folder, report.epochs)?;
            report.checkpoint = Some(path.clone());
            (run.listener)(Event::Saved { epoch: report.epochs, path });
        }
        if run.config.is_due(run.config.zeroshot_frequency, report.epochs) {
            match evaluate(&mut run, report.epochs) {
                Err(Error::Interrupted) => report.interrupted = true,
                evaluated => zero_shot = evaluated?,
            }
        }
        clock.restart();
        if report.interrupted {
            break;
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    report.samples_per_second = report.samples_seen as f64 / clock.stepping.max(f64::MIN_POSITIVE);
    Ok(Trained { report, trainer: run.trainer, zero_shot, loader: run.loader.stats() })
}

fn train_epoch(
    run: &mut Run<'_>,
    batches: &mut Batches,
    epoch: u64,
    schedule: &Schedule,
    clock: &mut Clock,
    report: &mut TrainReport,
) -> Result<()> {
    let size = run.loader.epoch_size();
    let mut losses = 0.0;
    let left = batches.left_in_epoch();
    // What is left of an epoch that was begun before comes behind the steps that were taken then.
    let first = size.num_batches.saturating_sub(left);
    for step_in_epoch in first..first + left {
        // There is no batch once the run is told to stop.
        let Some(batch) = batches.next().transpose()? else { break };
        let data_seconds = clock.waited();
        let step = run.trainer.optimizer.steps();
        let lr = schedule.rate(step);
        let stepped = step_on(&mut run.trainer, &batch, lr)?;
        if !stepped.loss.is_finite() {
            return Err(non_finite(step, &batch, stepped.loss));
        }
        losses += stepped.loss;
        report.loss = stepped.loss;
        report.steps = step + 1;
        report.samples_seen += batch.keys.len() as u64;
        let step_seconds = clock.stepped(batch.keys.len());
        let per_step = size.num_samples / size.num_batches.max(1);
        (run.listener)(Event::Step(StepReport {
            epoch,
            step,
            step_in_epoch,
            steps_per_epoch: size.num_batches,
            samples_seen: (step_in_epoch + 1) * per_step,
            samples_per_epoch: size.num_samples,
            loss: stepped.loss,
            mean_loss: losses / (step_in_epoch + 1 - first) as f64,
            lr,
            logit_scale: stepped.logit_scale,
            grad_norm: stepped.grad_norm,
            data_seconds,
            step_seconds,
            samples_per_second: clock.samples_per_second(),
            loading: batches.metrics(),
        }));
        if run.stop.is_set() {
            break;
        }
    }
    report.interrupted = run.stop.is_set();
    Ok(())
}

fn step_on(trainer: &mut Trainer, batch: &Batch, lr: f64) -> Result<Stepped> {
    let (clip, count) = (&trainer.clip, batch.keys.len());
    let side = clip.config().vision_cfg.image_size;
    let context_length = clip.config().text_cfg.context_length;
    let pixels = input::pixel_values(&batch.pixels, count, side, clip.preprocess(), clip.device())?;
    let ids = input::input_ids(&batch.input_ids, count, context_length, clip.device())?;
    trainer.step(&pixels, &ids, lr)
}

fn non_finite(step: u64, batch: &Batch, loss: f64) -> Error {
    let keys: Vec<&str> = batch.keys.iter().take(8).map(|key| key.as_str()).collect();
    Error::NonFiniteLoss { step, loss, keys: keys.join(", ") }
}

/// Runs every task; their metrics go to the listener and, as one line, to `results.jsonl`.
fn evaluate(run: &mut Run<'_>, epoch: u64) -> Result<Vec<ZeroShotReport>> {
    let clip = &run.trainer.clip;
    let evaluated = |(task, prepared): &(ZeroShotTask, Prepared)| task.run(clip, run.tokenizer, prepared, run.stop);
    let reports = run.tasks.iter().map(evaluated).collect::<Result<Vec<_>>>()?;
    if reports.is_empty() {
        return Ok(reports);
    }
    let mut metrics = Metrics::of_epoch(epoch);
    for (name, value) in reports.iter().flat_map(|report| report.metrics(epoch).into_entries()) {
        metrics.set(&name, value);
    }
    metrics.append_to(&run.config.checkpoint_dir().join("results.jsonl"))?;
    (run.listener)(Event::Evaluated(metrics));
    Ok(reports)
}

/// Tells waiting for data from computing, and a steady rate from single steps.
struct Clock {
    last: Instant,
    window: VecDeque<(f64, usize)>,
    stepping: f64,
}

impl Clock {
    /// Steps that the rate is a mean over.
    const WINDOW: usize = 50;

    fn new() -> Self {
        Self { last: Instant::now(), window: VecDeque::with_capacity(Self::WINDOW), stepping: 0.0 }
    }

    fn restart(&mut self) {
        self.last = Instant::now();
    }

    fn waited(&self) -> f64 {
        self.last.elapsed().as_secs_f64()
    }

    /// Seconds since the previous step's end.
    fn stepped(&mut self, samples: usize) -> f64 {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.stepping += seconds;
        if self.window.len() == Self::WINDOW {
            self.window.pop_front();
        }
        self.window.push_back((seconds, samples));
        seconds
    }

    fn samples_per_second(&self) -> f64 {
        let seconds: f64 = self.window.iter().map(|(seconds, _)| seconds).sum();
        let samples: usize = self.window.iter().map(|(_, samples)| samples).sum();
        samples as f64 / seconds.max(f64::MIN_POSITIVE)
    }
}
