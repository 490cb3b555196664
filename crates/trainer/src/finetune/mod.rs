//! Fine-tuning of the image tower on labelled pictures, with a head that begins as the zero-shot classifier (Wortsman et
//! al., 2022): cross-entropy over classes; the text tower stays as it is.

mod going_on;
mod head;
mod step;

use std::path::PathBuf;

use candle_core::Tensor;
use loader::{Batch, Batches, EpochSize, Loader, Stop};
use serde::Serialize;

pub use going_on::{GoingOn, Progress, newest, resume};
pub use head::{HEAD_FILE, Head};
pub use step::{FineTuner, Tuned, Tuning};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::evaluate::zero_shot::Prepared;
use crate::evaluate::{ZeroShotReport, ZeroShotTask};
use crate::input;
use crate::metrics::Metrics;
use crate::observer::Observer;
use crate::report::{Saved, StepReport, TrainReport};
use crate::schedule::{Schedule, Shape};
use crate::train::epoch_size;

/// A fine-tuning run.
#[derive(Clone, Debug, PartialEq)]
pub struct FineTuneConfig {
    /// Folder of this run; created.
    pub run_dir: PathBuf,
    /// Passes over the data.
    pub epochs: u64,
    /// Base learning rate; falls to 0 as half a cosine.
    pub lr: f64,
    /// Warm-up, in steps.
    pub warmup: u64,
}

/// Everything a run works with.
pub struct FineTune<'a> {
    /// What it was told.
    pub config: &'a FineTuneConfig,
    /// Model, head and their optimizers.
    pub tuner: FineTuner,
    /// Pictures whose caption is the index of their class, as its one id.
    pub loader: &'a Loader,
    /// Where it goes on, if it does not begin.
    pub from: Option<GoingOn>,
    /// What is classified after each epoch.
    pub validation: Option<(ZeroShotTask, Prepared)>,
    /// Set from outside to stop after the step under way.
    pub stop: &'a Stop,
    /// Hears of every step, checkpoint and evaluation.
    pub observer: &'a mut dyn Observer,
}

/// What a finished run leaves.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FineTuned {
    /// Steps taken.
    pub steps: u64,
    /// Loss of the last step.
    pub loss: f64,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// The last evaluation.
    pub validation: Option<ZeroShotReport>,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// Trains for the configured number of epochs; a checkpoint follows each.
///
/// # Errors
/// When data run out, a label has no class, a file cannot be written, or the loss stops being a number.
pub fn finetune(mut run: FineTune<'_>) -> Result<FineTuned> {
    let folder = run.config.run_dir.join("checkpoints");
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let (per_step, tuning) = (run.loader.global_batch_size(), run.tuner.tuning());
    let begins = || {
        let progress = Progress::new(0, 0, per_step, tuning, run.loader.start());
        GoingOn { progress, owes_validation: false }
    };
    let GoingOn { progress: from, owes_validation } = run.from.take().unwrap_or_else(begins);
    let size = epoch_size(run.loader, &from.position);
    let total_steps = size.num_batches * run.config.epochs;
    let mut course = Course {
        size,
        per_step,
        schedule: Schedule { base: run.config.lr, warmup: run.config.warmup, total_steps, shape: Shape::Cosine },
        batches: run.loader.batches_from(&from.position)?,
        clock: Clock::new(),
        done: FineTuned { steps: from.steps, ..FineTuned::default() },
    };
    if owes_validation {
        validate(&mut run, &mut course, from.epochs)?;
        course.clock.restart();
    }
    for epoch in from.epochs..run.config.epochs {
        if course.done.interrupted {
            break;
        }
        tune_epoch(&mut run, &mut course, epoch)?;
        if course.done.interrupted {
            break;
        }
        let path = folder.join(format!("epoch_{}", epoch + 1));
        let progress = Progress::new(epoch + 1, course.done.steps, per_step, tuning, course.batches.position().clone());
        going_on::save(&run.tuner, &progress, &path)?;
        course.done.checkpoint = Some(path.clone());
        run.observer.on_checkpoint(&Saved { epoch: epoch + 1, steps: course.done.steps, path });
        validate(&mut run, &mut course, epoch + 1)?;
        course.clock.restart();
    }
    run.observer.on_end(&course.ended(), &run.loader.stats());
    Ok(course.done)
}

/// A run under way.
struct Course {
    size: EpochSize,
    /// Samples of a step.
    per_step: u64,
    schedule: Schedule,
    batches: Batches,
    clock: Clock,
    done: FineTuned,
}

impl Course {
    fn ended(&self) -> TrainReport {
        let (done, clock) = (&self.done, &self.clock);
        TrainReport {
            epochs: done.steps / self.size.num_batches.max(1),
            steps: done.steps,
            samples_seen: done.steps * self.per_step,
            loss: done.loss,
            seconds: clock.seconds(),
            samples_per_second: clock.rate(),
            interrupted: done.interrupted,
            checkpoint: done.checkpoint.clone(),
            ..TrainReport::default()
        }
    }
}

fn tune_epoch(run: &mut FineTune<'_>, course: &mut Course, epoch: u64) -> Result<()> {
    let Course { size, per_step, schedule, batches, clock, done } = course;
    let mut losses = 0.0;
    for step_in_epoch in 0..size.num_batches {
        // There is no batch once the run is told to stop.
        let Some(batch) = batches.next().transpose()? else { break };
        let data_seconds = clock.waited();
        let step = run.tuner.steps();
        let lr = schedule.rate(step);
        let tuned = step_on(&mut run.tuner, &batch, lr)?;
        losses += tuned.loss;
        (done.steps, done.loss) = (step + 1, tuned.loss);
        let step_seconds = clock.stepped(batch.keys.len());
        let report = StepReport {
            epoch,
            step,
            step_in_epoch,
            steps_per_epoch: size.num_batches,
            total_steps: schedule.total_steps,
            samples_seen: (step_in_epoch + 1) * *per_step,
            samples_per_epoch: size.num_samples,
            loss: tuned.loss,
            contrastive_loss: tuned.loss,
            distill_loss: None,
            mean_loss: losses / (step_in_epoch + 1) as f64,
            lr,
            logit_scale: run.tuner.clip.logit_scale()?,
            grad_norm: tuned.grad_norm,
            loss_scale: None,
            skipped_steps: 0,
            data_seconds,
            step_seconds,
            samples_per_second: clock.recent_rate(),
            loading: batches.metrics(),
        };
        run.observer.on_step(&report, std::slice::from_ref(&batch));
        if run.stop.is_set() {
            break;
        }
    }
    done.interrupted = run.stop.is_set();
    Ok(())
}

fn step_on(tuner: &mut FineTuner, batch: &Batch, lr: f64) -> Result<Tuned> {
    let (clip, count, classes) = (&tuner.clip, batch.keys.len(), tuner.head.class_names.len());
    let stray = batch.input_ids.iter().position(|label| *label as usize >= classes);
    if let Some(place) = stray {
        let (key, label) = (batch.keys[place].as_str(), batch.input_ids[place]);
        let reason = match label {
            u32::MAX => format!("sample `{key}`: its class is no index (expected 0 to {})", classes - 1),
            label => format!("sample `{key}` has the class {label}, but there are {classes} names"),
        };
        return Err(Error::Config { option: "--train-data", reason });
    }
    let side = clip.config().vision_cfg.image_size;
    let pixels = input::pixel_values(&batch.pixels, count, side, clip.preprocess(), clip.device())?;
    let labels = input::input_ids(&batch.input_ids, count, 1, clip.device())?.flatten_all()?;
    let step = tuner.steps();
    let tuned = tuner.step(&pixels, &labels, lr)?;
    if !tuned.loss.is_finite() {
        let keys: Vec<&str> = batch.keys.iter().take(8).map(|key| key.as_str()).collect();
        let (what, value, snapshot) = ("loss", tuned.loss, "nothing was saved".to_owned());
        return Err(Error::NonFinite { what, step, value, keys: keys.join(", "), snapshot });
    }
    Ok(tuned)
}

/// Classifies what is kept back, where there is such data; a stop ends it and the run.
fn validate(run: &mut FineTune<'_>, course: &mut Course, epoch: u64) -> Result<()> {
    let Some((task, prepared)) = &run.validation else { return Ok(()) };
    let logits = |features: &Tensor| run.tuner.head.logits(features);
    let report = match task.run_with(&run.tuner.clip, prepared, run.stop, logits) {
        Err(Error::Interrupted) => {
            course.done.interrupted = true;
            return Ok(());
        }
        report => report?,
    };
    let mut metrics = Metrics::of_epoch(epoch);
    metrics.extend(report.metrics(epoch));
    run.observer.on_evaluation(&metrics);
    course.done.validation = Some(report);
    Ok(())
}
