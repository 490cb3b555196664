//! The training loop: learning rate, step, log, checkpoint, evaluation.

use loader::{Batch, Batches, EpochSize, Loader, LoaderPosition, LoaderStats, Stop};

use crate::checkpoint::{self, Keeper, Moment};
use crate::clock::Clock;
use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::input;
use crate::metrics::Metrics;
use crate::observer::{Evaluator, Observer};
use crate::report::{Saved, StepReport, TrainReport};
use crate::schedule::Schedule;
use crate::step::{Outcome, Stepped, Trainer};

/// Everything a run works with.
pub struct Run<'a> {
    /// What it was told.
    pub config: &'a TrainConfig,
    /// Model and optimizer.
    pub trainer: Trainer,
    /// Where batches come from.
    pub loader: &'a Loader,
    /// Where the run begins.
    pub start: Start,
    /// Set from outside to stop after the step under way.
    pub stop: &'a Stop,
    /// What is evaluated after epochs.
    pub evaluator: &'a mut dyn Evaluator,
    /// Hears of every step, checkpoint and evaluation.
    pub observer: &'a mut dyn Observer,
}

/// Where a run begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// The next batch.
    pub position: LoaderPosition,
    /// What was counted before.
    pub moment: Moment,
    /// Whether the evaluations of the epoch just completed are still to be done.
    pub owes_evaluation: bool,
}

impl Start {
    /// The start of a new run.
    pub fn of(loader: &Loader) -> Self {
        Self { position: loader.start(), moment: Moment::default(), owes_evaluation: false }
    }
}

/// What a finished run leaves in memory.
pub struct Trained {
    /// Counts and times.
    pub report: TrainReport,
    /// Model and optimizer.
    pub trainer: Trainer,
    /// What the loader met, losses included.
    pub loader: LoaderStats,
}

/// A run under way.
struct Training<'a> {
    run: Run<'a>,
    schedule: Schedule,
    steps_per_epoch: u64,
    size: EpochSize,
    batches: Batches,
    /// Behind the last step: batches that were taken for a step that was not are before it.
    position: LoaderPosition,
    moment: Moment,
    keeper: Keeper,
    clock: Clock,
    report: TrainReport,
}

/// Trains for the configured number of epochs.
///
/// # Errors
/// When the configuration cannot be met, the data run out, a file cannot be written, or the loss stops
/// being a number.
pub fn train(run: Run<'_>) -> Result<Trained> {
    run.config.validate()?;
    let Start { position, moment, owes_evaluation } = run.start.clone();
    let size = epoch_size(run.loader, &position);
    let steps_per_epoch = run.config.steps_per_epoch(size)?;
    let mut training = Training {
        schedule: run.config.schedule(steps_per_epoch),
        steps_per_epoch,
        size,
        batches: run.loader.batches_from(&position)?,
        keeper: Keeper::new(run.config.checkpoint_dir(), run.config.saving, run.trainer.steps())?,
        position,
        moment,
        clock: Clock::new(),
        report: TrainReport { steps: run.trainer.steps(), epochs: moment.epoch, ..TrainReport::default() },
        run,
    };
    if owes_evaluation {
        training.evaluate()?;
    }
    while training.moment.epoch < training.run.config.epochs && !training.report.interrupted {
        training.epoch()?;
    }
    Ok(training.end())
}

impl Training<'_> {
    fn epoch(&mut self) -> Result<()> {
        let (saving, epochs) = (self.run.config.saving, self.run.config.epochs);
        while self.moment.steps_in_epoch < self.steps_per_epoch {
            if !self.step()? {
                return self.interrupted();
            }
            let is_last = self.moment.steps_in_epoch == self.steps_per_epoch;
            if !is_last && saving.every_n_steps.is_some_and(|n| self.run.trainer.steps().is_multiple_of(n)) {
                self.save()?;
            }
            if !is_last && self.run.stop.is_set() {
                return self.interrupted();
            }
        }
        if !self.pass_over_rest()? {
            return self.interrupted();
        }
        self.moment = self.moment.next_epoch();
        self.report.epochs = self.moment.epoch;
        if self.keeper.is_due(self.moment.epoch, epochs) {
            self.save()?;
        }
        if self.run.stop.is_set() {
            return self.interrupted();
        }
        self.evaluate()
    }

    /// One step and its report; `false` where there are no batches, since the run was told to stop.
    fn step(&mut self) -> Result<bool> {
        let Some(batches) = self.take(self.run.config.accum_freq)? else { return Ok(false) };
        let data_seconds = self.clock.waited();
        let step = self.run.trainer.steps();
        let lr = self.schedule.rate(step);
        let stepped = step_on(&mut self.run.trainer, &batches, lr)?;
        if stepped.outcome == Outcome::NonFinite {
            return Err(self.non_finite(step, &batches, stepped));
        }
        self.position = self.batches.position().clone();
        let samples = batches.iter().map(|batch| batch.keys.len()).sum::<usize>();
        self.moment = self.moment.after_step(samples as u64, stepped.loss);
        let step_seconds = self.clock.stepped(samples);
        let report = self.step_report(step, stepped, [lr, data_seconds, step_seconds]);
        (self.report.steps, self.report.loss) = (step + 1, stepped.loss);
        self.run.observer.on_step(&report, &batches);
        Ok(true)
    }

    /// The next batches; `None` once the run is told to stop.
    fn take(&mut self, count: u64) -> Result<Option<Vec<Batch>>> {
        (0..count).map(|_| Ok(self.batches.next().transpose()?)).collect()
    }

    /// Batches at the end of an epoch that do not fill a step.
    fn pass_over_rest(&mut self) -> Result<bool> {
        let rest = match self.batches.position() {
            position if position.samples > 0 => self.batches.left_in_epoch(),
            _ => 0,
        };
        let passed = self.take(rest)?.is_some();
        if passed {
            self.position = self.batches.position().clone();
        }
        Ok(passed)
    }

    fn step_report(&self, step: u64, stepped: Stepped, [lr, data_seconds, step_seconds]: [f64; 3]) -> StepReport {
        let size = self.size;
        let moment = &self.moment;
        let scaler = self.run.trainer.scaler;
        StepReport {
            epoch: moment.epoch,
            step,
            step_in_epoch: moment.steps_in_epoch - 1,
            steps_per_epoch: self.steps_per_epoch,
            total_steps: self.schedule.total_steps,
            samples_seen: moment.steps_in_epoch * self.run.config.accum_freq * size.num_samples
                / size.num_batches.max(1),
            samples_per_epoch: size.num_samples,
            loss: stepped.loss,
            contrastive_loss: stepped.loss - stepped.distill_loss.unwrap_or(0.0),
            distill_loss: stepped.distill_loss,
            mean_loss: moment.loss_sum / moment.steps_in_epoch as f64,
            lr,
            logit_scale: stepped.logit_scale,
            grad_norm: stepped.grad_norm,
            loss_scale: scaler.map(|scaler| scaler.scale),
            skipped_steps: scaler.map_or(0, |scaler| scaler.skipped),
            data_seconds,
            step_seconds,
            samples_per_second: self.clock.recent_rate(),
            loading: self.batches.metrics(),
        }
    }

    /// Keeps what led to it: the state before the step, and the batches.
    fn non_finite(&self, step: u64, batches: &[Batch], stepped: Stepped) -> Error {
        let keys: Vec<&str> = batches.iter().flat_map(|batch| &batch.keys).map(|key| key.as_str()).take(8).collect();
        let (what, value) = match stepped.loss.is_finite() {
            true => ("norm of the gradients", stepped.grad_norm),
            false => ("loss", stepped.loss),
        };
        let kept = self.run.config.run_dir.as_ref().map(|folder| {
            let folder = folder.join(format!("non-finite-step_{step}"));
            checkpoint::snapshot(&self.run.trainer, &self.position, &self.moment, batches, &folder)
        });
        let snapshot = match kept {
            None => "nothing was saved, since --logs is None".to_owned(),
            Some(Ok(path)) => format!("weights, optimizer and batch are in `{}`", path.display()),
            Some(Err(error)) => format!("the state could not be saved: {error}"),
        };
        Error::NonFinite { what, step, value, keys: keys.join(", "), snapshot }
    }

    /// Saves where the run stands, unless that is saved already.
    fn save(&mut self) -> Result<()> {
        let (trainer, moment) = (&self.run.trainer, &self.moment);
        if let Some(path) = self.keeper.save(trainer, &self.position, moment)? {
            self.report.checkpoint = Some(path.clone());
            self.run.observer.on_checkpoint(&Saved { epoch: moment.epoch, steps: trainer.steps(), path });
        }
        self.clock.restart();
        Ok(())
    }

    fn interrupted(&mut self) -> Result<()> {
        self.report.interrupted = true;
        self.save()
    }

    /// Runs what is due; its metrics go to the observer together.
    fn evaluate(&mut self) -> Result<()> {
        let epochs = self.moment.epoch;
        let found = match self.run.evaluator.evaluate(&self.run.trainer.clip, epochs) {
            Err(Error::Interrupted) => return self.interrupted(),
            found => found?,
        };
        if let Some(found) = found {
            let mut metrics = Metrics::of_epoch(epochs);
            metrics.extend(found);
            self.run.observer.on_evaluation(&metrics);
        }
        self.clock.restart();
        Ok(())
    }

    fn end(mut self) -> Trained {
        self.report.seconds = self.clock.seconds();
        self.report.samples_per_second = self.clock.rate();
        self.report.samples_seen = self.moment.samples_seen;
        self.report.skipped_steps = self.run.trainer.scaler.map_or(0, |scaler| scaler.skipped);
        let loader = self.run.loader.stats();
        self.run.observer.on_end(&self.report, &loader);
        Trained { report: self.report, trainer: self.run.trainer, loader }
    }
}

/// An epoch of the run that `position` is of: rounded by the workers that the run began with.
pub fn epoch_size(loader: &Loader, position: &LoaderPosition) -> EpochSize {
    let batch = loader.global_batch_size();
    EpochSize { num_batches: position.epoch_samples / batch.max(1), num_samples: position.epoch_samples }
}

fn step_on(trainer: &mut Trainer, batches: &[Batch], lr: f64) -> Result<Stepped> {
    let clip = &trainer.clip;
    let side = clip.config().vision_cfg.image_size;
    let context_length = clip.config().text_cfg.context_length;
    let tensors = |batch: &Batch| {
        let count = batch.keys.len();
        let pixels = input::pixel_values(&batch.pixels, count, side, clip.preprocess(), clip.device())?;
        Ok((pixels, input::input_ids(&batch.input_ids, count, context_length, clip.device())?))
    };
    let batches = batches.iter().map(tensors).collect::<Result<Vec<_>>>()?;
    trainer.step_accumulated(&batches, lr)
}
