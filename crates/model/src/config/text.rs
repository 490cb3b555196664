//! The text tower's configuration: `text_cfg` of open_clip.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{HfConfig, config, default_mlp_ratio, is_default_mlp_ratio};
use crate::error::Result;
use crate::tokenizer::hf;

/// A causal text transformer whose feature is taken at the largest token id; or, with `hf_model_name`, a text tower of
/// transformers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Tokens in a text.
    #[serde(default = "default_context_length")]
    pub context_length: usize,
    /// Number of token ids.
    #[serde(default = "default_vocab_size")]
    pub vocab_size: usize,
    /// Width of the residual stream.
    #[serde(default = "default_width")]
    pub width: usize,
    /// Number of attention heads.
    #[serde(default = "default_heads")]
    pub heads: usize,
    /// Number of blocks.
    #[serde(default = "default_layers")]
    pub layers: usize,
    /// Hidden width of a block's perceptron, as a multiple of `width`.
    #[serde(default = "default_mlp_ratio", skip_serializing_if = "is_default_mlp_ratio")]
    pub mlp_ratio: f64,
    /// Initial gain of the residual branches; without it there are no such gains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ls_init_value: Option<f64>,
    /// A text tower of transformers, by its name on the hub or the path of a folder with its `config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hf_model_name: Option<String>,
    /// Its tokenizer, by the same kind of name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hf_tokenizer_name: Option<String>,
    /// How its pooled state becomes a feature.
    #[serde(default = "default_projection", skip_serializing_if = "is_default_projection")]
    pub hf_proj_type: Option<HfProjection>,
    /// What its feature is taken from.
    #[serde(default, skip_serializing_if = "HfPooler::is_default")]
    pub hf_pooler_type: HfPooler,
    /// Whether open_clip fetches its weights from the hub before others are loaded; without a meaning here.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub hf_model_pretrained: bool,
    /// Its `config.json`, where it was found beside the model's.
    #[serde(skip)]
    pub hf_config: Option<HfConfig>,
    /// Its tokenizer's folder, where it was found beside the model's configuration.
    #[serde(skip)]
    pub tokenizer_folder: FoundAt,
}

/// Where something was found, which is no part of what a model is: any two are equal.
#[derive(Clone, Debug, Default)]
pub struct FoundAt(pub Option<PathBuf>);

impl PartialEq for FoundAt {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// How a pooled state becomes a feature; no bias anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HfProjection {
    /// One matrix.
    Linear,
    /// Two matrices and GELU between them.
    Mlp,
}

/// What the feature of a text tower of transformers is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HfPooler {
    /// The mean over all tokens that are no padding.
    #[default]
    MeanPooler,
    /// The largest value over all tokens that are no padding, value by value.
    MaxPooler,
    /// The first token, through the model's own dense layer and tanh.
    ClsPooler,
    /// The first token.
    ClsLastHiddenStatePooler,
}

impl HfPooler {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn default_projection() -> Option<HfProjection> {
    Some(HfProjection::Mlp)
}
fn is_default_projection(value: &Option<HfProjection>) -> bool {
    *value == default_projection()
}
fn yes() -> bool {
    true
}
fn is_true(value: &bool) -> bool {
    *value
}
fn default_context_length() -> usize {
    77
}
fn default_vocab_size() -> usize {
    49408
}
fn default_width() -> usize {
    512
}
fn default_heads() -> usize {
    8
}
fn default_layers() -> usize {
    12
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            context_length: default_context_length(),
            vocab_size: default_vocab_size(),
            width: default_width(),
            heads: default_heads(),
            layers: default_layers(),
            mlp_ratio: default_mlp_ratio(),
            ls_init_value: None,
            hf_model_name: None,
            hf_tokenizer_name: None,
            hf_proj_type: default_projection(),
            hf_pooler_type: HfPooler::default(),
            hf_model_pretrained: true,
            hf_config: None,
            tokenizer_folder: FoundAt::default(),
        }
    }
}

impl TextConfig {
    /// The configuration of its tower of transformers; `None` for CLIP's own.
    ///
    /// # Errors
    /// When the name is not known and no `config.json` was found.
    pub fn hf(&self) -> Result<Option<HfConfig>> {
        let Some(name) = &self.hf_model_name else { return Ok(None) };
        let found = self.hf_config.clone().or_else(|| HfConfig::known(name));
        found.map(Some).ok_or_else(|| {
            config(format!(
                "text_cfg.hf_model_name: `{name}` is neither one of {} nor a folder with a config.json",
                HfConfig::NAMES.join(", ")
            ))
        })
    }

    /// Number of token ids of whichever tower it is.
    ///
    /// # Errors
    /// As [`TextConfig::hf`].
    pub fn token_ids(&self) -> Result<usize> {
        Ok(self.hf()?.map_or(self.vocab_size, |hf| hf.vocab_size))
    }

    /// Looks for the `config.json` that `hf_model_name` means in a folder and all above it.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub fn find_hf_config(&mut self, folder: &Path) -> Result<()> {
        let Some(name) = self.hf_model_name.as_deref().filter(|name| HfConfig::known(name).is_none()) else {
            return Ok(());
        };
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let candidates = folder.ancestors().map(|above| above.join(name).join("config.json"));
        if let Some(path) = candidates.into_iter().find(|path| path.is_file()) {
            self.hf_config = Some(HfConfig::read(&path)?);
        }
        Ok(())
    }

    /// Looks for the folder that the tokenizer's name means in a folder and all above it, unless the name is a path from
    /// here.
    pub fn find_tokenizer(&mut self, folder: &Path) {
        let Some(name) = self.hf_tokenizer_name.as_deref().or(self.hf_model_name.as_deref()) else { return };
        if hf::find(name, &[]).is_some() {
            return;
        }
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let above: Vec<PathBuf> = folder.ancestors().map(Path::to_owned).collect();
        self.tokenizer_folder = FoundAt(hf::find(name, &above));
    }
}
