//! The image tower's configuration: `vision_cfg` of open_clip.

use serde::{Deserialize, Deserializer, Serialize};

use super::{default_mlp_ratio, is_default_mlp_ratio};

/// A vision transformer or a residual network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Height and width of pictures, in pixels.
    #[serde(default = "default_image_size")]
    pub image_size: usize,
    /// Number of blocks.
    #[serde(default)]
    pub layers: Layers,
    /// Width of the residual stream; in a residual network the width behind the stem.
    #[serde(default = "default_width")]
    pub width: usize,
    /// Width of an attention head.
    #[serde(default = "default_head_width", skip_serializing_if = "is_default_head_width")]
    pub head_width: usize,
    /// Hidden width of a block's perceptron, as a multiple of `width`.
    #[serde(default = "default_mlp_ratio", skip_serializing_if = "is_default_mlp_ratio")]
    pub mlp_ratio: f64,
    /// Height and width of a patch, in pixels; a residual network has none.
    #[serde(default = "default_patch_size", deserialize_with = "size_or_null")]
    pub patch_size: usize,
    /// Initial gain of the residual branches; without it there are no such gains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ls_init_value: Option<f64>,
    /// Share of the patches that are left out in training, from 0 to below 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub patch_dropout: f64,
    /// What the picture's feature is taken from.
    #[serde(default, skip_serializing_if = "PoolType::is_token")]
    pub pool_type: PoolType,
}

/// Number of blocks, which also says what kind of tower it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Layers {
    /// A transformer of that many blocks.
    Blocks(usize),
    /// A residual network of that many blocks in each stage.
    Stages([usize; 4]),
}

impl Default for Layers {
    fn default() -> Self {
        Self::Blocks(12)
    }
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

fn size_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_patch_size))
}
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
fn default_image_size() -> usize {
    224
}
fn default_width() -> usize {
    768
}
fn default_head_width() -> usize {
    64
}
fn is_default_head_width(value: &usize) -> bool {
    *value == default_head_width()
}
fn default_patch_size() -> usize {
    16
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            image_size: default_image_size(),
            layers: Layers::default(),
            width: default_width(),
            head_width: default_head_width(),
            mlp_ratio: default_mlp_ratio(),
            patch_size: default_patch_size(),
            ls_init_value: None,
            patch_dropout: 0.0,
            pool_type: PoolType::default(),
        }
    }
}
