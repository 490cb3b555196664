//! Checkpoints: folders that appear whole or not at all.
//!
//! Format, version 2: `open_clip_model.safetensors` and `open_clip_config.json` (which Python's
//! open_clip opens), `optimizer.safetensors` (`first.<parameter>`, `second.<parameter>`, f32), `loader.json`
//! ([`LoaderPosition`]: the batch that comes next) and `state.json` ([`State`]). Random draws are addressed by seed and step,
//! so that there is no generator to save. A folder without `state.json`, which is written last, is no checkpoint.

mod differ;
mod find;
mod keep;
mod open_clip;
mod snapshot;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::safetensors as tensors;
use loader::LoaderPosition;
use model::clip::Clip;
use model::config::ModelConfig;
use model::weights::{self, CONFIG_FILE};
use serde::{Deserialize, Serialize};

pub use differ::differences;
pub use find::{LATEST, newest};
pub use keep::Keeper;
pub use open_clip::resume_open_clip;
pub use snapshot::snapshot;

use crate::config::AdamW;
use crate::error::{Error, Result};
use crate::scaler::LossScaler;
use crate::step::Trainer;

const VERSION: u32 = 2;
/// Its file of the optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// The file that makes a folder a checkpoint.
pub const STATE: &str = "state.json";
/// Its file of the next batch.
pub const LOADER: &str = "loader.json";

/// What was counted up to some step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Epochs completed.
    pub epoch: u64,
    /// Steps taken in the epoch under way.
    pub steps_in_epoch: u64,
    /// Pairs seen.
    pub samples_seen: u64,
    /// Losses of the epoch under way, added up.
    pub loss_sum: f64,
}

impl Moment {
    pub(crate) fn after_step(self, samples: u64, loss: f64) -> Self {
        Self {
            steps_in_epoch: self.steps_in_epoch + 1,
            samples_seen: self.samples_seen + samples,
            loss_sum: self.loss_sum + loss,
            ..self
        }
    }

    pub(crate) fn next_epoch(self) -> Self {
        Self { epoch: self.epoch + 1, steps_in_epoch: 0, loss_sum: 0.0, ..self }
    }
}

/// Where a run stood when the checkpoint was written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the checkpoint's format.
    pub version: u32,
    /// What was counted.
    #[serde(flatten)]
    pub moment: Moment,
    /// Steps, skipped ones included.
    pub steps: u64,
    /// Steps that the optimizer took.
    pub optimizer_steps: u64,
    /// Seed of what is dropped in training.
    pub seed: u64,
    /// The loss's scale, in runs that have one.
    pub scaler: Option<LossScaler>,
}

impl State {
    fn of(trainer: &Trainer, moment: &Moment) -> Self {
        Self {
            version: VERSION,
            moment: *moment,
            steps: trainer.steps(),
            optimizer_steps: trainer.optimizer.steps(),
            seed: trainer.seed,
            scaler: trainer.scaler,
        }
    }
}

/// Writes a checkpoint as the folder `sealed`.
///
/// # Errors
/// When the folder cannot be written; what was there stays.
pub fn save(trainer: &Trainer, position: &LoaderPosition, moment: &Moment, sealed: &Path) -> Result<()> {
    seal(sealed, |open| {
        trainer.clip.save(open)?;
        weights::write(&open.join(OPTIMIZER), &trainer.optimizer.tensors(trainer.clip.parameters()))?;
        write_json(&open.join(LOADER), position)?;
        write_json(&open.join(STATE), &State::of(trainer, moment))
    })
}

/// Makes the folder `sealed` of what `write` puts into it. It is written under another name, synced and renamed, so that a
/// folder that can be seen is whole; one that cannot be written whole is gone again.
pub(crate) fn seal(sealed: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let open = sealed.with_added_extension("tmp");
    discard(&open)?;
    fs::create_dir_all(&open).map_err(Error::io("create", &open))?;
    if let Err(error) = write(&open).and_then(|()| sync_folder(&open)) {
        // A full disk is the likely reason, and what was written of it would keep it full.
        let _ = discard(&open);
        return Err(error);
    }
    remove(sealed)?;
    fs::rename(&open, sealed).map_err(Error::io("rename", &open))?;
    sealed.parent().map_or(Ok(()), sync)
}

/// Removes a checkpoint, whole: renamed first, so that what is left of it after a crash is not taken for one.
fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let leaving = folder.with_added_extension("old.tmp");
    discard(&leaving)?;
    fs::rename(folder, &leaving).map_err(Error::io("rename", folder))?;
    discard(&leaving)
}

/// Removes a folder, a file or a link, if it is there.
fn discard(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
    .map_err(Error::io("remove", path))
}

/// Reads what a checkpoint says about its run.
///
/// # Errors
/// Names the file that is missing or damaged.
pub fn state(folder: &Path) -> Result<State> {
    let damaged = |reason: String| Error::Checkpoint { path: folder.to_path_buf(), reason };
    let path = folder.join(STATE);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(format!("{STATE}: {error}")))?;
    let version = value.get("version").cloned().unwrap_or_default();
    if version != VERSION {
        return Err(damaged(format!("{STATE}: expected format version {VERSION}, got {version}")));
    }
    serde_json::from_value(value).map_err(|error| damaged(format!("{STATE}: {error}")))
}

/// Takes up a checkpoint that [`save`] wrote. `clip` is the model that [`Clip::load`] read from it, with those parameters held
/// that are to be.
///
/// # Errors
/// Names the file that is missing or damaged, and how the model differs from the checkpoint's.
pub fn resume(clip: Clip, folder: &Path, adamw: AdamW, grad_clip_norm: Option<f64>) -> Result<(Trainer, State)> {
    let damaged = |reason: String| Error::Checkpoint { path: folder.to_path_buf(), reason };
    let state = state(folder)?;
    let saved = ModelConfig::read(&folder.join(CONFIG_FILE))?.model_cfg;
    if saved != *clip.config() {
        return Err(damaged(format!("it is of another model: {}", differences(&saved, clip.config()))));
    }
    let mut trainer = Trainer::new(clip, adamw, grad_clip_norm)?;
    let moments = tensors::load(folder.join(OPTIMIZER), &trainer.clip.device().clone());
    let moments = moments.map_err(|error| damaged(format!("{OPTIMIZER}: {error}")))?;
    trainer.optimizer.restore(trainer.clip.parameters(), moments, state.optimizer_steps).map_err(damaged)?;
    trainer.set_steps(state.steps);
    trainer.seed = state.seed;
    // A run that went on in another precision begins with a scale of its own.
    trainer.scaler = trainer.scaler.map(|fresh| state.scaler.unwrap_or(fresh));
    Ok((trainer, state))
}

/// Where the data of the run go on that wrote the checkpoint `folder`, whose `state` is known.
///
/// # Errors
/// Names the file that is missing or damaged, and what the two files do not agree about.
pub fn load_position(folder: &Path, state: &State) -> Result<LoaderPosition> {
    let path = folder.join(LOADER);
    let damaged = |reason: String| Error::Checkpoint { path: folder.to_path_buf(), reason };
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let position: LoaderPosition =
        serde_json::from_str(&text).map_err(|error| damaged(format!("{LOADER}: {error}")))?;
    let of_step = state.moment.samples_seen / state.steps.max(1);
    for (what, counted, placed) in [
        ("epoch", state.moment.epoch, position.epoch),
        ("samples of the epoch so far", state.moment.steps_in_epoch * of_step, position.samples),
    ] {
        if counted != placed {
            let reason = format!("{what}: {counted} by {STATE}, {placed} by {LOADER}; they are not of one checkpoint");
            return Err(damaged(reason));
        }
    }
    Ok(position)
}

/// One line of JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    fs::write(path, format!("{}\n", serde_json::json!(value))).map_err(Error::io("write", path))
}

/// Syncs every file of a folder, then the folder.
fn sync_folder(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        sync(&entry.map_err(Error::io("list", folder))?.path())?;
    }
    sync(folder)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("sync", path))
}

/// The path of a checkpoint, as [`Keeper`] names it.
pub(crate) fn named(folder: &Path, moment: &Moment, steps: u64) -> PathBuf {
    match moment.steps_in_epoch {
        0 => folder.join(format!("epoch_{}", moment.epoch)),
        _ => folder.join(format!("step_{steps}")),
    }
}
