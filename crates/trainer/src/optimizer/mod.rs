//! AdamW as PyTorch defines it, with open_clip's two groups: matrices decay, gains, biases and
//! `logit_scale` do not.
//!
//! The moments lie in the order of the model's parameter registry, which is the same on every rank.

mod kernel;

use std::collections::HashMap;

use candle_core::{DType, Tensor};
use model::parameters::{Gradients, Parameters};

use crate::config::AdamW;
use crate::error::Result;

use kernel::{Power, Update};

/// What gradients of this global norm are multiplied by, as `torch.nn.utils.clip_grad_norm_` does; `None` where they are short
/// enough.
pub(crate) fn clip_factor(norm: f64, largest: Option<f64>) -> Option<f64> {
    largest.map(|largest| largest / (norm + 1e-6)).filter(|factor| *factor < 1.0)
}

/// The optimizer's state: two moments per parameter and the number of steps taken.
pub struct Optimizer {
    adamw: AdamW,
    moments: Vec<Moments>,
    steps: u64,
}

/// Running averages of a parameter's gradient and of its square.
struct Moments {
    first: Tensor,
    second: Tensor,
}

impl Optimizer {
    /// Zero moments for every parameter; buffers have none.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(adamw: AdamW, parameters: &Parameters) -> Result<Self> {
        let zeros = |like: &Tensor| Tensor::zeros(like.shape(), DType::F32, like.device());
        let moments = parameters
            .iter()
            .filter(|(_, parameter)| parameter.is_learned())
            .map(|(_, parameter)| Ok(Moments { first: zeros(parameter.value())?, second: zeros(parameter.value())? }))
            .collect::<Result<_>>()?;
        Ok(Self { adamw, moments, steps: 0 })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step at learning rate `lr`: decay, moments, update, in that order. Parameters without a
    /// gradient stay as they are.
    ///
    /// # Errors
    /// When shapes differ or the device fails.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: &Gradients, lr: f64) -> Result<()> {
        self.steps += 1;
        let AdamW { beta1, beta2, eps, wd } = self.adamw;
        let first_correction = 1.0 - beta1.powf(self.steps as f64);
        let second_correction = (1.0 - beta2.powf(self.steps as f64)).sqrt();
        let ids: Vec<_> = parameters.iter().filter(|(_, parameter)| parameter.is_learned()).map(|(id, _)| id).collect();
        for (id, moments) in ids.into_iter().zip(&mut self.moments) {
            let Some(gradient) = gradients.get(id).filter(|_| parameters.trainable(id)) else {
                continue;
            };
            let value = parameters.value(id);
            let shrink = if decays(parameters.name(id), value.rank()) { 1.0 - lr * wd } else { 1.0 };
            let update = Update { shrink, rate: lr / first_correction, second_correction, eps };
            moments.first = kernel::decay_moment(&moments.first, gradient, beta1, Power::First)?;
            moments.second = kernel::decay_moment(&moments.second, gradient, beta2, Power::Second)?;
            let stepped = update.apply(value, &moments.first, &moments.second)?;
            parameters.set(id, stepped)?;
        }
        Ok(())
    }

    /// The moments by name: `first.<parameter>` and `second.<parameter>`, f32.
    pub fn tensors(&self, parameters: &Parameters) -> HashMap<String, Tensor> {
        let named = parameters.iter().filter(|(_, parameter)| parameter.is_learned()).zip(&self.moments);
        named
            .flat_map(|((_, parameter), moments)| {
                let name = &parameter.name;
                [(format!("first.{name}"), moments.first.clone()), (format!("second.{name}"), moments.second.clone())]
            })
            .collect()
    }

    /// Takes up the state that [`Optimizer::tensors`] gave after `steps` steps.
    ///
    /// # Errors
    /// Names the first tensor that is missing or misshapen.
    pub fn restore(
        &mut self,
        parameters: &Parameters,
        mut tensors: HashMap<String, Tensor>,
        steps: u64,
    ) -> std::result::Result<(), String> {
        let mut take = |name: String, like: &Tensor| match tensors.remove(&name) {
            Some(tensor) if tensor.dims() == like.dims() => Ok(tensor),
            Some(tensor) => {
                Err(format!("optimizer tensor `{name}`: expected shape {:?}, got {:?}", like.dims(), tensor.dims()))
            }
            None => Err(format!("optimizer tensor `{name}` is missing")),
        };
        let learned = parameters.iter().filter(|(_, parameter)| parameter.is_learned());
        for ((_, parameter), moments) in learned.zip(&mut self.moments) {
            moments.first = take(format!("first.{}", parameter.name), &moments.first)?;
            moments.second = take(format!("second.{}", parameter.name), &moments.second)?;
        }
        self.steps = steps;
        Ok(())
    }
}

/// Whether weight decay applies: open_clip exempts what has fewer than two dimensions and what its name
/// marks as a norm, a bias or the logit scale.
pub fn decays(name: &str, rank: usize) -> bool {
    rank >= 2 && !["bn", "ln", "bias", "logit_scale"].iter().any(|mark| name.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_biases_and_the_logit_scale_do_not_decay() {
        assert!(decays("visual.proj", 2));
        assert!(decays("positional_embedding", 2));
        assert!(decays("visual.conv1.weight", 4));
        assert!(!decays("visual.class_embedding", 1));
        assert!(!decays("visual.ln_pre.weight", 1));
        assert!(!decays("transformer.resblocks.0.attn.in_proj_bias", 1));
        assert!(!decays("logit_scale", 0));
    }
}
