//! Weights on disk. Read: safetensors, the checkpoints of open_clip's trainer, bare state dicts, OpenAI's compiled modules,
//! and CLIP as transformers names it. Written: `open_clip_config.json` and `open_clip_model.safetensors`, which open_clip
//! opens.

mod archive;
mod names;
mod pickle;
mod resize;
mod state_dict;
mod stored;
mod tensor_file;
mod tensors;
mod training_state;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

pub use state_dict::Kind;
pub use tensor_file::TensorFile;
pub use tensors::{Tensors, write};
pub use training_state::{AdamState, TrainingState, training_state};

use crate::clip::Clip;
use crate::config::{HfConfig, ModelConfig};
use crate::error::{Error, Result};
use crate::parameters::ParameterSpec;
use crate::tokenizer::hf;
use names::Origin;

/// Name of the file of weights.
pub const MODEL_FILE: &str = "open_clip_model.safetensors";
/// Names under which weights are looked for in a folder, the first that is there.
pub const MODEL_FILES: [&str; 4] =
    [MODEL_FILE, "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin"];
/// Name of the file of configuration.
pub const CONFIG_FILE: &str = "open_clip_config.json";

impl Clip {
    /// Reads the model of a folder: its configuration, and the weights that [`model_file`] finds.
    ///
    /// # Errors
    /// When a file cannot be read; for a tensor that is missing, misshapen or not part of the model.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        Self::load_weights(ModelConfig::read(&dir.join(CONFIG_FILE))?, &model_file(dir), device)
    }

    /// Reads a model of a known configuration from a file of any format.
    ///
    /// OpenAI's compiled modules were trained with QuickGELU, and get it whatever the configuration says. Position
    /// embeddings of another length are resized as open_clip does it.
    ///
    /// # Errors
    /// As [`Clip::load`].
    pub fn load_weights(mut config: ModelConfig, path: &Path, device: &Device) -> Result<Self> {
        let file = TensorFile::open(path)?;
        config.model_cfg.quick_gelu |= file.kind() == Kind::TorchScript;
        let mut origins = names::origins(file.shapes().map(|(name, _)| name), config.model_cfg.names_text());
        let clip = Self::from_values(config, device, |spec| {
            let value = origins.remove(&spec.name).map(|origin| fetch(&file, &origin, spec, device)).transpose()?;
            fit(value, spec, device)
        })?;
        refuse_rest(&file, &origins)?;
        Ok(clip)
    }

    /// Writes configuration and weights into a folder that exists; files of the same name are replaced. A text tower of
    /// transformers that is not known by name has its `config.json` written, too.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let write_text = |path: std::path::PathBuf, text: String| {
            std::fs::write(&path, text).map_err(|source| Error::Io { action: "write", path, source })
        };
        write_text(dir.join(CONFIG_FILE), self.model_config().to_json()?)?;
        if let Some((folder, config)) = self.own_text_config() {
            let folder = dir.join(folder);
            std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
                action: "create",
                path: folder.clone(),
                source,
            })?;
            let text = serde_json::to_string_pretty(config).map_err(|e| Error::Config { reason: e.to_string() })?;
            write_text(folder.join("config.json"), text)?;
        }
        self.save_tokenizer(dir)?;
        self.save_weights(&dir.join(MODEL_FILE))
    }

    /// Copies the tokenizer's files that were found beside the configuration, so that a checkpoint is whole by itself.
    fn save_tokenizer(&self, dir: &Path) -> Result<()> {
        let text = &self.config().text_cfg;
        let name = text.hf_tokenizer_name.as_deref().or(text.hf_model_name.as_deref());
        let (Some(name), Some(from)) = (name.filter(|name| is_within(name)), &text.tokenizer_folder.0) else {
            return Ok(());
        };
        let to = dir.join(name);
        std::fs::create_dir_all(&to).map_err(|source| Error::Io { action: "create", path: to.clone(), source })?;
        for file in hf::FILES.map(|file| from.join(file)).iter().filter(|file| file.is_file()) {
            let copy = to.join(file.file_name().unwrap_or_default());
            std::fs::copy(file, &copy).map_err(|source| Error::Io { action: "write", path: copy, source })?;
        }
        Ok(())
    }

    /// The configuration of a text tower of transformers that was found beside the model, and the folder that it is named
    /// after, where that lies within the model's own.
    fn own_text_config(&self) -> Option<(&str, &HfConfig)> {
        let text = &self.config().text_cfg;
        let (name, config) = (text.hf_model_name.as_deref()?, text.hf_config.as_ref()?);
        is_within(name).then_some((name, config))
    }

    /// Writes the weights alone, as safetensors.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        write(path, self.parameters().iter().map(|(_, p)| (&p.name, p.value())))
    }
}

/// Whether a name leads to something within the folder that it is named in.
fn is_within(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Endings of files that may hold weights under any name.
const ENDINGS: [&str; 4] = ["safetensors", "bin", "pt", "pth"];
/// What lies beside weights in checkpoints, ours and those of others.
const OTHER_FILES: [&str; 8] = [
    "optimizer.safetensors",
    "head.safetensors",
    "tuning.safetensors",
    "training_args.bin",
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
];

/// The file of weights in a folder: the first of [`MODEL_FILES`] that is there, or the only other one with the ending of such
/// files. The name that this library writes where there is none.
pub fn model_file(dir: &Path) -> std::path::PathBuf {
    let candidates = MODEL_FILES.map(|name| dir.join(name));
    let usual = candidates.iter().find(|path| path.is_file()).cloned();
    usual.or_else(|| only_one(dir)).unwrap_or_else(|| dir.join(MODEL_FILE))
}

fn only_one(dir: &Path) -> Option<std::path::PathBuf> {
    let is_weights = |path: &std::path::PathBuf| {
        let ending = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        let is_other = path.file_name().is_some_and(|name| OTHER_FILES.iter().any(|other| name == *other));
        ending && !is_other && path.is_file()
    };
    let mut found = std::fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_weights);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The value that a parameter has in a file.
fn fetch(file: &TensorFile, origin: &Origin, spec: &ParameterSpec, device: &Device) -> Result<Tensor> {
    let read = |name: &str| {
        let missing = || Error::MissingTensor { name: name.to_owned(), expected: spec.shape.clone() };
        file.tensor(name, spec.role.dtype(), device)?.ok_or_else(missing)
    };
    Ok(match origin {
        Origin::Plain(name) => read(name)?,
        Origin::Transposed(name) => {
            let tensor = read(name)?;
            if tensor.rank() == 2 { tensor.t()?.contiguous()? } else { tensor }
        }
        Origin::Stacked(names) => {
            let parts = names.iter().map(|name| read(name)).collect::<Result<Vec<_>>>()?;
            Tensor::cat(&parts, 0)?
        }
    })
}

/// What is changed about a value so that it fits: a scalar may be stored as `[1]`, position embeddings may be of another
/// length, and weights that were trained without a logit bias have none, which is zero.
fn fit(value: Option<Tensor>, spec: &ParameterSpec, device: &Device) -> Result<Tensor> {
    let Some(value) = value else {
        if spec.name == "logit_bias" {
            return Ok(Tensor::zeros((), spec.role.dtype(), device)?);
        }
        return Err(Error::MissingTensor { name: spec.name.clone(), expected: spec.shape.clone() });
    };
    match (value.dims(), spec.shape.as_slice()) {
        ([1], []) => Ok(value.reshape(())?),
        ([old, width], [new, expected]) if old != new && width == expected => Ok(resized(value, spec)?),
        _ => Ok(value),
    }
}

/// Position embeddings of the model's length; any other tensor as it is.
fn resized(value: Tensor, spec: &ParameterSpec) -> Result<Tensor> {
    let (rows, width) = (spec.shape[0], spec.shape[1]);
    let is_grid = spec.name == "visual.positional_embedding";
    let is_line = matches!(spec.name.as_str(), "positional_embedding" | "text.positional_embedding");
    if !is_grid && !is_line || value.elem_count() == 0 {
        return Ok(value);
    }
    let values = value.flatten_all()?.to_vec1::<f32>()?;
    let resized = if is_grid { resize::grid(&values, width, rows) } else { Some(resize::line(&values, width, rows)) };
    match resized {
        Some(values) => Ok(Tensor::from_vec(values, (rows, width), value.device())?),
        None => Ok(value),
    }
}

fn refuse_rest(file: &TensorFile, origins: &BTreeMap<String, Origin>) -> Result<()> {
    let Some(origin) = origins.values().next() else { return Ok(()) };
    let name = match origin {
        Origin::Plain(name) | Origin::Transposed(name) | Origin::Stacked([name, ..]) => name,
    };
    let shape = file.shapes().find(|(known, _)| known == name).map(|(_, shape)| shape.to_vec());
    Err(Error::UnexpectedTensor { name: name.clone(), got: shape.unwrap_or_default() })
}
