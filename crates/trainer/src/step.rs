//! One optimizer step: forward, loss, backward, clip, update, clamp.

use candle_core::Tensor;
use model::clip::{Clip, Precision, Saved};
use model::loss::LossOutput;
use model::parameters::Gradients;
use model::{Features, Mode, Noise};

use crate::config::AdamW;
use crate::error::Result;
use crate::objective::{Objective, Teaching};
use crate::optimizer::{Optimizer, clip_factor};
use crate::scaler::LossScaler;

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
    /// What is made small.
    pub objective: Objective,
    /// Whether batch norm of the image tower follows the batches.
    pub image_statistics: Statistics,
    /// The scale of the loss, where gradients pass through 16 bits that have not the range of 32.
    pub scaler: Option<LossScaler>,
    steps: u64,
    gradients: Gradients,
    grad_clip_norm: Option<f64>,
}

/// Whether batch norm of a tower uses and learns the batch's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// The batch's; the running ones follow.
    Follow,
    /// The running ones, as they are.
    Frozen,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Parameters moved.
    Taken,
    /// A scaled gradient overflowed: nothing moved, and the scale is half of what it was.
    Skipped,
    /// The loss, or an unscaled gradient, is not finite: nothing changed at all.
    NonFinite,
}

/// What a step computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepped {
    /// Loss of the batch: all its parts.
    pub loss: f64,
    /// Of this, what compares with a teacher.
    pub distill_loss: Option<f64>,
    /// Global L2 norm of the gradients before clipping.
    pub grad_norm: f64,
    /// exp(logit_scale) after the step.
    pub logit_scale: f64,
    /// Whether parameters moved.
    pub outcome: Outcome,
}

/// A loss, its gradients, and the teacher's part of it.
struct Lost {
    output: LossOutput,
    loss: f64,
    distill_loss: Option<f64>,
}

impl Trainer {
    /// A trainer at step 0. A model with a logit bias is trained with the sigmoid loss, unless another objective is set.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(clip: Clip, adamw: AdamW, grad_clip_norm: Option<f64>) -> Result<Self> {
        let optimizer = Optimizer::new(adamw, clip.parameters())?;
        let gradients = Gradients::new(clip.parameters());
        let objective = if clip.logit_bias_id().is_some() { Objective::Sigmoid } else { Objective::Contrastive };
        let scaler = (clip.precision() == Precision::Fp16).then(LossScaler::default);
        let image_statistics = Statistics::Follow;
        Ok(Self { clip, optimizer, seed: 0, objective, image_statistics, scaler, steps: 0, gradients, grad_clip_norm })
    }

    /// Steps so far, skipped ones included: what learning rates go by.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on behind so many steps, as learning rates and noise count them.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Steps on `pixel_values [B, 3, H, W]` and `input_ids [B, L]` at learning rate `lr`.
    ///
    /// Host–device syncs: the loss, the gradients' norm, the logit scale.
    ///
    /// # Errors
    /// When shapes do not fit the model or the device fails.
    pub fn step(&mut self, pixel_values: &Tensor, input_ids: &Tensor, lr: f64) -> Result<Stepped> {
        let (features, saved) = self.forward(pixel_values, input_ids, 0)?;
        let teaching = self.objective.teaching([(pixel_values, input_ids)])?;
        let lost = self.loss(&features, teaching.as_ref())?;
        if !lost.loss.is_finite() {
            return self.unchanged(&lost);
        }
        let seen = saved.image.seen();
        self.gradients.clear();
        let [image, text] = self.scaled(&lost.output)?;
        self.clip.backward(saved, &image, &text, &mut self.gradients)?;
        let stepped = self.finish(lost, lr)?;
        if stepped.outcome != Outcome::NonFinite {
            self.clip.track_seen(&seen)?;
        }
        Ok(stepped)
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
            let (features, saved) = self.forward(pixel_values, input_ids, index)?;
            parts.0.push(features.image);
            parts.1.push(features.text);
            seen.push(saved.image.seen());
        }
        let features = Features { image: Tensor::cat(&parts.0, 0)?, text: Tensor::cat(&parts.1, 0)? };
        let teaching = self.objective.teaching(batches.iter().map(|(pixels, ids)| (pixels, ids)))?;
        let lost = self.loss(&features, teaching.as_ref())?;
        if !lost.loss.is_finite() {
            return self.unchanged(&lost);
        }
        self.gradients.clear();
        let [d_image, d_text] = self.scaled(&lost.output)?;
        let mut first = 0;
        for (index, (pixel_values, input_ids)) in batches.iter().enumerate() {
            let (_, saved) = self.forward(pixel_values, input_ids, index)?;
            let count = pixel_values.dim(0)?;
            let part = |gradient: &Tensor| gradient.narrow(0, first, count)?.contiguous();
            self.clip.backward(saved, &part(&d_image)?, &part(&d_text)?, &mut self.gradients)?;
            first += count;
        }
        let stepped = self.finish(lost, lr)?;
        if stepped.outcome != Outcome::NonFinite {
            seen.iter().try_for_each(|seen| self.clip.track_seen(seen))?;
        }
        Ok(stepped)
    }

    /// Both towers on batch `index` of this step. What is dropped is the same when the batch goes through them again.
    fn forward(&self, pixel_values: &Tensor, input_ids: &Tensor, index: usize) -> Result<(Features, Saved)> {
        let mode = Mode::Training(Noise::new(self.seed.wrapping_add((index as u64) << 32), self.steps));
        let of_image = if self.image_statistics == Statistics::Frozen { Mode::Evaluation } else { mode };
        let (image, image_saved) = self.clip.forward_image(pixel_values, of_image)?;
        let (text, text_saved) = self.clip.forward_text(input_ids, mode)?;
        Ok((Features { image, text }, Saved { image: image_saved, text: text_saved }))
    }

    fn loss(&self, features: &Features, teaching: Option<&Teaching>) -> Result<Lost> {
        let (output, distill) = self.objective.loss(&self.clip, features, teaching)?;
        let loss = output.value()?;
        let distill_loss = distill.map(|loss| loss.to_dtype(candle_core::DType::F64)?.to_scalar()).transpose()?;
        Ok(Lost { output, loss, distill_loss })
    }

    /// Gradients of the features, as large as the scaler wants them on their way back.
    fn scaled(&self, output: &LossOutput) -> Result<[Tensor; 2]> {
        let scale = self.scaler.map_or(1.0, |scaler| scaler.scale);
        let scaled = |gradient: &Tensor| if scale == 1.0 { Ok(gradient.clone()) } else { gradient.affine(scale, 0.0) };
        Ok([scaled(&output.d_image_features)?, scaled(&output.d_text_features)?])
    }

    fn unchanged(&self, lost: &Lost) -> Result<Stepped> {
        self.stepped(lost, f64::NAN, Outcome::NonFinite)
    }

    fn stepped(&self, lost: &Lost, grad_norm: f64, outcome: Outcome) -> Result<Stepped> {
        let (loss, distill_loss) = (lost.loss, lost.distill_loss);
        Ok(Stepped { loss, distill_loss, grad_norm, logit_scale: self.clip.logit_scale()?, outcome })
    }

    fn finish(&mut self, lost: Lost, lr: f64) -> Result<Stepped> {
        if let Some(scaler) = &self.scaler {
            self.gradients.scale(1.0 / scaler.scale)?;
        }
        let bias = self.clip.logit_bias_id().zip(lost.output.d_logit_bias.clone());
        let scale = (self.clip.logit_scale_id(), lost.output.d_logit_scale.clone());
        for (id, gradient) in bias.into_iter().chain([scale]) {
            if self.clip.parameters().trainable(id) {
                self.gradients.accumulate(id, gradient)?;
            }
        }
        let norm = self.gradients.norm()?;
        if !norm.is_finite() {
            return self.overflowed(&lost, norm);
        }
        self.clip_gradients(norm)?;
        self.optimizer.step(self.clip.parameters_mut(), &self.gradients, lr)?;
        self.clamp_logit_scale()?;
        self.steps += 1;
        self.scaler.iter_mut().for_each(LossScaler::took);
        self.stepped(&lost, norm, Outcome::Taken)
    }

    /// Lowers the scale and passes the step over; without a scale to lower, or none that helps, the run cannot go on.
    fn overflowed(&mut self, lost: &Lost, norm: f64) -> Result<Stepped> {
        match &mut self.scaler {
            Some(scaler) if !scaler.is_exhausted() => {
                scaler.skipped();
                self.steps += 1;
                self.stepped(lost, norm, Outcome::Skipped)
            }
            _ => self.stepped(lost, norm, Outcome::NonFinite),
        }
    }

    /// Scales the gradients down to the largest norm allowed.
    fn clip_gradients(&mut self, norm: f64) -> Result<()> {
        match clip_factor(norm, self.grad_clip_norm) {
            Some(factor) => Ok(self.gradients.scale(factor)?),
            None => Ok(()),
        }
    }

    fn clamp_logit_scale(&mut self) -> Result<()> {
        let id = self.clip.logit_scale_id();
        let clamped = self.clip.parameters().value(id).clamp(0.0, LOGIT_SCALE_MAX)?;
        self.clip.parameters_mut().set(id, clamped)?;
        Ok(())
    }
}
