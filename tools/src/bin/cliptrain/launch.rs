//! A run whose parts are there: whoever hears of it is put together, and it is let go.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use loader::{Batch, Stop};
use model::flops;
use shards::store::Folder;
use tools::log::{self, JsonLines, LogFile};
use tools::observe::Texts;
use tools::observe::board::Board;
use tools::observe::page::Page;
use tools::observe::progress::Progress;
use tools::observe::steps::StepsFile;
use tools::training::Session;
use tools::{human, json, training};
use trainer::config::{AdamW, Decay};
use trainer::evaluate::{Evaluated, Periodic, Suite};
use trainer::metrics::{Metrics, ResultsFile};
use trainer::train::{Trained, epoch_size};
use trainer::{Observer, StepReport, TrainConfig};

use crate::cli::Train;
use crate::params::{self, Params};
use crate::remote::{self, Sync};
use crate::run_folder::{self, RunFolder};

/// A run whose parts are there.
pub struct Launch<'a> {
    /// What was typed.
    pub arguments: &'a Train,
    /// What the model is called.
    pub model: &'a str,
    /// All flags with their values.
    pub params: &'a Params,
    /// What they say.
    pub config: &'a TrainConfig,
    /// Ends it.
    pub stop: &'a Stop,
    /// Whether a step was taken.
    pub started: Rc<Cell<bool>>,
    /// The last evaluation.
    pub found: Rc<RefCell<Evaluated>>,
}

impl Launch<'_> {
    /// Opens whatever is written, and trains.
    ///
    /// # Errors
    /// When something cannot be written, or ends the run.
    pub fn launch(&self, session: Session<'_>, suite: Suite, folder: Option<&RunFolder>) -> anyhow::Result<Trained> {
        let mut lines = self.resolved(&session);
        if let Some(folder) = folder {
            lines.insert("name".to_owned(), folder.path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Started(Rc::clone(&self.started)))];
        observers.extend(self.observers(folder, &session, &params::text(&lines))?);
        let sync = folder.map(|folder| self.sync(&folder.path)).transpose()?.flatten();
        self.tell(&session, &lines, folder.map(RunFolder::log).transpose()?);
        let mut evaluator = Periodic {
            suite,
            zero_shot: self.config.frequency(self.arguments.evaluation.zeroshot_frequency),
            pairs: self.config.frequency(self.arguments.evaluation.val_frequency),
            tokenizer: Arc::clone(&session.tokenizer),
            stop: self.stop.clone(),
            facts: self.facts(&session)?,
            keep: Rc::clone(&self.found),
        };
        let trained = session.run(&mut evaluator, &mut observers);
        drop(observers);
        let synced = sync.map_or(Ok(()), Sync::finish);
        let trained = trained?;
        synced?;
        Ok(trained)
    }

    fn sync(&self, run: &Path) -> anyhow::Result<Option<Sync>> {
        let Some(remote) = &self.arguments.output.remote_sync else { return Ok(None) };
        let remote = Folder::parse(remote).context("--remote-sync")?;
        if let Some(path) = remote.local_path() {
            run_folder::check_not_within(run, path, "--remote-sync")?;
        }
        let name = run.file_name().unwrap_or_default().to_string_lossy();
        let every = Duration::from_secs(self.arguments.output.remote_sync_frequency);
        Sync::start(run, remote::within(&remote, &name)?, every).map(Some)
    }

    /// The flags as they were understood, under open_clip's names.
    fn resolved(&self, session: &Session<'_>) -> Params {
        let mut lines = self.params.clone();
        let AdamW { beta1, beta2, eps, .. } = self.config.adamw;
        for (name, value) in [("lr", self.config.lr), ("beta1", beta1), ("beta2", beta2), ("eps", eps)] {
            lines.insert(name.to_owned(), params::python_float(value));
        }
        let folder = self.config.run_dir.as_ref();
        let within = |name: &str| folder.map_or("None".to_owned(), |run| run.join(name).display().to_string());
        let on = if session.trainer.clip.device().is_cpu() { "cpu" } else { "cuda:0" };
        for (name, value) in [
            ("model", self.model.to_owned()),
            ("device", on.to_owned()),
            ("computed_in", format!("{:?}", session.trainer.clip.precision()).to_lowercase()),
            ("distributed", params::python_bool(false).to_owned()),
            ("rank", "0".to_owned()),
            ("world_size", "1".to_owned()),
            ("log_path", within(log::FILE)),
            ("checkpoint_path", within("checkpoints")),
            ("cliptrain_version", env!("CARGO_PKG_VERSION").to_owned()),
        ] {
            lines.insert(name.to_owned(), value);
        }
        lines
    }

    /// Tells what the run is, before its first step.
    fn tell(&self, session: &Session<'_>, lines: &Params, log: Option<LogFile>) {
        let opening = self.opening(session);
        if let Some(mut log) = log {
            opening.iter().for_each(|line| log.line(line));
            tools::log::warn_also(log);
        }
        if self.arguments.output.json {
            let _ = json::line("params", lines);
            return;
        }
        lines.iter().for_each(|(name, value)| tools::note!("  {name}: {value}"));
        opening.iter().for_each(|line| tools::note!("{line}"));
    }

    /// How long epochs are, what of them is left out, and where the run begins.
    fn opening(&self, session: &Session<'_>) -> Vec<String> {
        let (start, trainer) = (&session.start, &session.trainer);
        let (epoch, steps) = (start.moment.epoch, trainer.steps());
        let size = epoch_size(&session.loader, &start.position);
        let accum = self.config.accum_freq;
        let (rest, pairs) = (size.num_batches % accum, size.num_samples / size.num_batches.max(1) * accum);
        let mut lines =
            vec![format!("an epoch: {} of {pairs} pairs", human::counted(size.num_batches / accum, "step"))];
        let left = session.loader.num_samples().saturating_sub(size.num_samples);
        if left > 0 && !self.arguments.data.dataset_epochless {
            lines.push(format!("{} an epoch fill no batch, other ones each time", human::counted(left, "pair")));
        }
        if rest > 0 {
            lines.push(format!("{rest} of its {} batches fill no step of {accum} and are left out", size.num_batches));
        }
        if steps > 0 {
            lines.push(format!("going on behind epoch {epoch}, step {steps}"));
        }
        let all = size.num_batches / accum * self.config.epochs;
        let warmup = Some(self.config.warmup).filter(|_| self.config.decay != Decay::Skipped);
        lines.extend(warmup.and_then(|warmup| training::long_warmup(warmup, all)));
        if epoch >= self.config.epochs {
            let done = human::counted(epoch, "epoch");
            lines.push(format!("nothing is left to train: {done} done, and --epochs is {}", self.config.epochs));
        }
        lines
    }

    /// What readers of the results want to know beside them: how much was done, and with what.
    fn facts(&self, session: &Session<'_>) -> anyhow::Result<Box<dyn Fn(u64) -> Metrics>> {
        let model = self.model.to_owned();
        let per_epoch = epoch_size(&session.loader, &session.start.position).num_samples;
        let per_pair = 3.0 * flops::of(session.trainer.clip.config())?.pair() as f64;
        Ok(Box::new(move |epochs| {
            let mut facts = Metrics::default();
            let samples = epochs * per_epoch;
            facts.set("samples_seen", samples);
            facts.set("training_flops", per_pair * samples as f64);
            facts.set("model", model.clone());
            facts
        }))
    }

    /// Whoever hears of the run. A sink that cannot be written is told here, before any work.
    fn observers(
        &self,
        folder: Option<&RunFolder>,
        session: &Session<'_>,
        params: &str,
    ) -> anyhow::Result<Vec<Box<dyn Observer>>> {
        let every = self.arguments.output.log_every_n_steps;
        let tensorboard = self.arguments.telling.tensorboard()?;
        let mut observers: Vec<Box<dyn Observer>> = Vec::new();
        match self.arguments.output.json {
            true => observers.push(Box::new(JsonLines { log_every_n_steps: every })),
            false => {
                let per_pair = flops::of(session.trainer.clip.config())?.pair() as f64;
                observers.push(Box::new(Progress::new(every, per_pair, None)));
            }
        }
        let Some(folder) = folder else {
            if tensorboard {
                bail!("--report-to tensorboard writes into the run's folder, and --logs None has none");
            }
            return Ok(observers);
        };
        let (run, checkpoints) = (&folder.path, folder.path.join("checkpoints"));
        std::fs::create_dir_all(&checkpoints).with_context(|| format!("cannot create `{}`", checkpoints.display()))?;
        let path = run.join(params::FILE);
        std::fs::write(&path, params).with_context(|| format!("cannot write `{}`", path.display()))?;
        observers.push(Box::new(folder.log()?.observer(every)));
        observers.push(Box::new(ResultsFile::open(checkpoints.join("results.jsonl"))?));
        observers.push(Box::new(StepsFile::open(run, every)?));
        let tokenizer = Arc::clone(&session.tokenizer);
        let texts: Texts = Arc::new(move |ids| tokenizer.decode(ids));
        if tensorboard {
            observers.push(Box::new(Board::create(run, every, Arc::clone(&texts), params)?));
        }
        observers.push(Box::new(Page::create(run, every, texts, params, Rc::clone(&self.found))?));
        Ok(observers)
    }
}

/// Knows whether a step was taken: until then, a run that fails leaves nothing behind.
struct Started(Rc<Cell<bool>>);

impl Observer for Started {
    fn on_step(&mut self, _: &StepReport, _: &[Batch]) {
        self.0.set(true);
    }
}
