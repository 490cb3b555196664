//! A training run put together from its parts, with its log: the same for `cliptrain` and for the demo.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use loader::{Loader, LoaderConfig, Sampling, Stop, Tokenize, Transform};
use model::clip::Clip;
use model::tokenizer::Tokenizer;
use shards::spec::ShardSpec;
use trainer::evaluate::ZeroShotTask;
use trainer::step::Trainer;
use trainer::train::{Run, Trained, train};
use trainer::{Event, StepReport, TrainConfig};

use crate::exit::Hint;
use crate::{terminal, zoo};

/// The data of a run.
#[derive(Clone, Debug)]
pub struct TrainData {
    /// Shards, `{000..999}` and `::` allowed.
    pub spec: String,
    /// Samples of an epoch, where the shards' folder does not tell or is not to be believed.
    pub num_samples: Option<u64>,
    /// Each shard once an epoch, or drawn with replacement.
    pub sampling: Sampling,
    /// Pairs of a batch.
    pub batch_size: usize,
    /// Threads that read and decode.
    pub workers: usize,
    /// Seed of order and crops.
    pub seed: u64,
    /// Scale range of the random crop.
    pub crop_scale: (f64, f64),
}

/// Opens the data for a model; batches end early once `stop` is set.
///
/// # Errors
/// When the specification is malformed, or the number of samples is unknown.
pub fn open(data: &TrainData, clip: &Clip, tokenizer: &Arc<Tokenizer>, stop: &Stop) -> anyhow::Result<Loader> {
    let (tokenizer, context_length) = (Arc::clone(tokenizer), clip.config().text_cfg.context_length);
    let tokenize: Tokenize = Arc::new(move |caption| tokenizer.encode(caption, context_length));
    let spec = ShardSpec::parse(&data.spec).context("--train-data")?;
    let side = clip.config().vision_cfg.image_size as u32;
    let mut config = LoaderConfig::new(spec, data.batch_size, side, tokenize, context_length);
    config.workers = data.workers;
    config.seed = data.seed;
    config.sampling = data.sampling;
    config.stop = stop.clone();
    config.num_samples = data.num_samples;
    config.transform = Transform::Train { scale: data.crop_scale, ratio: (3.0 / 4.0, 4.0 / 3.0) };
    let loader = match Loader::new(config) {
        Err(error @ loader::Error::UnknownSize { .. }) => Err(anyhow::Error::new(error)
            .context(Hint("--train-num-samples N says how many samples an epoch has".to_owned()))),
        loader => loader.map_err(anyhow::Error::new),
    };
    loader.with_context(|| format!("cannot train on `{}`", data.spec))
}

/// The tokenizer that a model's text tower asks for.
///
/// # Errors
/// When its files cannot be had, or it has more ids than the tower.
pub fn tokenizer(clip: &Clip) -> anyhow::Result<Tokenizer> {
    trainer::zoo::tokenizer(clip.config(), &[], &zoo::hub()).context("--model")
}

/// A stop that the first Ctrl-C or SIGTERM sets; commands that stream shards are ended with it.
///
/// # Errors
/// When signals cannot be watched.
pub fn stop_on_interrupt() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    let stopper = stop.clone();
    let interrupted = move || {
        stopper.set();
        shards::store::end_commands();
    };
    terminal::on_interrupt(interrupted).context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

/// Trains, telling `listener` and writing `out.log` in the run's folder.
///
/// # Errors
/// When anything stops the run; the message says what.
pub fn run(
    config: &TrainConfig,
    clip: Clip,
    data: &TrainData,
    tasks: Vec<ZeroShotTask>,
    stop: &Stop,
    listener: &mut dyn FnMut(&Event),
) -> anyhow::Result<Trained> {
    config.validate()?;
    let tokenizer = Arc::new(tokenizer(&clip)?);
    let loader = open(data, &clip, &tokenizer, stop)?;
    let tasks = prepare(tasks)?;
    let mut trainer = Trainer::new(clip, config.adamw, config.grad_clip_norm)?;
    trainer.seed = data.seed;
    std::fs::create_dir_all(&config.run_dir)
        .with_context(|| format!("cannot create `{}`", config.run_dir.display()))?;
    let mut log = Log::create(&config.run_dir.join("out.log"), config.log_every_n_steps)?;
    let mut tell = |event: Event| {
        log.hear(&event);
        listener(&event);
    };
    let run = Run { config, trainer, loader: &loader, tokenizer: &tokenizer, tasks, stop, listener: &mut tell };
    let trained = train(run)?;
    log.line(&format!("loader: {}", serde_json::to_string(&trained.loader)?));
    Ok(trained)
}

/// Opens every evaluation, so that a bad one stops the run before it starts.
///
/// # Errors
/// When a folder or its classes are unusable.
pub fn prepare(
    tasks: Vec<ZeroShotTask>,
) -> anyhow::Result<Vec<(ZeroShotTask, trainer::evaluate::zero_shot::Prepared)>> {
    tasks
        .into_iter()
        .map(|task| {
            let prepared = task.prepare()?;
            Ok((task, prepared))
        })
        .collect()
}

/// A step as open_clip's log shows it.
pub fn step_line(step: &StepReport) -> String {
    let digits = step.samples_per_epoch.to_string().len();
    let percent = 100.0 * step.samples_seen as f64 / step.samples_per_epoch.max(1) as f64;
    format!(
        "Train Epoch: {} [{:>digits$}/{} ({percent:.0}%)] Data (t): {:.3} Batch (t): {:.3}, {:.1}/s LR: {:.6} \
         Logit Scale: {:.3} Loss: {:.5} ({:.5})",
        step.epoch,
        step.samples_seen,
        step.samples_per_epoch,
        step.data_seconds,
        step.step_seconds,
        step.samples_per_second,
        step.lr,
        step.logit_scale,
        step.loss,
        step.mean_loss,
    )
}

/// Any event as a line of the log; `None` for steps between two reports.
pub fn event_line(event: &Event, log_every_n_steps: u64) -> Option<String> {
    match event {
        Event::Step(step) => {
            let last = step.step_in_epoch + 1 == step.steps_per_epoch;
            (step.step_in_epoch.is_multiple_of(log_every_n_steps) || last).then(|| step_line(step))
        }
        Event::Saved { epoch, path } => Some(format!("Checkpoint after epoch {epoch}: {}", path.display())),
        Event::Evaluated(metrics) => {
            let text = |(name, value): (&String, &serde_json::Value)| format!("{name}: {value}");
            let listed: Vec<String> = metrics.entries().iter().map(text).collect();
            Some(format!("Eval {}", listed.join("\t")))
        }
    }
}

/// `out.log`.
struct Log {
    file: File,
    log_every_n_steps: u64,
}

impl Log {
    fn create(path: &Path, log_every_n_steps: u64) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(Self { file, log_every_n_steps })
    }

    fn hear(&mut self, event: &Event) {
        if let Some(line) = event_line(event, self.log_every_n_steps) {
            self.line(&line);
        }
    }

    /// A log that cannot be written must not end the training it tells of.
    fn line(&mut self, text: &str) {
        if let Err(error) = writeln!(self.file, "{text}") {
            tracing::warn!("cannot write out.log: {error}");
        }
    }
}
