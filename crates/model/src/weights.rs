//! Weights in open_clip's folder format: `open_clip_config.json` and `open_clip_model.safetensors`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};

use crate::clip::Clip;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::parameters::ParameterSpec;

/// Name of the file of weights.
pub const MODEL_FILE: &str = "open_clip_model.safetensors";
/// Name of the file of configuration.
pub const CONFIG_FILE: &str = "open_clip_config.json";

/// Tensors that older files carry and that are no weights; dropped by their last name, as open_clip does.
const NO_WEIGHTS: [&str; 5] = ["position_ids", "input_resolution", "context_length", "vocab_size", "attn_mask"];

impl Clip {
    /// Reads the model of a folder.
    ///
    /// # Errors
    /// When a file cannot be read; for a tensor that is missing, misshapen or not part of the model.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let path = dir.join(CONFIG_FILE);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|source| Error::Io { action: "read", path, source })?;
        Self::load_weights(ModelConfig::from_json(&text)?, &dir.join(MODEL_FILE), device)
    }

    /// Reads a model of a known configuration from a safetensors file.
    ///
    /// # Errors
    /// As [`Clip::load`].
    pub fn load_weights(config: ModelConfig, path: &Path, device: &Device) -> Result<Self> {
        let mut tensors = read(path, device)?;
        tensors.retain(|name, _| !NO_WEIGHTS.contains(&name.rsplit('.').next().unwrap_or(name)));
        let clip = Self::from_values(config, device, |spec| take(&mut tensors, spec))?;
        let mut left: Vec<_> = tensors.into_iter().collect();
        left.sort_by(|a, b| a.0.cmp(&b.0));
        match left.into_iter().next() {
            Some((name, tensor)) => Err(Error::UnexpectedTensor { name, got: tensor.dims().to_vec() }),
            None => Ok(clip),
        }
    }

    /// Writes configuration and weights into a folder that exists; files of the same name are replaced.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let path = dir.join(CONFIG_FILE);
        let text = self.model_config().to_json()?;
        std::fs::write(&path, text).map_err(|source| Error::Io { action: "write", path, source })?;
        self.save_weights(&dir.join(MODEL_FILE))
    }

    /// Writes the weights alone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        let all = self.parameters().iter();
        let tensors: HashMap<String, Tensor> = all.map(|(_, p)| (p.name.clone(), p.value().clone())).collect();
        safetensors::save(&tensors, path).map_err(|e| unusable(path, &e))
    }
}

fn read(path: &Path, device: &Device) -> Result<HashMap<String, Tensor>> {
    let file = std::fs::File::open(path);
    file.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    safetensors::load(path, device).map_err(|e| unusable(path, &e))
}

fn unusable(path: &Path, reason: &candle_core::Error) -> Error {
    Error::Weights { path: path.to_owned(), reason: reason.to_string() }
}

/// One parameter's value as f32; a scalar may be stored as `[1]`, as some versions do for `logit_scale`.
fn take(tensors: &mut HashMap<String, Tensor>, spec: &ParameterSpec) -> Result<Tensor> {
    let missing = || Error::MissingTensor { name: spec.name.clone(), expected: spec.shape.clone() };
    let tensor = tensors.remove(&spec.name).ok_or_else(missing)?.to_dtype(DType::F32)?;
    if spec.shape.is_empty() && tensor.dims() == [1] { Ok(tensor.reshape(())?) } else { Ok(tensor) }
}
