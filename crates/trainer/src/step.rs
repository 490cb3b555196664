//! One optimizer step: forward, loss, backward, clip, update, clamp.

use candle_core::Tensor;
use model::clip::Clip;
use model::loss::{LossOutput, contrastive_loss, siglip_loss};
use model::parameters::Gradients;
use model::{Features, Mode, Noise};

use crate::config::AdamW;
use crate::error::Result;
use crate::optimizer::Optimizer;

/// `logit_scale` is kept between 0 and ln 100, as CLIP was trained.
const LOGIT_SCALE_MAX: f64 = 4.605_170_185_988_092;

/// The state of a training run: model, optimizer and the gradients' registry.
pub struct Trainer {
    /// The model.
    pub clip: Clip,
    /// Its optimizer.
    pub optimizer: Optimizer,
    /// Seed of what is dropped in training; ranks that see different pairs take different ones.
    pub seed: u64,
    gradients: Gradients,
    grad_clip_norm: Option<f64>,
}

/// What a step computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// Contrastive loss of the batch.
    pub loss: f64,
    /// Global L2 norm of the gradients before clipping.
    pub grad_norm: f64,
    /// exp(logit_scale) after the step.
    pub logit_scale: f64,
}

impl Trainer {
    /// A trainer at step 0.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(clip: Clip, adamw: AdamW, grad_clip_norm: Option<f64>) -> Result<Self> {
        let optimizer = Optimizer::new(adamw, clip.parameters())?;
        let gradients = Gradients::new(clip.parameters());
        Ok(Self { clip, optimizer, seed: 0, gradients, grad_clip_norm })
    }

    /// Steps on `pixel_values [B, 3, H, W]` and `input_ids [B, L]` at learning rate `lr`. A loss that
    /// is not finite is returned as it is, and changes nothing.
    ///
    /// Host–device syncs: the loss, the gradients' norm, the logit scale.
    ///
    /// # Errors
    /// When shapes do not fit the model or the device fails.
    pub fn step(&mut self, pixel_values: &Tensor, input_ids: &Tensor, lr: f64) -> Result<Stepped> {
        let (features, saved) = self.clip.forward(pixel_values, input_ids, self.mode(0))?;
        let output = self.loss(&features)?;
        let loss = output.value()?;
        if !loss.is_finite() {
            return self.unchanged(loss);
        }
        self.clip.track(&saved.image)?;
        self.gradients.clear();
        self.clip.backward(saved, &output.d_image_features, &output.d_text_features, &mut self.gradients)?;
        self.finish(output, loss, lr)
    }

    /// Steps once on several batches as if they were one: features of all of them first, the loss over all of them, then
    /// each batch again with its part of the gradient. So the memory is that of one batch, and every gradient, that of the
    /// logit scale included, is that of the large batch.
    ///
    /// # Errors
    /// As [`Trainer::step`], and without a batch.
    pub fn step_accumulated(&mut self, batches: &[(Tensor, Tensor)], lr: f64) -> Result<Stepped> {
        if let [(pixel_values, input_ids)] = batches {
            return self.step(pixel_values, input_ids, lr);
        }
        let mut parts = (Vec::with_capacity(batches.len()), Vec::with_capacity(batches.len()));
        let mut seen = Vec::new();
        for (index, (pixel_values, input_ids)) in batches.iter().enumerate() {
            let (features, saved) = self.clip.forward(pixel_values, input_ids, self.mode(index))?;
            parts.0.push(features.image);
            parts.1.push(features.text);
            seen.push(saved.image.seen());
        }
        let output = self.loss(&Features { image: Tensor::cat(&parts.0, 0)?, text: Tensor::cat(&parts.1, 0)? })?;
        let loss = output.value()?;
        if !loss.is_finite() {
            return self.unchanged(loss);
        }
        self.gradients.clear();
        let mut first = 0;
        for (index, (pixel_values, input_ids)) in batches.iter().enumerate() {
            let (_, saved) = self.clip.forward(pixel_values, input_ids, self.mode(index))?;
            let count = pixel_values.dim(0)?;
            let part = |gradient: &Tensor| gradient.narrow(0, first, count)?.contiguous();
            let (image, text) = (part(&output.d_image_features)?, part(&output.d_text_features)?);
            self.clip.backward(saved, &image, &text, &mut self.gradients)?;
            first += count;
        }
        seen.iter().try_for_each(|seen| self.clip.track_seen(seen))?;
        self.finish(output, loss, lr)
    }

    /// What is dropped in batch `index` of this step; the same when the batch goes through the towers again.
    fn mode(&self, index: usize) -> Mode {
        Mode::Training(Noise::new(self.seed.wrapping_add((index as u64) << 32), self.optimizer.steps()))
    }

    /// The sigmoid loss for a model with a logit bias, else the contrastive one.
    fn loss(&self, features: &Features) -> Result<LossOutput> {
        let parameters = self.clip.parameters();
        let scale = parameters.value(self.clip.logit_scale_id());
        Ok(match self.clip.logit_bias_id() {
            None => contrastive_loss(&features.image, &features.text, scale)?,
            Some(bias) => siglip_loss(&features.image, &features.text, scale, parameters.value(bias))?,
        })
    }

    fn unchanged(&self, loss: f64) -> Result<Stepped> {
        Ok(Stepped { loss, grad_norm: f64::NAN, logit_scale: self.clip.logit_scale()? })
    }

    fn finish(&mut self, output: LossOutput, loss: f64, lr: f64) -> Result<Stepped> {
        let bias = self.clip.logit_bias_id().zip(output.d_logit_bias);
        for (id, gradient) in bias.into_iter().chain([(self.clip.logit_scale_id(), output.d_logit_scale)]) {
            if self.clip.parameters().trainable(id) {
                self.gradients.accumulate(id, gradient)?;
            }
        }
        let grad_norm = self.clip_gradients()?;
        self.optimizer.step(self.clip.parameters_mut(), &self.gradients, lr)?;
        self.clamp_logit_scale()?;
        Ok(Stepped { loss, grad_norm, logit_scale: self.clip.logit_scale()? })
    }

    /// Scales the gradients down to the largest norm allowed, as `torch.nn.utils.clip_grad_norm_` does;
    /// returns their norm before.
    fn clip_gradients(&mut self) -> Result<f64> {
        let norm = self.gradients.norm()?;
        if let Some(largest) = self.grad_clip_norm {
            let factor = largest / (norm + 1e-6);
            if factor < 1.0 {
                self.gradients.scale(factor)?;
            }
        }
        Ok(norm)
    }

    fn clamp_logit_scale(&mut self) -> Result<()> {
        let id = self.clip.logit_scale_id();
        let clamped = self.clip.parameters().value(id).clamp(0.0, LOGIT_SCALE_MAX)?;
        self.clip.parameters_mut().set(id, clamped)?;
        Ok(())
    }
}
