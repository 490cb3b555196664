//! Models ready to use: weights, tokenizer and preparation of pictures by a name and a tag, as open_clip's
//! `create_model_and_transforms` and `get_tokenizer` give them.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use loader::evaluation_pixels;
use model::clip::Clip;
use model::config::{ClipConfig, ModelConfig, Overrides, PreprocessConfig};
use model::presets;
use model::tokenizer::Tokenizer;
use model::weights::{CONFIG_FILE, MODEL_FILES, model_file};

use crate::checkpoint::{self, differences};
use crate::error::{Error, Result};
use crate::input;
use crate::pretrained::{self, Hub, Source};

/// What a model is called: a preset, a JSON file with a `model_cfg`, or a folder with `open_clip_config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// By whoever wants it: weights that say otherwise are an error.
    Given(String),
    /// Where nobody said: weights that say otherwise are right.
    Assumed(String),
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        let (Self::Given(name) | Self::Assumed(name)) = self;
        name
    }
}

/// Which model, with which weights.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which model.
    pub model: Name,
    /// Weights; `None` draws them from `seed`.
    pub pretrained: Option<Source>,
    /// What is changed about the configuration.
    pub overrides: Overrides,
    /// Seed of weights that are drawn.
    pub seed: u64,
    /// Folders that tokenizers of transformers are looked for in, before the hub.
    pub tokenizers: Vec<PathBuf>,
}

impl Wanted {
    /// A model as its name says, with weights from `TAG|PATH|hf-hub:ORG/NAME`.
    pub fn new(model: &str, pretrained: &str) -> Self {
        let pretrained = Some(Source::parse(pretrained));
        Self {
            model: Name::Given(model.to_owned()),
            pretrained,
            overrides: Overrides::default(),
            seed: 0,
            tokenizers: Vec::new(),
        }
    }
}

/// A model with its tokenizer.
#[derive(Debug)]
pub struct Ready {
    /// The model.
    pub clip: Clip,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// Opens the model alone.
///
/// # Errors
/// For an unknown name or tag, weights that do not fit, and downloads that fail.
pub fn model(wanted: &Wanted, hub: &Hub, device: &Device) -> Result<Clip> {
    let named = || -> Result<ModelConfig> {
        let mut config = config(wanted.model.as_str())?;
        wanted.overrides.apply(&mut config.model_cfg)?;
        Ok(config)
    };
    let own = |mut config: ModelConfig| -> Result<ModelConfig> {
        wanted.overrides.apply(&mut config.model_cfg)?;
        Ok(config)
    };
    let (config, file) = match &wanted.pretrained {
        None => {
            let config = named()?;
            let mut clip = Clip::new(&config.model_cfg, wanted.seed, device)?;
            clip.set_preprocess(config.preprocess_cfg);
            return Ok(clip);
        }
        Some(Source::Path(path)) => {
            let (folder, file) = weights_at(path)?;
            // Whoever names a model and a file means both: position embeddings of another length are resized.
            let means_both = matches!(wanted.model, Name::Given(_)) && !path.is_dir();
            let folder = folder.filter(|_| !means_both);
            let config = folder.map(|folder| folder.join(CONFIG_FILE)).filter(|config| config.is_file());
            let config = config.map_or_else(named, |config| own(ModelConfig::read(&config)?))?;
            if let (Name::Given(name), Some(folder)) = (&wanted.model, folder) {
                agree(name, &named()?.model_cfg, folder, &config.model_cfg)?;
            }
            (config, file)
        }
        Some(Source::Repository(repository)) => {
            let weights = pretrained::of_repository(repository, hub)?;
            (own(weights.config)?, weights.file)
        }
        Some(Source::Tag(tag)) => {
            let weights = pretrained::of_tag(wanted.model.as_str(), &named()?.model_cfg, tag, hub)?;
            (weights.config, weights.file)
        }
    };
    Ok(Clip::load_weights(config, &file, device)?)
}

/// The file of weights that a path means, and the folder whose configuration is theirs: the path itself, or the one around a
/// file that is called as those of such a folder are.
fn weights_at(path: &Path) -> Result<(Option<&Path>, PathBuf)> {
    if !path.is_dir() {
        let is_usual = path.file_name().is_some_and(|name| MODEL_FILES.iter().any(|usual| name == *usual));
        return Ok((path.parent().filter(|_| is_usual), path.to_owned()));
    }
    let file = model_file(path);
    if !file.exists()
        && let Some(checkpoint) = newest(&path.join("checkpoints")).or_else(|| newest(path))
    {
        let reason = format!(
            "`{}` is no checkpoint but a run's folder; its newest one is `{}`",
            path.display(),
            checkpoint.display()
        );
        return Err(Error::Config { option: "--pretrained", reason });
    }
    if !file.exists() {
        let expected = MODEL_FILES.join(", ");
        let reason = format!(
            "`{}` has no weights: expected one of {expected}, or one other file .safetensors, .bin, .pt or .pth",
            path.display()
        );
        return Err(Error::Config { option: "--pretrained", reason });
    }
    Ok((Some(path), file))
}

/// The newest checkpoint among a folder, of a training or of a fine-tuning.
fn newest(folder: &Path) -> Option<PathBuf> {
    crate::finetune::newest(folder).ok().flatten().or_else(|| checkpoint::newest(folder).ok().flatten())
}

/// Refuses weights of a folder that are of another model than the one that was named.
fn agree(name: &str, named: &ClipConfig, folder: &Path, own: &ClipConfig) -> Result<()> {
    if named == own {
        return Ok(());
    }
    let reason = format!("`{name}` and `{}` contradict each other: {}", folder.display(), differences(own, named));
    Err(Error::Config { option: "--model", reason })
}

/// Opens the model and its tokenizer.
///
/// # Errors
/// As [`model`]; also when the tokenizer's files cannot be had.
pub fn open(wanted: &Wanted, hub: &Hub, device: &Device) -> Result<Ready> {
    let clip = model(wanted, hub, device)?;
    let tokenizer = tokenizer(clip.config(), &wanted.tokenizers, hub)?;
    Ok(Ready { clip, tokenizer })
}

/// The tokenizer of a model: from a folder, from `roots`, or from the hub.
///
/// # Errors
/// When its files are nowhere, or do not fit the text tower.
pub fn tokenizer(config: &ClipConfig, roots: &[PathBuf], hub: &Hub) -> Result<Tokenizer> {
    let text = &config.text_cfg;
    let name = text.hf_tokenizer_name.as_deref().or(text.hf_model_name.as_deref());
    let is_here = |name: &str| text.tokenizer_folder.0.is_some() || model::tokenizer::hf::find(name, roots).is_some();
    let Some(name) = name.filter(|name| !is_here(name)) else {
        return Ok(Tokenizer::of(text, roots)?);
    };
    let folder = pretrained::tokenizer_folder(name, hub).map_err(|error| match error {
        Error::Config { reason, .. } => {
            let reason = format!("`{name}` is no folder with a tokenizer, and as a name on the hub: {reason}");
            Error::Config { option: "text_cfg.hf_tokenizer_name", reason }
        }
        other => other,
    })?;
    let mut here = text.clone();
    here.hf_tokenizer_name = Some(folder.display().to_string());
    Ok(Tokenizer::of(&here, &[])?)
}

/// The preset that has this very configuration.
pub fn name_of(config: &ClipConfig) -> Option<&'static str> {
    presets::NAMES.into_iter().find(|name| presets::config(name).is_ok_and(|preset| preset == *config))
}

/// The configuration of a preset, a file or a folder.
///
/// # Errors
/// For an unknown name, with the nearest ones, and for a file that cannot be used.
pub fn config(name: &str) -> Result<ModelConfig> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(ModelConfig::read(&path.join(CONFIG_FILE))?);
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        return Ok(ModelConfig::read(path)?);
    }
    // open_clip takes both spellings of a preset.
    let model_cfg = presets::config(&name.replace('/', "-"))?;
    Ok(ModelConfig { model_cfg, preprocess_cfg: PreprocessConfig::default() })
}

impl Ready {
    /// Pictures as the model takes them: decoded, made square as its weights want it, normalised; `[B, 3, S, S]`.
    ///
    /// # Errors
    /// For bytes that are no picture; the text says which, counted from 0.
    pub fn pixel_values(&self, pictures: &[Vec<u8>]) -> Result<Tensor> {
        let (side, fitting) = (self.clip.config().vision_cfg.image_size, self.fitting());
        let mut pixels = Vec::with_capacity(pictures.len() * side * side * 3);
        for (index, picture) in pictures.iter().enumerate() {
            pixels.extend(evaluation_pixels(&format!("picture {index}"), picture, side as u32, fitting)?);
        }
        self.normalised(&pixels, pictures.len())
    }

    /// How a picture becomes a square.
    pub fn fitting(&self) -> loader::Fitting {
        input::fitting(self.clip.preprocess())
    }

    /// Decoded pictures as the model takes them: `[B, S, S, 3]` of 0 to 255 to `[B, 3, S, S]`.
    ///
    /// # Errors
    /// When the buffer has another length.
    pub fn normalised(&self, pixels: &[u8], count: usize) -> Result<Tensor> {
        let side = self.clip.config().vision_cfg.image_size;
        input::pixel_values(pixels, count, side, self.clip.preprocess(), self.clip.device())
    }

    /// Texts as the model takes them: `[B, L]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn input_ids(&self, texts: &[String]) -> Result<Tensor> {
        let length = self.clip.config().text_cfg.context_length;
        let ids: Vec<u32> = texts.iter().flat_map(|text| self.tokenizer.encode(text, length)).collect();
        input::input_ids(&ids, texts.len(), length, self.clip.device())
    }

    /// How likely each picture is to belong to each text: `[B, texts]`, rows that sum to 1.
    ///
    /// # Errors
    /// When widths differ.
    pub fn probabilities(&self, image_features: &Tensor, text_features: &Tensor) -> Result<Tensor> {
        let logits = (image_features.matmul(&text_features.t()?)? * self.clip.logit_scale()?)?;
        let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?.exp()?;
        Ok(shifted.broadcast_div(&shifted.sum_keepdim(1)?)?)
    }
}
