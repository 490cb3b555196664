//! What is kept of a step that cannot be taken: the state before it, and what it was to be taken on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use loader::{Batch, LoaderPosition};
use model::weights;

use super::{Moment, save};
use crate::error::{Error, Result};
use crate::step::Trainer;

/// Writes a checkpoint with `batch.safetensors` (`pixels` `[B, H, W, 3]` u8, `input_ids` `[B, L]` u32, batches one behind the
/// other) and `keys.txt` beside it.
///
/// # Errors
/// When the folder cannot be written.
pub fn snapshot(
    trainer: &Trainer,
    position: &LoaderPosition,
    moment: &Moment,
    batches: &[Batch],
    folder: &Path,
) -> Result<PathBuf> {
    save(trainer, position, moment, folder)?;
    let config = trainer.clip.config();
    let (side, length) = (config.vision_cfg.image_size, config.text_cfg.context_length);
    let keys: Vec<&str> = batches.iter().flat_map(|batch| &batch.keys).map(|key| key.as_str()).collect();
    let pixels: Vec<u8> = batches.iter().flat_map(|batch| batch.pixels.iter().copied()).collect();
    let ids: Vec<u32> = batches.iter().flat_map(|batch| batch.input_ids.iter().copied()).collect();
    let tensors = HashMap::from([
        ("pixels".to_owned(), Tensor::from_vec(pixels, (keys.len(), side, side, 3), &Device::Cpu)?),
        ("input_ids".to_owned(), Tensor::from_vec(ids, (keys.len(), length), &Device::Cpu)?),
    ]);
    weights::write(&folder.join("batch.safetensors"), &tensors)?;
    let path = folder.join("keys.txt");
    fs::write(&path, keys.join("\n") + "\n").map_err(Error::io("write", &path))?;
    Ok(folder.to_path_buf())
}
