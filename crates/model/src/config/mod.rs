//! The model's configuration: open_clip's `model_cfg` and `preprocess_cfg` JSON, read strictly and checked once.

mod check;
mod hf;
mod overrides;
mod preprocess;
mod strict;
mod text;
mod vision;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use hf::HfConfig;
pub use overrides::{Forced, Overrides};
pub use preprocess::{Interpolation, OPENAI_MEAN, OPENAI_STD, PreprocessConfig, ResizeMode};
pub use text::{HfPooler, HfProjection, TextConfig};
pub use vision::{Layers, PoolType, VisionConfig};

use crate::error::{Error, Result};
use crate::kernel::activation::Activation;

/// `open_clip_config.json`: the model and how its pictures are prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The model.
    pub model_cfg: ClipConfig,
    /// Preparation of pictures.
    #[serde(default)]
    pub preprocess_cfg: PreprocessConfig,
}

/// A CLIP model: `model_cfg` of open_clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Width of the space that both towers project into.
    pub embed_dim: usize,
    /// QuickGELU instead of GELU in both towers (a text tower of transformers keeps its own).
    #[serde(default, skip_serializing_if = "is_false")]
    pub quick_gelu: bool,
    /// The text tower's tensors carry the prefix `text.`; those of text towers of transformers always do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub custom_text: bool,
    /// Logarithm of the initial logit scale; `ln(1 / 0.07)` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_logit_scale: Option<f64>,
    /// Initial logit bias; without it the model has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_logit_bias: Option<f64>,
    /// The image tower.
    pub vision_cfg: VisionConfig,
    /// The text tower.
    pub text_cfg: TextConfig,
}

fn is_false(value: &bool) -> bool {
    !value
}
fn default_mlp_ratio() -> f64 {
    4.0
}
fn is_default_mlp_ratio(value: &f64) -> bool {
    *value == default_mlp_ratio()
}

impl ModelConfig {
    /// Reads either the whole of `open_clip_config.json` or a bare `model_cfg`, and checks it. A text tower of
    /// transformers must be one that is known by name; [`ModelConfig::read`] looks for others beside the file.
    ///
    /// # Errors
    /// [`Error::Config`] for text that is not JSON, unknown keys, architectures that are not built, impossible sizes.
    pub fn from_json(text: &str) -> Result<Self> {
        let parsed = Self::parse(text)?;
        parsed.model_cfg.validate()?;
        parsed.preprocess_cfg.validate()?;
        Ok(parsed)
    }

    /// As [`ModelConfig::from_json`] on a file's text; the `hf_model_name` of its text tower may be a folder with a
    /// `config.json`, beside the file or above it, and so may its `hf_tokenizer_name` with the tokenizer's files.
    ///
    /// # Errors
    /// As [`ModelConfig::from_json`], and when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        Self::beside(&text, path.parent()).map_err(|error| match error {
            Error::Config { reason } => config(format!("`{}`: {reason}", path.display())),
            other => other,
        })
    }

    /// A configuration whose text tower may be in `folder`.
    fn beside(text: &str, folder: Option<&Path>) -> Result<Self> {
        let mut parsed = Self::parse(text)?;
        if let Some(folder) = folder {
            parsed.model_cfg.text_cfg.find_hf_config(folder)?;
            parsed.model_cfg.text_cfg.find_tokenizer(folder);
        }
        parsed.model_cfg.validate()?;
        parsed.preprocess_cfg.validate()?;
        Ok(parsed)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut value: serde_json::Value = serde_json::from_str(text).map_err(|e| config(format!("not JSON: {e}")))?;
        let whole = value.get("model_cfg").is_some();
        strict::settle(if whole { &mut value["model_cfg"] } else { &mut value })?;
        let parsed = if whole {
            serde_json::from_value(value)
        } else {
            let bare = serde_json::from_value(value);
            bare.map(|model_cfg| Self { model_cfg, preprocess_cfg: PreprocessConfig::default() })
        };
        parsed.map_err(|e| config(e.to_string()))
    }

    /// The text of `open_clip_config.json`.
    ///
    /// # Errors
    /// When a number cannot be written.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| config(e.to_string()))
    }
}

fn config(reason: String) -> Error {
    Error::Config { reason }
}

impl ClipConfig {
    /// The activation of both towers.
    pub fn activation(&self) -> Activation {
        if self.quick_gelu { Activation::QuickGelu } else { Activation::Gelu }
    }

    /// Whether the text tower's tensors carry the prefix `text.`.
    pub fn names_text(&self) -> bool {
        self.custom_text || self.text_cfg.hf_model_name.is_some()
    }
}

/// Hidden width of a perceptron, rounded down as open_clip does.
pub(crate) fn mlp_width(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}

#[cfg(test)]
mod tests {
    use super::{Layers, ModelConfig, PoolType};

    const TINY: &str = r#"{"embed_dim": 8, "vision_cfg": {"layers": 1, "width": 64, "patch_size": 32, "pool_type": "avg"},
        "text_cfg": {"width": 16, "heads": 2, "layers": 1}}"#;
    const RESNET: &str = r#"{"embed_dim": 8, "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16,
        "patch_size": null}, "text_cfg": {"width": 16, "heads": 2, "layers": 1}}"#;

    fn message(text: &str) -> String {
        ModelConfig::from_json(text).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn absent_keys_take_the_defaults_of_open_clip() {
        let config = ModelConfig::from_json(TINY).unwrap().model_cfg;
        assert_eq!((config.vision_cfg.image_size, config.vision_cfg.head_width), (224, 64));
        assert_eq!((config.text_cfg.context_length, config.text_cfg.vocab_size), (77, 49408));
        assert_eq!(config.vision_cfg.pool_type, PoolType::Avg);
    }

    #[test]
    fn written_config_reads_back_equal() {
        for text in [TINY, RESNET] {
            let config = ModelConfig::from_json(text).unwrap();
            assert_eq!(ModelConfig::from_json(&config.to_json().unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn list_of_layers_is_a_residual_network() {
        let config = ModelConfig::from_json(RESNET).unwrap().model_cfg;
        assert_eq!(config.vision_cfg.layers, Layers::Stages([1; 4]));
        assert!(message(&RESNET.replace("64", "65")).contains("image_size: 65 is not a multiple of 32"));
    }

    #[test]
    fn unknown_keys_are_named() {
        assert!(message(&TINY.replace("\"layers\": 1", "\"layres\": 1")).contains("layres"));
    }

    #[test]
    fn what_is_not_built_is_named_and_may_be_switched_off() {
        let timm = TINY.replace("\"layers\": 1, \"width\": 64", "\"timm_model_name\": \"x\"");
        assert!(message(&timm).contains("vision_cfg.timm_model_name"));
        let off = TINY.replace("\"heads\": 2", "\"heads\": 2, \"qk_norm\": false, \"pool_type\": \"argmax\"");
        assert_eq!(message(&off), "");
        let on = TINY.replace("\"heads\": 2", "\"heads\": 2, \"qk_norm\": true");
        assert_eq!(message(&on), "model config: text_cfg.qk_norm: true is not supported, only false is");
    }

    #[test]
    fn text_tower_that_is_not_known_by_name_is_refused() {
        let text = TINY.replace("\"heads\": 2", "\"hf_model_name\": \"somebody/bert\"");
        assert!(message(&text).contains("text_cfg.hf_model_name: `somebody/bert`"), "{}", message(&text));
        assert_eq!(message(&TINY.replace("\"heads\": 2", "\"hf_model_name\": \"roberta-base\"")), "");
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(
            message(&TINY.replace("\"heads\": 2", "\"heads\": 3")).contains("16 is not a multiple of text_cfg.heads 3")
        );
        assert!(message(&TINY.replace("\"patch_size\": 32", "\"patch_size\": 0")).contains("vision_cfg.patch_size"));
    }

    #[test]
    fn a_tokenizer_beside_the_configuration_is_found_and_is_no_part_of_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, tokenizer) = (folder.path().join("run/epoch_1"), folder.path().join("tok"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(&tokenizer).unwrap();
        std::fs::write(tokenizer.join("tokenizer.json"), "{}").unwrap();
        let mut config = ModelConfig::from_json(TINY).unwrap();
        config.model_cfg.text_cfg.hf_tokenizer_name = Some("tok".into());
        let path = inner.join("open_clip_config.json");
        std::fs::write(&path, config.to_json().unwrap()).unwrap();
        let read = ModelConfig::read(&path).unwrap();
        let found = read.model_cfg.text_cfg.tokenizer_folder.0.as_deref().unwrap();
        assert_eq!(std::fs::canonicalize(found).unwrap(), std::fs::canonicalize(&tokenizer).unwrap());
        assert_eq!((&read, read.to_json().unwrap()), (&config, config.to_json().unwrap()));
    }
}
