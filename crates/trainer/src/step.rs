//! One optimizer step: forward, loss, backward, clip, update, clamp.

use candle_core::Tensor;
use model::clip::Clip;
use model::loss::contrastive_loss;
use model::parameters::Gradients;

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
        Ok(Self { clip, optimizer, gradients, grad_clip_norm })
    }

    /// Steps on `pixel_values [B, 3, H, W]` and `input_ids [B, L]` at learning rate `lr`. A loss that
    /// is not finite is returned as it is, and changes nothing.
    ///
    /// Host–device syncs: the loss, the gradients' norm, the logit scale.
    ///
    /// # Errors
    /// When shapes do not fit the model or the device fails.
    pub fn step(&mut self, pixel_values: &Tensor, input_ids: &Tensor, lr: f64) -> Result<Stepped> {
        let (features, saved) = self.clip.forward(pixel_values, input_ids)?;
        let logit_scale = self.clip.parameters().value(self.clip.logit_scale_id());
        let output = contrastive_loss(&features.image, &features.text, logit_scale)?;
        let loss = output.value()?;
        if !loss.is_finite() {
            return Ok(Stepped { loss, grad_norm: f64::NAN, logit_scale: self.clip.logit_scale()? });
        }
        self.gradients.clear();
        self.clip.backward(saved, &output.d_image_features, &output.d_text_features, &mut self.gradients)?;
        self.gradients.accumulate(self.clip.logit_scale_id(), output.d_logit_scale)?;
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
