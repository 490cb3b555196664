//! Zero-shot classifiers: class names and templates become the columns of a weight matrix, and image features times that
//! matrix are cosines. Owns the arithmetic of OpenCLIP's `build_zero_shot_classifier`; reading lists and filling templates
//! are in the files beside. Does not count over a data set.

mod imagenet;
mod list;
mod template;

use std::num::NonZeroUsize;

use candle_core::{D, DType, Tensor};

pub use imagenet::{class_names as imagenet_class_names, templates as imagenet_templates};
pub use list::{Duplicates, read_class_names, read_templates};
pub use template::Template;

use crate::clip::Clip;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Keeps the mean of opposite features from dividing by zero.
const SMALLEST_NORM: f64 = 1e-12;

/// Which texts a classifier is made of.
#[derive(Clone, Copy, Debug)]
pub struct Prompts<'a> {
    /// One class each, in the order of the labels.
    pub class_names: &'a [String],
    /// Every class name is put into each of them.
    pub templates: &'a [Template],
}

/// The weights of a zero-shot classifier.
#[derive(Clone, Debug)]
pub struct ZeroShotClassifier {
    /// `[D, classes]`, f32, each column of length 1.
    pub weights: Tensor,
}

impl ZeroShotClassifier {
    /// Builds the classifier: for each class the mean over all templates of the text features, brought back to length 1.
    /// `classes_per_batch` classes go through the text tower at a time; it changes the memory needed, not the result.
    ///
    /// # Errors
    /// When there is no class name or no template, and when the text tower fails.
    pub fn build(
        clip: &Clip,
        tokenizer: &Tokenizer,
        class_names: &[String],
        templates: &[Template],
        classes_per_batch: NonZeroUsize,
    ) -> Result<Self> {
        let prompts = Prompts { class_names, templates };
        Self::build_with(clip, |text, length| tokenizer.encode(text, length), prompts, classes_per_batch)
    }

    /// As [`ZeroShotClassifier::build`], for text towers with a tokenizer of their own: `encode` turns a text into exactly
    /// as many ids as its second argument says.
    ///
    /// # Errors
    /// As [`ZeroShotClassifier::build`]; also when `encode` returns another number of ids.
    pub fn build_with(
        clip: &Clip,
        encode: impl Fn(&str, usize) -> Vec<u32>,
        prompts: Prompts<'_>,
        classes_per_batch: NonZeroUsize,
    ) -> Result<Self> {
        for (what, count) in [("class name", prompts.class_names.len()), ("template", prompts.templates.len())] {
            if count == 0 {
                return Err(Error::Tokenizer { reason: format!("a zero-shot classifier needs a {what}, got none") });
            }
        }
        let rows = prompts
            .class_names
            .chunks(classes_per_batch.get())
            .map(|classes| class_features(clip, &encode, classes, prompts.templates))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { weights: Tensor::cat(&rows, 0)?.t()?.contiguous()? })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.weights.dims().last().copied().unwrap_or(0)
    }

    /// Cosines `[B, classes]`, f32, of image features `[B, D]` with rows of length 1. Times the model's logit scale they
    /// are logits.
    ///
    /// # Errors
    /// When the features have another width or are on another device than the weights.
    pub fn classify(&self, image_features: &Tensor) -> Result<Tensor> {
        Ok(image_features.to_dtype(DType::F32)?.matmul(&self.weights)?)
    }
}

/// Rows of length 1, one a class: `[classes, D]`.
fn class_features(
    clip: &Clip,
    encode: &impl Fn(&str, usize) -> Vec<u32>,
    classes: &[String],
    templates: &[Template],
) -> Result<Tensor> {
    let length = clip.config().text_cfg.context_length;
    let texts = classes.iter().flat_map(|class| templates.iter().map(move |template| template.fill(class)));
    let ids: Vec<u32> = texts.flat_map(|text| encode(&text, length)).collect();
    let input_ids = Tensor::from_vec(ids, (classes.len() * templates.len(), length), clip.device())?;
    let features = clip.encode_text(&input_ids)?.to_dtype(DType::F32)?;
    let width = features.dim(D::Minus1)?;
    unit_rows(&features.reshape((classes.len(), templates.len(), width))?.mean(1)?)
}

/// Rows divided by their Euclidean length.
fn unit_rows(rows: &Tensor) -> Result<Tensor> {
    let norms = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(SMALLEST_NORM)?;
    Ok(rows.broadcast_div(&norms)?)
}

/// Indices of the `k` largest of one row of logits, largest first. Among equals the lower index comes first; what is not a
/// number comes last.
pub fn top_k(logits: &[f32], k: usize) -> Vec<usize> {
    let key = |index: &usize| if logits[*index].is_nan() { f32::NEG_INFINITY } else { logits[*index] };
    let mut indices: Vec<usize> = (0..logits.len()).collect();
    indices.sort_by(|left, right| key(right).total_cmp(&key(left)).then(left.cmp(right)));
    indices.truncate(k);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn top_k_takes_the_lower_index_among_equals_and_not_a_number_last() {
        assert_eq!(top_k(&[1.0, 3.0, 3.0, f32::NAN, 2.0], 3), [1, 2, 4]);
        assert_eq!(top_k(&[f32::NAN, -1.0], 5), [1, 0]);
        assert!(top_k(&[], 3).is_empty());
    }

    #[test]
    fn pictures_are_compared_by_cosine() {
        let weights = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        let classifier = ZeroShotClassifier { weights };
        let features = Tensor::new(&[[0.6f32, 0.8]], &Device::Cpu).unwrap();
        assert_eq!(classifier.classes(), 2);
        assert_eq!(classifier.classify(&features).unwrap().to_vec2::<f32>().unwrap(), [[0.6, 0.8]]);
    }

    #[test]
    fn opposite_features_do_not_divide_by_zero() {
        let rows = unit_rows(&Tensor::new(&[[0f32, 0.0], [3.0, 4.0]], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(rows.to_vec2::<f32>().unwrap(), [[0.0, 0.0], [0.6, 0.8]]);
    }
}
