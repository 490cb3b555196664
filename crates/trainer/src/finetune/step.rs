//! One step of fine-tuning: image tower, head, cross-entropy, and back.

use std::collections::HashMap;
use std::fmt;

use candle_core::{D, DType, Tensor};
use model::clip::Clip;
use model::parameters::Gradients;
use model::{Mode, Noise};
use serde::{Deserialize, Serialize};

use super::head::Head;
use crate::config::AdamW;
use crate::error::Result;
use crate::optimizer::{Optimizer, clip_factor};

/// Model, head and their optimizers.
pub struct FineTuner {
    /// The model.
    pub clip: Clip,
    /// Its head.
    pub head: Head,
    seed: u64,
    gradients: (Gradients, Gradients),
    optimizers: (Optimizer, Optimizer),
    grad_clip_norm: Option<f64>,
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// Image tower and head.
    Tower,
    /// The head alone.
    Head,
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tower => "image tower and the head",
            Self::Head => "head alone",
        })
    }
}

/// What a step computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuned {
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// Global L2 norm of the gradients before clipping.
    pub grad_norm: f64,
}

impl FineTuner {
    /// At step 0. Everything but the image tower, and that too where only the head is trained, is held.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(
        mut clip: Clip,
        head: Head,
        tuning: Tuning,
        adamw: AdamW,
        grad_clip_norm: Option<f64>,
        seed: u64,
    ) -> Result<Self> {
        let held = |name: &str| tuning == Tuning::Head || !name.starts_with("visual.");
        let held: Vec<_> = clip.parameters().iter().filter(|(_, p)| held(&p.name)).map(|(id, _)| id).collect();
        held.into_iter().for_each(|id| clip.parameters_mut().set_trainable(id, false));
        let optimizers = (Optimizer::new(adamw, clip.parameters())?, Optimizer::new(adamw, head.parameters())?);
        let gradients = (Gradients::new(clip.parameters()), Gradients::new(head.parameters()));
        Ok(Self { clip, head, seed, gradients, optimizers, grad_clip_norm })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.optimizers.1.steps()
    }

    /// The moments of both optimizers, by name.
    pub(super) fn moments(&self) -> HashMap<String, Tensor> {
        let mut moments = self.optimizers.0.tensors(self.clip.parameters());
        moments.extend(self.optimizers.1.tensors(self.head.parameters()));
        moments
    }

    /// Takes up what [`FineTuner::moments`] gave after `steps` steps.
    pub(super) fn restore(&mut self, moments: HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        self.optimizers.0.restore(
            self.clip.parameters(),
            moments.clone(),
            if self.tunes_tower() { steps } else { 0 },
        )?;
        self.optimizers.1.restore(self.head.parameters(), moments, steps)
    }

    /// What is trained.
    pub fn tuning(&self) -> Tuning {
        if self.tunes_tower() { Tuning::Tower } else { Tuning::Head }
    }

    fn tunes_tower(&self) -> bool {
        self.clip.parameters().iter().any(|(_, parameter)| parameter.trainable())
    }

    /// Steps on `pixel_values [B, 3, H, W]` and `labels [B]` (u32) at learning rate `lr`. A loss that is not finite is
    /// returned as it is, and changes nothing.
    ///
    /// # Errors
    /// When shapes do not fit the model or the device fails.
    pub fn step(&mut self, pixel_values: &Tensor, labels: &Tensor, lr: f64) -> Result<Tuned> {
        let tunes_tower = self.tunes_tower();
        let mode = if tunes_tower { Mode::Training(Noise::new(self.seed, self.steps())) } else { Mode::Evaluation };
        let (features, saved) = self.clip.forward_image(pixel_values, mode)?;
        let (loss, d_logits) = cross_entropy(&self.head.logits(&features)?, labels)?;
        if !loss.is_finite() {
            return Ok(Tuned { loss, grad_norm: f64::NAN });
        }
        self.gradients.0.clear();
        self.gradients.1.clear();
        let [weight, _] = self.head.values();
        let d_features = d_logits.matmul(weight)?;
        let d_head = [d_logits.t()?.matmul(&features)?, d_logits.sum(0)?];
        for (id, gradient) in self.head.ids().into_iter().zip(d_head) {
            self.gradients.1.accumulate(id, gradient)?;
        }
        if tunes_tower {
            self.clip.track(&saved)?;
            self.clip.backward_image(saved, &d_features, &mut self.gradients.0)?;
        }
        let grad_norm = self.clip_gradients()?;
        if tunes_tower {
            self.optimizers.0.step(self.clip.parameters_mut(), &self.gradients.0, lr)?;
        }
        self.optimizers.1.step(self.head.parameters_mut(), &self.gradients.1, lr)?;
        Ok(Tuned { loss, grad_norm })
    }

    fn clip_gradients(&mut self) -> Result<f64> {
        let norm = self.gradients.0.norm()?.hypot(self.gradients.1.norm()?);
        if let Some(factor) = clip_factor(norm, self.grad_clip_norm) {
            self.gradients.0.scale(factor)?;
            self.gradients.1.scale(factor)?;
        }
        Ok(norm)
    }
}

/// Mean over the batch of `-log softmax(logits)[label]`, and its gradient `[B, C]`.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<(f64, Tensor)> {
    let (batch, classes) = logits.dims2()?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
    let log_probabilities = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let own = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?;
    let loss = -own.mean_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    let places = Tensor::arange(0u32, classes as u32, logits.device())?.unsqueeze(0)?;
    let right = labels.unsqueeze(1)?.broadcast_eq(&places)?.to_dtype(logits.dtype())?;
    Ok((loss, ((log_probabilities.exp()? - right)? / batch as f64)?))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_gradient_of_the_loss_is_its_slope() {
        let labels = Tensor::new(&[2u32, 0], &Device::Cpu).unwrap();
        let loss = |shift: f64| {
            let logits = [[0.5, -1.0, 0.25 + shift], [2.0, 1.0, -3.0]];
            let logits = Tensor::new(&logits, &Device::Cpu).unwrap();
            cross_entropy(&logits, &labels).unwrap()
        };
        let (value, gradient) = loss(0.0);
        let expected = {
            let one = |row: [f64; 3], own: usize| row.iter().map(|x| (x - row[own]).exp()).sum::<f64>().ln();
            (one([0.5, -1.0, 0.25], 2) + one([2.0, 1.0, -3.0], 0)) / 2.0
        };
        assert!((value - expected).abs() < 1e-12);
        let slope = (loss(1e-5).0 - loss(-1e-5).0) / 2e-5;
        let gradient = gradient.to_vec2::<f64>().unwrap();
        assert!((gradient[0][2] - slope).abs() < 1e-8);
        assert!(gradient.iter().all(|row| row.iter().sum::<f64>().abs() < 1e-12));
    }
}
