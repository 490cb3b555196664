//! Everything a training run is told: a plain structure that is checked once, before any work.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::schedule::{Schedule, Shape};

/// AdamW's constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay; gains, biases and `logit_scale` are exempt.
    pub wd: f64,
}

/// Learning rate and AdamW constants that open_clip takes for a model when none are given.
///
/// Names that contain "vit" get beta2 0.98 and eps 1e-6, all others 0.999 and 1e-8.
pub fn optimizer_defaults(model: &str) -> (f64, AdamW) {
    let vit = model.to_lowercase().contains("vit");
    let (beta2, eps) = if vit { (0.98, 1e-6) } else { (0.999, 1e-8) };
    (5e-4, AdamW { beta1: 0.9, beta2, eps, wd: 0.2 })
}

/// A training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Folder of this run; created. Holds `checkpoints/` and `out.log`.
    pub run_dir: PathBuf,
    /// Number of passes.
    pub epochs: u64,
    /// Base learning rate.
    pub lr: f64,
    /// Optimizer constants.
    pub adamw: AdamW,
    /// Warm-up, in optimizer steps.
    pub warmup: u64,
    /// Schedule after warm-up.
    pub schedule: Shape,
    /// Largest global L2 norm of the gradients; `None` leaves them as they are.
    pub grad_clip_norm: Option<f64>,
    /// Steps between two reports.
    pub log_every_n_steps: u64,
    /// Epochs between two checkpoints; the last epoch is always saved.
    pub save_frequency: u64,
    /// Epochs between two zero-shot evaluations, the last epoch included; 0 means never.
    pub zeroshot_frequency: u64,
}

impl TrainConfig {
    /// Refuses values that cannot be meant.
    ///
    /// # Errors
    /// Names the option, what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        let positive = [("--epochs", self.epochs), ("--log-every-n-steps", self.log_every_n_steps)];
        for (option, value) in positive.into_iter().chain([("--save-frequency", self.save_frequency)]) {
            require(value > 0, option, "expected at least 1, got 0")?;
        }
        require(self.lr > 0.0 && self.lr.is_finite(), "--lr", &format!("expected a positive number, got {}", self.lr))?;
        for (option, beta) in [("--beta1", self.adamw.beta1), ("--beta2", self.adamw.beta2)] {
            require((0.0..1.0).contains(&beta), option, &format!("expected a number from 0 to below 1, got {beta}"))?;
        }
        require(self.adamw.eps > 0.0, "--eps", &format!("expected a positive number, got {}", self.adamw.eps))?;
        require(self.adamw.wd >= 0.0, "--wd", &format!("expected no negative number, got {}", self.adamw.wd))?;
        let clip = self.grad_clip_norm.unwrap_or(1.0);
        require(clip > 0.0, "--grad-clip-norm", &format!("expected a positive number, got {clip}"))
    }

    /// The learning rates of the whole run, given its number of steps.
    pub fn schedule(&self, steps_per_epoch: u64) -> Schedule {
        let total_steps = steps_per_epoch * self.epochs;
        Schedule { base: self.lr, warmup: self.warmup, total_steps, shape: self.schedule }
    }

    /// Whether something that happens every `frequency` epochs is due after `completed` epochs; the last
    /// epoch counts always, a frequency of 0 never.
    pub fn is_due(&self, frequency: u64, completed: u64) -> bool {
        frequency > 0 && (completed.is_multiple_of(frequency) || completed == self.epochs)
    }

    /// Where checkpoints go.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.run_dir.join("checkpoints")
    }
}

fn require(holds: bool, option: &'static str, reason: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config { option, reason: reason.to_owned() }) }
}
