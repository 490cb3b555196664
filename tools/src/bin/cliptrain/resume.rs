//! `--resume`: what a run goes on from, and whether that fits what it is told.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loader::Loader;
use model::clip::Clip;
use model::weights::training_state;
use shards::store::Folder;
use tools::exit::Hint;
use trainer::TrainConfig;
use trainer::checkpoint::{self, OPTIMIZER, STATE, State};
use trainer::metrics::ResultsFile;
use trainer::step::Trainer;
use trainer::train::{Start, epoch_size};

use crate::cli::{LATEST, Train};
use crate::remote;
use crate::run_folder::RunFolder;

/// What a run goes on from.
#[derive(Debug, PartialEq, Eq)]
pub enum From {
    /// Nothing: it begins.
    Nothing,
    /// A checkpoint of this program.
    Checkpoint(PathBuf),
    /// `epoch_K.pt` of open_clip's trainer.
    OpenClip(PathBuf),
    /// Weights alone, with which it begins.
    Weights(PathBuf),
}

/// Refuses a path where nothing is, before the run's own folder is looked at.
///
/// # Errors
/// Names it.
pub fn check(resume: Option<&str>) -> anyhow::Result<()> {
    match resume.filter(|path| *path != LATEST && !path.starts_with("s3://")) {
        Some(path) if !Path::new(path).exists() => bail!("--resume: there is no `{path}`"),
        _ => Ok(()),
    }
}

/// Finds what `--resume` names. What is fetched from afar lies in the run's folder, or in a temporary one.
///
/// # Errors
/// When there is no such thing.
pub fn find(arguments: &Train, run: Option<&Path>, scratch: &Path) -> anyhow::Result<From> {
    match (arguments.output.resume.as_deref(), run) {
        (None, _) => Ok(From::Nothing),
        (Some(LATEST), Some(run)) => latest(arguments, run),
        (Some(address), _) if address.starts_with("s3://") => {
            let into = scratch.join("checkpoint");
            remote::fetch_checkpoint(address.trim_end_matches('/'), &into)?;
            Ok(From::Checkpoint(into))
        }
        (Some(path), _) => of_path(Path::new(path)),
    }
}

fn latest(arguments: &Train, run: &Path) -> anyhow::Result<From> {
    let folder = run.join("checkpoints");
    let mut found = checkpoint::newest(&folder)?;
    if let (Some(remote), Some(name)) = (&arguments.output.remote_sync, &arguments.output.name) {
        let here = found.as_deref().map(checkpoint::state).transpose()?.map(|state| state.steps);
        let remote = remote::within(&Folder::parse(remote).context("--remote-sync")?, name)?;
        let fetched = remote::fetch_newest(&remote, &folder, here).context("--resume latest: --remote-sync")?;
        found = fetched.or(found);
    }
    if found.is_none() {
        tell_of_none(&folder);
    }
    Ok(found.map_or(From::Nothing, From::Checkpoint))
}

/// Says that there is nothing to go on from yet, which is no error: a job's script says `latest` from its first start on.
pub fn tell_of_none(checkpoints: &Path) {
    tools::note!("--resume latest: `{}` has no checkpoint yet; the run begins", checkpoints.display());
}

fn of_path(path: &Path) -> anyhow::Result<From> {
    if path.is_dir() {
        if path.join(STATE).is_file() {
            return Ok(From::Checkpoint(path.to_path_buf()));
        }
        for folder in [path.to_path_buf(), path.join("checkpoints")] {
            if let Some(newest) = checkpoint::newest(&folder)? {
                return Ok(From::Checkpoint(newest));
            }
        }
        if path.join(OPTIMIZER).is_file() {
            let hint = "--pretrained starts a new run from its weights".to_owned();
            let error = anyhow::anyhow!("--resume: the checkpoint `{}` has no {STATE}", path.display());
            return Err(error.context(Hint(hint)));
        }
        if model::weights::model_file(path).is_file() {
            return Ok(From::Weights(path.to_path_buf()));
        }
        bail!("--resume: `{}` has neither a checkpoint nor weights", path.display());
    }
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(From::Weights(path.to_path_buf()));
    }
    let state = training_state(path, &model::Device::Cpu).context("--resume")?;
    Ok(if state.is_some() { From::OpenClip(path.to_path_buf()) } else { From::Weights(path.to_path_buf()) })
}

impl From {
    /// Where the weights are, if they are found.
    pub fn weights(&self) -> Option<&Path> {
        match self {
            Self::Nothing => None,
            Self::Checkpoint(path) | Self::OpenClip(path) | Self::Weights(path) => Some(path),
        }
    }

    /// Epochs that were completed, as far as it says; as in open_clip, weights alone have completed none.
    ///
    /// # Errors
    /// When the checkpoint is damaged.
    pub fn epochs(&self) -> anyhow::Result<u64> {
        Ok(match self {
            Self::Checkpoint(folder) => checkpoint::state(folder)?.moment.epoch,
            Self::OpenClip(file) => training_state(file, &model::Device::Cpu)?.map_or(0, |state| state.epoch),
            Self::Nothing | Self::Weights(_) => 0,
        })
    }
}

/// The trainer that goes on, with the model that was read from there, and what was counted before; a new one where it begins.
///
/// # Errors
/// When the checkpoint is damaged, or of another model.
pub fn trainer(from: &From, clip: Clip, config: &TrainConfig) -> anyhow::Result<(Trainer, Option<State>)> {
    let (adamw, clip_norm) = (config.adamw, config.grad_clip_norm);
    let resumed = match from {
        From::Nothing | From::Weights(_) => return Ok((Trainer::new(clip, adamw, clip_norm)?, None)),
        From::Checkpoint(folder) => checkpoint::resume(clip, folder, adamw, clip_norm),
        From::OpenClip(file) => checkpoint::resume_open_clip(clip, file, adamw, clip_norm),
    };
    let (trainer, state) = resumed.context("--resume")?;
    Ok((trainer, Some(state)))
}

/// Where the data go on.
///
/// # Errors
/// When the flags are not those of the run that wrote the checkpoint, as far as its steps depend on them.
pub fn start(
    from: &From,
    state: Option<State>,
    loader: &Loader,
    config: &TrainConfig,
    trainer: &mut Trainer,
    run: Option<&RunFolder>,
) -> anyhow::Result<Start> {
    let Some(state) = state else { return Ok(Start::of(loader)) };
    let fresh = loader.epoch_size();
    let batch = loader.global_batch_size();
    let per_step = batch * config.accum_freq;
    let mut start = match from {
        From::Checkpoint(folder) => {
            let position = checkpoint::load_position(folder, &state)?;
            let start = Start { position, moment: state.moment, owes_evaluation: false };
            let steps = state.steps.max(1);
            same("samples of a step, --batch-size times --accum-freq", state.moment.samples_seen / steps, per_step)?;
            // Epochs stay rounded by the workers that the run began with.
            let rounded = loader.epoch_size_with(start.position.workers);
            same("samples of an epoch", start.position.epoch_samples, rounded.num_samples)?;
            start
        }
        _ => {
            let steps_per_epoch = config.steps_per_epoch(fresh)?;
            let moment =
                checkpoint::Moment { samples_seen: state.moment.epoch * steps_per_epoch * per_step, ..state.moment };
            trainer.set_steps(state.moment.epoch * steps_per_epoch);
            Start { position: loader.start_of(state.moment.epoch), moment, owes_evaluation: false }
        }
    };
    // Told apart from a batch that does not fit a step: these are the epoch's own.
    config.steps_per_epoch(epoch_size(loader, &start.position))?;
    loader.check(&start.position).context(Hint(
        "the data, --seed and the flags about order have to be those of the run; --pretrained starts a new one from its weights"
            .to_owned(),
    ))?;
    if let Some(run) = run.filter(|run| run.is_continued) {
        let evaluated = ResultsFile::last_epoch(&run.path.join("checkpoints/results.jsonl"));
        start.owes_evaluation =
            state.moment.steps_in_epoch == 0 && evaluated.is_none_or(|last| last < state.moment.epoch);
    }
    Ok(start)
}

fn same(what: &str, saved: u64, now: u64) -> anyhow::Result<()> {
    if saved == now {
        return Ok(());
    }
    let error = anyhow::anyhow!("--resume: {what}: {saved} in the checkpoint's run, {now} by these flags");
    Err(error.context(Hint("--pretrained CHECKPOINT starts a new run from its weights".to_owned())))
}

/// A folder that is gone when it is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// One of this process.
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("cliptrain-{}", std::process::id())))
    }

    /// Its path; made by whoever writes there.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
