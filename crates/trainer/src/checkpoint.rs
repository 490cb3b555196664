//! Checkpoints: a folder per epoch that appears whole or not at all.
//!
//! Format, version 1: `open_clip_model.safetensors` and `open_clip_config.json` (which Python's
//! open_clip opens), `optimizer.safetensors` (`first.<parameter>`, `second.<parameter>`, f32), `state.json`
//! ([`State`]) and `loader.json` ([`LoaderPosition`]: the batch that comes next).

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::safetensors as tensors;
use candle_core::{Device, Tensor};
use loader::LoaderPosition;
use model::clip::Clip;
use model::weights::{TrainingState, training_state};
use serde::{Deserialize, Serialize};

use crate::config::AdamW;
use crate::error::{Error, Result};
use crate::optimizer::decays;
use crate::step::Trainer;

const VERSION: u32 = 1;
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const LOADER: &str = "loader.json";

/// Where a run stood when the checkpoint was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the checkpoint's format.
    pub version: u32,
    /// Epochs completed.
    pub epoch: u64,
    /// Optimizer steps taken.
    pub steps: u64,
}

/// Writes `epoch_<epoch>` under `folder` and returns its path. It is written under another name, synced
/// and renamed, so that a checkpoint that can be seen is whole.
///
/// # Errors
/// When the folder cannot be written; what was there stays.
pub fn save(trainer: &Trainer, position: &LoaderPosition, folder: &Path, epoch: u64) -> Result<PathBuf> {
    let sealed = folder.join(format!("epoch_{epoch}"));
    let open = folder.join(format!("epoch_{epoch}.tmp"));
    if open.exists() {
        fs::remove_dir_all(&open).map_err(Error::io("remove", &open))?;
    }
    fs::create_dir_all(&open).map_err(Error::io("create", &open))?;
    trainer.clip.save(&open)?;
    tensors::save(&trainer.optimizer.tensors(trainer.clip.parameters()), open.join(OPTIMIZER))?;
    let state = State { version: VERSION, epoch, steps: trainer.optimizer.steps() };
    write_json(&open.join(STATE), &state)?;
    write_json(&open.join(LOADER), position)?;
    sync_folder(&open)?;
    if sealed.exists() {
        fs::remove_dir_all(&sealed).map_err(Error::io("remove", &sealed))?;
    }
    fs::rename(&open, &sealed).map_err(Error::io("rename", &open))?;
    sync(folder)?;
    Ok(sealed)
}

/// Reads a checkpoint that [`save`] wrote.
///
/// # Errors
/// Names the file that is missing or damaged.
pub fn load(folder: &Path, adamw: AdamW, grad_clip_norm: Option<f64>, device: &Device) -> Result<(Trainer, State)> {
    let damaged = |reason: String| Error::Checkpoint { path: folder.to_path_buf(), reason };
    let path = folder.join(STATE);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let state: State = serde_json::from_str(&text).map_err(|error| damaged(format!("{STATE}: {error}")))?;
    if state.version != VERSION {
        return Err(damaged(format!("expected format version {VERSION}, got {}", state.version)));
    }
    let mut trainer = Trainer::new(Clip::load(folder, device)?, adamw, grad_clip_norm)?;
    let moments = tensors::load(folder.join(OPTIMIZER), device)?;
    trainer.optimizer.restore(trainer.clip.parameters(), moments, state.steps).map_err(damaged)?;
    Ok((trainer, state))
}

/// Where the data of the run go on that wrote the checkpoint `folder`.
///
/// # Errors
/// Names the file that is missing or damaged.
pub fn load_position(folder: &Path) -> Result<LoaderPosition> {
    let path = folder.join(LOADER);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    serde_json::from_str(&text).map_err(|error| Error::Checkpoint { path, reason: error.to_string() })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    fs::write(path, format!("{}\n", serde_json::json!(value))).map_err(Error::io("write", path))
}

/// Takes up a checkpoint of open_clip's trainer, `epoch_K.pt`: weights, moments, steps. Its optimizer has the parameters that
/// do not decay first, each group in the model's order; parameters that are held must be held before.
///
/// # Errors
/// When the file holds weights alone, or belongs to another model.
pub fn resume_open_clip(
    mut clip: Clip,
    path: &Path,
    adamw: AdamW,
    grad_clip_norm: Option<f64>,
) -> Result<(Trainer, State)> {
    let damaged = |reason: String| Error::Checkpoint { path: path.to_path_buf(), reason };
    let state = training_state(path, clip.device())?.ok_or_else(|| damaged("it holds weights alone".to_owned()))?;
    let weights = Clip::load_weights(clip.model_config().clone(), path, clip.device())?;
    let ids: Vec<_> = clip.parameters().iter().map(|(id, _)| id).collect();
    for id in ids {
        clip.parameters_mut().set(id, weights.parameters().value(id).clone())?;
    }
    let (steps, moments) = by_name(&clip, &state).map_err(&damaged)?;
    let mut trainer = Trainer::new(clip, adamw, grad_clip_norm)?;
    trainer.optimizer.restore(trainer.clip.parameters(), moments, steps).map_err(damaged)?;
    Ok((trainer, State { version: VERSION, epoch: state.epoch, steps }))
}

/// Steps and moments of an optimizer of two groups, by the parameters' names; parameters that are held have none yet.
fn by_name(clip: &Clip, state: &TrainingState) -> std::result::Result<(u64, HashMap<String, Tensor>), String> {
    let [plain, decaying] = state.groups.as_slice() else {
        return Err(format!("expected two groups of parameters, got {}", state.groups.len()));
    };
    let (mut plain, mut decaying) = (plain.iter(), decaying.iter());
    let (mut steps, mut moments) = (0, HashMap::new());
    for (_, parameter) in clip.parameters().iter().filter(|(_, parameter)| parameter.is_learned()) {
        let name = &parameter.name;
        let zeros = || parameter.value().zeros_like().map_err(|error| error.to_string());
        let (mut first, mut second) = (zeros()?, zeros()?);
        if parameter.trainable() {
            let group = if decays(name, parameter.value().rank()) { &mut decaying } else { &mut plain };
            let adam = group.next().ok_or_else(|| format!("the optimizer's state ends before `{name}`"))?;
            (first, second) = (adam.first.clone(), adam.second.clone());
            steps = steps.max(adam.step);
        }
        moments.extend([(format!("first.{name}"), first), (format!("second.{name}"), second)]);
    }
    match plain.len() + decaying.len() {
        0 => Ok((steps, moments)),
        rest => Err(format!("the optimizer's state has {rest} parameters more than the model")),
    }
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
