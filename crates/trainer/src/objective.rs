//! What training makes small: the loss of a step, and what a teacher adds to it.

use candle_core::Tensor;
use model::Features;
use model::clip::Clip;
use model::loss::{LossOutput, contrastive_loss, distillation_loss, siglip_loss};

use crate::error::Result;

/// The loss of a run.
#[derive(Debug)]
pub enum Objective {
    /// Pictures pick their texts, texts their pictures.
    Contrastive,
    /// Every pair is a yes or no; for models with a logit bias.
    Sigmoid,
    /// Contrastive, and close to what a teacher makes of the same batch.
    Distillation(Box<Clip>),
}

/// A teacher's view of a batch.
pub(crate) struct Teaching {
    features: Features,
    logit_scale: Tensor,
}

impl Objective {
    /// What the teacher, if there is one, makes of all these batches together.
    pub(crate) fn teaching<'a>(
        &self,
        batches: impl IntoIterator<Item = (&'a Tensor, &'a Tensor)>,
    ) -> Result<Option<Teaching>> {
        let Self::Distillation(teacher) = self else { return Ok(None) };
        let (mut images, mut texts) = (Vec::new(), Vec::new());
        for (pixel_values, input_ids) in batches {
            images.push(teacher.encode_image(pixel_values)?);
            texts.push(teacher.encode_text(input_ids)?);
        }
        let features = Features { image: Tensor::cat(&images, 0)?, text: Tensor::cat(&texts, 0)? };
        let logit_scale = teacher.parameters().value(teacher.logit_scale_id()).clone();
        Ok(Some(Teaching { features, logit_scale }))
    }

    /// The loss of `features` with its gradients, and the teacher's part of it.
    pub(crate) fn loss(
        &self,
        clip: &Clip,
        features: &Features,
        teaching: Option<&Teaching>,
    ) -> Result<(LossOutput, Option<Tensor>)> {
        let Features { image, text } = features;
        let scale = clip.parameters().value(clip.logit_scale_id());
        if let (Self::Sigmoid, Some(bias)) = (self, clip.logit_bias_id()) {
            return Ok((siglip_loss(image, text, scale, clip.parameters().value(bias))?, None));
        }
        let mut output = contrastive_loss(image, text, scale)?;
        let Some(Teaching { features: teacher, logit_scale }) = teaching else { return Ok((output, None)) };
        let distilled = distillation_loss([image, text], scale, [&teacher.image, &teacher.text], logit_scale)?;
        output.add(&distilled)?;
        Ok((output, Some(distilled.loss)))
    }
}
