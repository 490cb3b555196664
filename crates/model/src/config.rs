//! The model's configuration: open_clip's `model_cfg` and `preprocess_cfg` JSON, read strictly and checked once.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernel::activation::Activation;

/// Mean of the pictures that the first CLIP was trained on, for R, G, B in 0..1.
pub const OPENAI_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation to [`OPENAI_MEAN`].
pub const OPENAI_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

/// `open_clip_config.json`: the model and how its pictures are normalised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The model.
    pub model_cfg: ClipConfig,
    /// Normalisation of pictures.
    #[serde(default)]
    pub preprocess_cfg: PreprocessConfig,
}

/// How pixels in 0..1 are normalised: `(x - mean) / std` for each channel. Keys for other stages are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreprocessConfig {
    /// Mean of R, G, B.
    #[serde(default = "openai_mean")]
    pub mean: [f64; 3],
    /// Standard deviation of R, G, B.
    #[serde(default = "openai_std")]
    pub std: [f64; 3],
}

fn openai_mean() -> [f64; 3] {
    OPENAI_MEAN
}

fn openai_std() -> [f64; 3] {
    OPENAI_STD
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self { mean: OPENAI_MEAN, std: OPENAI_STD }
    }
}

/// A CLIP model: `model_cfg` of open_clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Width of the space that both towers project into.
    pub embed_dim: usize,
    /// QuickGELU instead of GELU in both towers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub quick_gelu: bool,
    /// The text tower's tensors carry the prefix `text.`.
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

/// A vision transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Height and width of pictures, in pixels.
    #[serde(default = "default_image_size")]
    pub image_size: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Width of an attention head.
    #[serde(default = "default_head_width", skip_serializing_if = "is_default_head_width")]
    pub head_width: usize,
    /// Hidden width of a block's perceptron, as a multiple of `width`.
    #[serde(default = "default_mlp_ratio", skip_serializing_if = "is_default_mlp_ratio")]
    pub mlp_ratio: f64,
    /// Height and width of a patch, in pixels.
    #[serde(default = "default_patch_size")]
    pub patch_size: usize,
    /// Initial gain of the residual branches; without it there are no such gains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ls_init_value: Option<f64>,
    /// What the picture's feature is taken from.
    #[serde(default, skip_serializing_if = "PoolType::is_token")]
    pub pool_type: PoolType,
}

/// What the picture's feature is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolType {
    /// The class token.
    #[default]
    Tok,
    /// The mean of all patches' tokens.
    Avg,
}

impl PoolType {
    fn is_token(&self) -> bool {
        *self == Self::Tok
    }
}

/// A causal text transformer whose feature is taken at the largest token id.
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
    pub width: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Hidden width of a block's perceptron, as a multiple of `width`.
    #[serde(default = "default_mlp_ratio", skip_serializing_if = "is_default_mlp_ratio")]
    pub mlp_ratio: f64,
    /// Initial gain of the residual branches; without it there are no such gains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ls_init_value: Option<f64>,
}

fn is_false(value: &bool) -> bool {
    !value
}
fn default_image_size() -> usize {
    224
}
fn default_head_width() -> usize {
    64
}
fn is_default_head_width(value: &usize) -> bool {
    *value == default_head_width()
}
fn default_mlp_ratio() -> f64 {
    4.0
}
fn is_default_mlp_ratio(value: &f64) -> bool {
    *value == default_mlp_ratio()
}
fn default_patch_size() -> usize {
    16
}
fn default_context_length() -> usize {
    77
}
fn default_vocab_size() -> usize {
    49408
}

impl ModelConfig {
    /// Reads either the whole of `open_clip_config.json` or a bare `model_cfg`, and checks it.
    ///
    /// # Errors
    /// [`Error::Config`] for text that is not JSON, unknown keys, architectures that are not built, impossible sizes.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| config(format!("not JSON: {e}")))?;
        refuse_unbuilt(value.get("model_cfg").unwrap_or(&value))?;
        let parsed = if value.get("model_cfg").is_some() {
            serde_json::from_value(value)
        } else {
            let bare = serde_json::from_value(value);
            bare.map(|model_cfg| Self { model_cfg, preprocess_cfg: PreprocessConfig::default() })
        };
        let parsed: Self = parsed.map_err(|e| config(e.to_string()))?;
        parsed.model_cfg.validate()?;
        Ok(parsed)
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

/// Names the architectures that open_clip has and this library has not.
fn refuse_unbuilt(model: &serde_json::Value) -> Result<()> {
    let unbuilt = [
        ("vision_cfg", "timm_model_name", "image towers of timm"),
        ("text_cfg", "hf_model_name", "text towers of transformers"),
    ];
    for (tower, key, what) in unbuilt {
        if model.pointer(&format!("/{tower}/{key}")).is_some_and(|name| !name.is_null()) {
            return Err(config(format!("{tower}.{key}: {what} are not supported yet")));
        }
    }
    if model.pointer("/vision_cfg/layers").is_some_and(serde_json::Value::is_array) {
        return Err(config("vision_cfg.layers: residual networks (a list of layers) are not supported yet".into()));
    }
    Ok(())
}

impl ClipConfig {
    /// Refuses sizes that no model can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key, what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        let (vision, text) = (&self.vision_cfg, &self.text_cfg);
        let positive = [
            ("embed_dim", self.embed_dim),
            ("vision_cfg.image_size", vision.image_size),
            ("vision_cfg.layers", vision.layers),
            ("vision_cfg.width", vision.width),
            ("vision_cfg.head_width", vision.head_width),
            ("vision_cfg.patch_size", vision.patch_size),
            ("text_cfg.context_length", text.context_length),
            ("text_cfg.vocab_size", text.vocab_size),
            ("text_cfg.width", text.width),
            ("text_cfg.heads", text.heads),
            ("text_cfg.layers", text.layers),
        ];
        for (key, value) in positive {
            require((1..=MAX_EXTENT).contains(&value), || format!("{key}: expected 1 to {MAX_EXTENT}, got {value}"))?;
        }
        self.check_weights()?;
        divides("vision_cfg.width", vision.width, "vision_cfg.head_width", vision.head_width)?;
        require(vision.patch_size <= vision.image_size, || {
            format!("vision_cfg.patch_size: {} exceeds image_size {}", vision.patch_size, vision.image_size)
        })?;
        divides("text_cfg.width", text.width, "text_cfg.heads", text.heads)?;
        for (key, ratio, width) in
            [("vision_cfg", vision.mlp_ratio, vision.width), ("text_cfg", text.mlp_ratio, text.width)]
        {
            require(mlp_width(width, ratio) > 0 && ratio < 1e3, || {
                format!("{key}.mlp_ratio: {ratio} is out of range")
            })?;
        }
        Ok(())
    }

    /// Whether the weights are of a size that somebody could have meant: not so many that the sums of them overflow.
    fn check_weights(&self) -> Result<()> {
        let (vision, text) = (&self.vision_cfg, &self.text_cfg);
        let blocks = |layers: usize, width: usize| 12.0 * layers as f64 * (width as f64).powi(2);
        let embedding = text.vocab_size as f64 * text.width as f64 + (vision.image_size as f64).powi(2);
        let weights = blocks(vision.layers, vision.width) + blocks(text.layers, text.width) + embedding;
        require(weights <= MAX_WEIGHTS, || {
            format!("about {weights:.1e} weights: expected at most {MAX_WEIGHTS:.0e}; are layers and widths right?")
        })
    }

    /// The activation of both towers.
    pub fn activation(&self) -> Activation {
        if self.quick_gelu { Activation::QuickGelu } else { Activation::Gelu }
    }
}

/// More than any model has of anything.
const MAX_EXTENT: usize = 1 << 20;

/// Eight times the weights of ViT-bigG-14.
const MAX_WEIGHTS: f64 = 2e10;

/// Hidden width of a perceptron, rounded down as open_clip does.
pub(crate) fn mlp_width(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}

fn divides(what: &str, whole: usize, by: &str, part: usize) -> Result<()> {
    require(whole.is_multiple_of(part), || format!("{what}: {whole} is not a multiple of {by} {part}"))
}

fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(config(reason())) }
}

#[cfg(test)]
mod tests {
    use super::{ModelConfig, PoolType};

    const TINY: &str = r#"{"embed_dim": 8, "vision_cfg": {"layers": 1, "width": 64, "patch_size": 32, "pool_type": "avg"},
        "text_cfg": {"width": 16, "heads": 2, "layers": 1}}"#;

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
        let config = ModelConfig::from_json(TINY).unwrap();
        assert_eq!(ModelConfig::from_json(&config.to_json().unwrap()).unwrap(), config);
    }

    #[test]
    fn unknown_keys_are_named() {
        assert!(message(&TINY.replace("\"layers\": 1", "\"layres\": 1")).contains("layres"));
    }

    #[test]
    fn architectures_that_are_not_built_are_named() {
        assert!(message(&TINY.replace("\"heads\": 2", "\"hf_model_name\": \"x\"")).contains("text_cfg.hf_model_name"));
        assert!(
            message(&TINY.replace("\"layers\": 1, \"width\": 64", "\"layers\": [1]")).contains("vision_cfg.layers")
        );
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(
            message(&TINY.replace("\"heads\": 2", "\"heads\": 3")).contains("16 is not a multiple of text_cfg.heads 3")
        );
        assert!(message(&TINY.replace("\"patch_size\": 32", "\"patch_size\": 0")).contains("vision_cfg.patch_size"));
    }
}
