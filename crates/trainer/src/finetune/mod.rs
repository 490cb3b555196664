//! Fine-tuning of the image tower on labelled pictures, with a head that begins as the zero-shot classifier (Wortsman et
//! al., 2022): cross-entropy over classes; the text tower stays as it is.

mod head;
mod step;

use std::path::PathBuf;

use loader::{Batch, Batches, Loader, Stop};
use serde::Serialize;

pub use head::{HEAD_FILE, Head};
pub use step::{FineTuner, Tuned, Tuning};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::evaluate::zero_shot::Prepared;
use crate::evaluate::{ZeroShotReport, ZeroShotTask};
use crate::input;
use crate::interpolate::save;
use crate::metrics::Metrics;
use crate::observer::Observer;
use crate::report::{Saved, StepReport, TrainReport};
use crate::schedule::{Schedule, Shape};

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
    let size = run.loader.epoch_size();
    let total_steps = size.num_batches * run.config.epochs;
    let schedule = Schedule { base: run.config.lr, warmup: run.config.warmup, total_steps, shape: Shape::Cosine };
    let (mut batches, mut clock, mut done) = (run.loader.batches(), Clock::new(), FineTuned::default());
    for epoch in 0..run.config.epochs {
        tune_epoch(&mut run, &mut batches, epoch, &schedule, &mut clock, &mut done)?;
        if done.interrupted {
            break;
        }
        let path = folder.join(format!("epoch_{}", epoch + 1));
        save(&run.tuner.clip, Some(&run.tuner.head), &path)?;
        done.checkpoint = Some(path.clone());
        run.observer.on_checkpoint(&Saved { epoch: epoch + 1, steps: done.steps, path });
        match validate(&mut run, epoch + 1) {
            Err(Error::Interrupted) => done.interrupted = true,
            validated => done.validation = validated?,
        }
        clock.restart();
        if done.interrupted {
            break;
        }
    }
    run.observer.on_end(&ended(&done, &clock, size.num_batches), &run.loader.stats());
    Ok(done)
}

fn ended(done: &FineTuned, clock: &Clock, steps_per_epoch: u64) -> TrainReport {
    TrainReport {
        epochs: done.steps / steps_per_epoch.max(1),
        steps: done.steps,
        samples_seen: clock.samples(),
        loss: done.loss,
        seconds: clock.seconds(),
        samples_per_second: clock.rate(),
        interrupted: done.interrupted,
        checkpoint: done.checkpoint.clone(),
        ..TrainReport::default()
    }
}

fn tune_epoch(
    run: &mut FineTune<'_>,
    batches: &mut Batches,
    epoch: u64,
    schedule: &Schedule,
    clock: &mut Clock,
    done: &mut FineTuned,
) -> Result<()> {
    let size = run.loader.epoch_size();
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
        let per_step = size.num_samples / size.num_batches.max(1);
        let report = StepReport {
            epoch,
            step,
            step_in_epoch,
            steps_per_epoch: size.num_batches,
            total_steps: schedule.total_steps,
            samples_seen: (step_in_epoch + 1) * per_step,
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
        let label = if label == u32::MAX { "no index".to_owned() } else { label.to_string() };
        let reason = format!("sample `{key}` has the class {label}, but there are {classes} names");
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

fn validate(run: &mut FineTune<'_>, epoch: u64) -> Result<Option<ZeroShotReport>> {
    let Some((task, prepared)) = &run.validation else { return Ok(None) };
    let report = task.run_with(&run.tuner.clip, prepared, run.stop, |features| run.tuner.head.logits(features))?;
    let mut metrics = Metrics::of_epoch(epoch);
    metrics.extend(report.metrics(epoch));
    run.observer.on_evaluation(&metrics);
    Ok(Some(report))
}
