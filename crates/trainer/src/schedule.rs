//! Learning-rate schedules: pure functions of the optimizer step, as `open_clip_train.scheduler`
//! defines them. The rate is set before the step is taken.

use serde::{Deserialize, Serialize};

/// The shape of the schedule after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Shape {
    /// Half a cosine from the base rate to zero.
    Cosine,
    /// The base rate throughout.
    Const,
    /// The base rate, then a polynomial descent over the last steps.
    ConstCooldown {
        /// Optimizer steps of the descent.
        cooldown_steps: u64,
        /// Exponent of the descent; 1 is linear.
        power: f64,
        /// Rate at the end of the descent.
        end: f64,
    },
}

/// A schedule over the optimizer steps of a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Base learning rate, reached at the end of warm-up.
    pub base: f64,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: u64,
    /// What follows the warm-up.
    pub shape: Shape,
}

impl Schedule {
    /// Learning rate of optimizer step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.base * (step + 1) as f64 / self.warmup as f64;
        }
        match self.shape {
            Shape::Cosine => self.cosine(step),
            Shape::Const => self.base,
            Shape::ConstCooldown { cooldown_steps, power, end } => {
                let start = self.total_steps.saturating_sub(cooldown_steps);
                if step < start {
                    return self.base;
                }
                let passed = (step - start) as f64 / (self.total_steps - start) as f64;
                (1.0 - passed).powf(power) * (self.base - end) + end
            }
        }
    }

    fn cosine(&self, step: u64) -> f64 {
        let passed = (step - self.warmup) as f64;
        let length = self.total_steps.saturating_sub(self.warmup).max(1) as f64;
        0.5 * (1.0 + (std::f64::consts::PI * passed / length).cos()) * self.base
    }
}
