//! How pictures are prepared for a model: `preprocess_cfg` of open_clip.

use serde::{Deserialize, Serialize};

use super::config;
use crate::error::Result;

/// Mean of the pictures that the first CLIP was trained on, for R, G, B in 0..1.
pub const OPENAI_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
/// Standard deviation to [`OPENAI_MEAN`].
pub const OPENAI_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

/// Resizing, and normalisation of pixels in 0..1: `(x - mean) / std` for each channel. Other keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreprocessConfig {
    /// Mean of R, G, B.
    #[serde(default = "openai_mean")]
    pub mean: [f64; 3],
    /// Standard deviation of R, G, B.
    #[serde(default = "openai_std")]
    pub std: [f64; 3],
    /// Filter of the resizing.
    #[serde(default, skip_serializing_if = "Interpolation::is_default")]
    pub interpolation: Interpolation,
    /// What becomes of a picture that is not square.
    #[serde(default, skip_serializing_if = "ResizeMode::is_default")]
    pub resize_mode: ResizeMode,
}

/// Filter of the resizing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Cubic.
    #[default]
    Bicubic,
    /// Linear.
    Bilinear,
}

/// What becomes of a picture that is not square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeMode {
    /// The shorter side is fitted, the middle cut out.
    #[default]
    Shortest,
    /// The longer side is fitted, the rest filled up.
    Longest,
    /// Both sides are fitted.
    Squash,
}

impl PreprocessConfig {
    /// Checks what the types alone do not.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a mean that is no number, and a deviation that is none or not above 0.
    pub fn validate(&self) -> Result<()> {
        for (key, values, is_right) in [
            ("mean", self.mean, (|value: f64| value.abs() < 1e6) as fn(f64) -> bool),
            ("std", self.std, |value| value > 1e-6 && value < 1e6),
        ] {
            if !values.into_iter().all(is_right) {
                return Err(config(format!("preprocess_cfg.{key}: no pictures have {values:?}")));
            }
        }
        Ok(())
    }
}

impl Interpolation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl ResizeMode {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn openai_mean() -> [f64; 3] {
    OPENAI_MEAN
}

fn openai_std() -> [f64; 3] {
    OPENAI_STD
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self {
            mean: OPENAI_MEAN,
            std: OPENAI_STD,
            interpolation: Interpolation::default(),
            resize_mode: ResizeMode::default(),
        }
    }
}
