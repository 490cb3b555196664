//! Where a fine-tuning stands between two epochs, kept in its checkpoints.
//!
//! Format, version 1: beside model and head, `tuning.safetensors` holds the optimizers' moments (`first.<parameter>`,
//! `second.<parameter>`, f32) and `tuning.json` a [`Progress`]. Random draws are addressed by seed and step.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, safetensors as tensors};
use loader::LoaderPosition;
use model::clip::Clip;
use model::weights;
use serde::{Deserialize, Serialize};

use super::head::Head;
use super::step::{FineTuner, Tuning};
use crate::checkpoint::{seal, write_json};
use crate::config::AdamW;
use crate::error::{Error, Result};

const VERSION: u32 = 1;
const MOMENTS: &str = "tuning.safetensors";
const PROGRESS: &str = "tuning.json";

/// What was done, and which batch comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    version: u32,
    /// Epochs completed.
    pub epochs: u64,
    /// Steps taken.
    pub steps: u64,
    /// Samples of a step.
    pub samples_per_step: u64,
    /// What is trained.
    pub tuning: Tuning,
    /// Where the data go on.
    pub position: LoaderPosition,
}

/// What a run goes on with.
#[derive(Clone, Debug)]
pub struct GoingOn {
    /// Where it stands.
    pub progress: Progress,
    /// Whether the validation of the epoch just completed is still to be done.
    pub owes_validation: bool,
}

impl Progress {
    /// Behind `epochs` epochs and `steps` steps of so many samples.
    pub fn new(epochs: u64, steps: u64, samples_per_step: u64, tuning: Tuning, position: LoaderPosition) -> Self {
        Self { version: VERSION, epochs, steps, samples_per_step, tuning, position }
    }
}

/// Writes a checkpoint as the folder `sealed`, whole or not at all.
pub(super) fn save(tuner: &FineTuner, progress: &Progress, sealed: &Path) -> Result<()> {
    seal(sealed, |open| {
        tuner.clip.save(open)?;
        tuner.head.save(open)?;
        weights::write(&open.join(MOMENTS), &tuner.moments())?;
        write_json(&open.join(PROGRESS), progress)
    })
}

/// The checkpoint among `folder` with the most epochs that can be gone on from; `None` where there is none.
///
/// # Errors
/// When the folder cannot be listed, and when it holds checkpoints but none that can be gone on from: a run that began anew
/// would write over them.
pub fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let (mut best, mut lacking) = (None, None);
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("epoch_"));
        let Some(epochs) = name.and_then(|epochs| epochs.parse::<u64>().ok()) else { continue };
        if !path.join(PROGRESS).is_file() {
            lacking = Some(path);
        } else if best.as_ref().is_none_or(|(most, _)| *most < epochs) {
            best = Some((epochs, path));
        }
    }
    match (best, lacking) {
        (None, Some(path)) => Err(Error::Checkpoint { path, reason: format!("it has no {PROGRESS}") }),
        (best, _) => Ok(best.map(|(_, path)| path)),
    }
}

/// Takes up a checkpoint of a fine-tuning.
///
/// # Errors
/// Names the file that is missing or damaged.
pub fn resume(
    folder: &Path,
    tuning: Tuning,
    adamw: AdamW,
    grad_clip_norm: Option<f64>,
    seed: u64,
) -> Result<(FineTuner, Progress)> {
    let damaged = |reason: String| Error::Checkpoint { path: folder.to_path_buf(), reason };
    let path = folder.join(PROGRESS);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let progress: Progress = serde_json::from_str(&text).map_err(|e| damaged(format!("{PROGRESS}: {e}")))?;
    if progress.version != VERSION {
        return Err(damaged(format!("{PROGRESS}: expected format version {VERSION}, got {}", progress.version)));
    }
    if progress.tuning != tuning {
        return Err(damaged(format!("its run tunes the {}, this one the {}", progress.tuning, tuning)));
    }
    let clip = Clip::load(folder, &Device::Cpu)?;
    let head = Head::load(folder, &Device::Cpu)?.ok_or_else(|| damaged("it has no head".to_owned()))?;
    let moments = tensors::load(folder.join(MOMENTS), &Device::Cpu);
    let moments = moments.map_err(|error| damaged(format!("{MOMENTS}: {error}")))?;
    let mut tuner = FineTuner::new(clip, head, tuning, adamw, grad_clip_norm, seed)?;
    tuner.restore(moments, progress.steps).map_err(damaged)?;
    Ok((tuner, progress))
}
