//! The head of a fine-tuned model: one row of weights a class.
//!
//! Format, version 1: `head.safetensors` beside the model's weights holds `head.weight [C, D]` and `head.bias [C]` (f32);
//! `head.json` holds `version`, `class_names` and `templates`, from which the head began.

use std::path::Path;

use candle_core::safetensors as tensors;
use candle_core::{Device, Tensor};
use model::clip::Clip;
use model::init::Initialisation;
use model::parameters::{Declaration, ParameterId, ParameterSpec, Parameters};
use model::tokenizer::Tokenizer;
use model::weights;
use model::zero_shot::{Template, ZeroShotClassifier};
use serde::{Deserialize, Serialize};

use crate::checkpoint::write_json;
use crate::error::{Error, Result};
use crate::evaluate::zero_shot::CLASSES_PER_BATCH;

/// The weights' file in a checkpoint's folder.
pub const HEAD_FILE: &str = "head.safetensors";

const ABOUT_FILE: &str = "head.json";
const VERSION: u32 = 1;
const WEIGHT: &str = "head.weight";
const BIAS: &str = "head.bias";

/// A linear layer from image features to classes.
#[derive(Clone, Debug)]
pub struct Head {
    /// One a row.
    pub class_names: Vec<String>,
    /// What the names were put into at the start.
    pub templates: Vec<Template>,
    parameters: Parameters,
    ids: [ParameterId; 2],
}

#[derive(Serialize, Deserialize)]
struct About {
    version: u32,
    class_names: Vec<String>,
    templates: Vec<String>,
}

impl Head {
    /// The zero-shot classifier of `clip`, its logit scale included, and no bias.
    ///
    /// # Errors
    /// As [`ZeroShotClassifier::build`].
    pub fn zero_shot(
        clip: &Clip,
        tokenizer: &Tokenizer,
        class_names: &[String],
        templates: &[Template],
    ) -> Result<Self> {
        let classifier = ZeroShotClassifier::build(clip, tokenizer, class_names, templates, CLASSES_PER_BATCH)?;
        let weight = (classifier.weights.t()? * clip.logit_scale()?)?.contiguous()?;
        let bias = Tensor::zeros(class_names.len(), weight.dtype(), weight.device())?;
        Self::of(class_names.to_vec(), templates.to_vec(), weight, bias)
    }

    fn of(class_names: Vec<String>, templates: Vec<Template>, weight: Tensor, bias: Tensor) -> Result<Self> {
        let mut declaration = Declaration::default();
        let start = Initialisation::Constant(0.0);
        let ids = [(WEIGHT, &weight), (BIAS, &bias)].map(|(name, value)| declaration.add(name, value.dims(), start));
        let value = |spec: &ParameterSpec| Ok(if spec.name == WEIGHT { weight.clone() } else { bias.clone() });
        let parameters = Parameters::from_values(&declaration.into_specs(), value)?;
        Ok(Self { class_names, templates, parameters, ids })
    }

    /// Weights and bias.
    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Weights and bias, to be changed by an optimizer.
    pub(super) fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// The ids of weights and bias.
    pub(super) fn ids(&self) -> [ParameterId; 2] {
        self.ids
    }

    /// Weights `[C, D]` and bias `[C]`.
    pub(super) fn values(&self) -> [&Tensor; 2] {
        self.ids.map(|id| self.parameters.value(id))
    }

    /// `[B, C]` of features `[B, D]`.
    ///
    /// # Errors
    /// For features of another width.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        let [weight, bias] = self.values();
        Ok(features.matmul(&weight.t()?)?.broadcast_add(bias)?)
    }

    /// The head `alpha` of the way from this one to `other`.
    ///
    /// # Errors
    /// When their classes differ.
    pub fn blend(&self, other: &Self, alpha: f64) -> Result<Self> {
        if self.class_names != other.class_names {
            let (here, there) = (self.class_names.len(), other.class_names.len());
            let reason =
                format!("the heads have other classes ({here} and {there}); both must name the same in one order");
            return Err(Error::Config { option: "interpolate", reason });
        }
        let ([from, from_bias], [to, to_bias]) = (self.values(), other.values());
        let mix = |a: &Tensor, b: &Tensor| -> Result<Tensor> { Ok(((a * (1.0 - alpha))? + (b * alpha)?)?) };
        let (weight, bias) = (mix(from, to)?, mix(from_bias, to_bias)?);
        Self::of(self.class_names.clone(), self.templates.clone(), weight, bias)
    }

    /// Writes both files.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, folder: &Path) -> Result<()> {
        weights::write(&folder.join(HEAD_FILE), self.parameters.iter().map(|(_, p)| (&p.name, p.value())))?;
        let about = About {
            version: VERSION,
            class_names: self.class_names.clone(),
            templates: self.templates.iter().map(ToString::to_string).collect(),
        };
        write_json(&folder.join(ABOUT_FILE), &about)
    }

    /// Reads what [`Head::save`] wrote; `None` where the folder has no head.
    ///
    /// # Errors
    /// When a file is damaged or the two do not fit together.
    pub fn load(folder: &Path, device: &Device) -> Result<Option<Self>> {
        let (weights, about) = (folder.join(HEAD_FILE), folder.join(ABOUT_FILE));
        if !weights.is_file() {
            return Ok(None);
        }
        let damaged = |reason: String| Error::Checkpoint { path: folder.to_path_buf(), reason };
        let text = std::fs::read_to_string(&about).map_err(Error::io("read", &about))?;
        let about: About = serde_json::from_str(&text).map_err(|error| damaged(format!("{ABOUT_FILE}: {error}")))?;
        if about.version != VERSION {
            return Err(damaged(format!("{ABOUT_FILE}: expected format version {VERSION}, got {}", about.version)));
        }
        let templates = about.templates.iter().map(|text| Template::parse(text)).collect::<model::Result<Vec<_>>>()?;
        let mut found = tensors::load(&weights, device).map_err(|error| damaged(format!("{HEAD_FILE}: {error}")))?;
        let mut take =
            |name: &str| found.remove(name).ok_or_else(|| damaged(format!("{HEAD_FILE}: no tensor `{name}`")));
        let (weight, bias) = (take(WEIGHT)?, take(BIAS)?);
        if weight.dim(0)? != about.class_names.len() || bias.dims() != [about.class_names.len()] {
            let reason = format!("{} class names for a head of shape {:?}", about.class_names.len(), weight.dims());
            return Err(damaged(reason));
        }
        Ok(Some(Self::of(about.class_names, templates, weight, bias)?))
    }
}
