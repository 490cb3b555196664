//! Everything a training run is told: a plain structure that is checked once, before any work.

use std::path::PathBuf;

use loader::EpochSize;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::observer::Frequency;
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

/// The learning rate after warm-up, as flags name it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Decay {
    /// Half a cosine to zero.
    Cosine,
    /// The base rate throughout.
    Const,
    /// The base rate, then a polynomial descent over the last epochs.
    ConstCooldown {
        /// Epochs of the descent.
        epochs: u64,
        /// Exponent of the descent; 1 is linear.
        power: f64,
        /// Rate at the end of the descent.
        end: f64,
    },
    /// The base rate from the very first step: no warm-up either.
    Skipped,
}

/// Which checkpoints are written and which are kept. The last epoch is always saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// Epochs between two checkpoints that are kept; 0 keeps the last epoch's alone.
    pub frequency: u64,
    /// Steps between two checkpoints within epochs; each goes once there is a later one.
    pub every_n_steps: Option<u64>,
    /// Save every epoch, and have `epoch_latest` point to the newest.
    pub most_recent: bool,
    /// Keep the newest alone.
    pub delete_previous: bool,
}

impl Saving {
    /// Every epoch's, all of them kept.
    pub fn every_epoch() -> Self {
        Self { frequency: 1, every_n_steps: None, most_recent: false, delete_previous: false }
    }
}

/// A training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Folder of this run, made before; `None` writes nothing.
    pub run_dir: Option<PathBuf>,
    /// Number of passes.
    pub epochs: u64,
    /// Base learning rate.
    pub lr: f64,
    /// Optimizer constants.
    pub adamw: AdamW,
    /// Warm-up, in optimizer steps.
    pub warmup: u64,
    /// Learning rate after warm-up.
    pub decay: Decay,
    /// Batches that make one optimizer step.
    pub accum_freq: u64,
    /// Largest global L2 norm of the gradients; `None` leaves them as they are.
    pub grad_clip_norm: Option<f64>,
    /// Checkpoints.
    pub saving: Saving,
}

/// Of epochs, and of what else is counted in a run: more of them are a slip, and products of them have to fit.
const LARGEST_COUNT: u64 = 1_000_000_000;

impl TrainConfig {
    /// Refuses values that cannot be meant.
    ///
    /// # Errors
    /// Names the option, what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        for (option, value) in [
            ("--epochs", self.epochs),
            ("--accum-freq", self.accum_freq),
            ("--save-every-n-steps", self.saving.every_n_steps.unwrap_or(1)),
        ] {
            let expected = format!("expected 1 to {LARGEST_COUNT}, got {value}");
            require((1..=LARGEST_COUNT).contains(&value), option, &expected)?;
        }
        let positive = |option, value: f64| {
            require(value > 0.0 && value.is_finite(), option, &format!("expected a positive number, got {value}"))
        };
        positive("--lr", self.lr)?;
        for (option, beta) in [("--beta1", self.adamw.beta1), ("--beta2", self.adamw.beta2)] {
            require((0.0..1.0).contains(&beta), option, &format!("expected a number from 0 to below 1, got {beta}"))?;
        }
        positive("--eps", self.adamw.eps)?;
        let wd = self.adamw.wd;
        require(wd >= 0.0 && wd.is_finite(), "--wd", &format!("expected no negative number, got {wd}"))?;
        positive("--grad-clip-norm", self.grad_clip_norm.unwrap_or(1.0))?;
        let Decay::ConstCooldown { epochs, power, end } = self.decay else { return Ok(()) };
        let reason = format!("expected 1 to --epochs {}, got {epochs}", self.epochs);
        require((1..=self.epochs).contains(&epochs), "--epochs-cooldown", &reason)?;
        positive("--lr-cooldown-power", power)?;
        require(end >= 0.0 && end.is_finite(), "--lr-cooldown-end", &format!("expected no negative number, got {end}"))
    }

    /// Optimizer steps of an epoch. Batches that do not fill a step are left out, as in open_clip.
    ///
    /// # Errors
    /// When an epoch has fewer batches than one step takes.
    pub fn steps_per_epoch(&self, size: EpochSize) -> Result<u64> {
        let (steps, batches) = (size.num_batches / self.accum_freq.max(1), size.num_batches);
        let reason = format!("an epoch has {batches} batches, fewer than the {} of one step", self.accum_freq);
        require(steps > 0, "--accum-freq", &reason)?;
        let reason = format!("{} epochs of {} samples are more than can be counted", self.epochs, size.num_samples);
        require(self.epochs.checked_mul(size.num_samples).is_some(), "--epochs", &reason)?;
        Ok(steps)
    }

    /// The learning rates of the whole run, given its number of steps.
    pub fn schedule(&self, steps_per_epoch: u64) -> Schedule {
        let shape = match self.decay {
            Decay::Cosine => Shape::Cosine,
            Decay::Const | Decay::Skipped => Shape::Const,
            Decay::ConstCooldown { epochs, power, end } => {
                Shape::ConstCooldown { cooldown_steps: epochs * steps_per_epoch, power, end }
            }
        };
        let warmup = if self.decay == Decay::Skipped { 0 } else { self.warmup };
        Schedule { base: self.lr, warmup, total_steps: steps_per_epoch * self.epochs, shape }
    }

    /// Something that happens every `every` epochs, and after the last.
    pub fn frequency(&self, every: u64) -> Frequency {
        Frequency { every, last: self.epochs }
    }

    /// Where checkpoints go.
    pub fn checkpoint_dir(&self) -> Option<PathBuf> {
        self.run_dir.as_ref().map(|folder| folder.join("checkpoints"))
    }
}

fn require(holds: bool, option: &'static str, reason: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config { option, reason: reason.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TrainConfig {
        let (lr, adamw) = optimizer_defaults("ViT-B-32");
        TrainConfig {
            run_dir: None,
            epochs: 4,
            lr,
            adamw,
            warmup: 3,
            decay: Decay::Cosine,
            accum_freq: 2,
            grad_clip_norm: None,
            saving: Saving::every_epoch(),
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        assert!(config().validate().is_ok());
        let cooldown = |epochs, power, end| Decay::ConstCooldown { epochs, power, end };
        type Change<'a> = &'a dyn Fn(&mut TrainConfig);
        let changes: [(&str, Change<'_>); 8] = [
            ("--lr", &|c| c.lr = f64::NAN),
            ("--epochs", &|c| c.epochs = 0),
            ("--accum-freq", &|c| c.accum_freq = 0),
            ("--save-every-n-steps", &|c| c.saving.every_n_steps = Some(0)),
            ("--wd", &|c| c.adamw.wd = f64::INFINITY),
            ("--epochs-cooldown", &|c| c.decay = cooldown(5, 1.0, 0.0)),
            ("--lr-cooldown-power", &|c| c.decay = cooldown(1, 0.0, 0.0)),
            ("--lr-cooldown-end", &|c| c.decay = cooldown(1, 1.0, -1.0)),
        ];
        for (option, change) in changes {
            let mut changed = config();
            change(&mut changed);
            let message = changed.validate().unwrap_err().to_string();
            assert!(message.starts_with(option), "{message}");
        }
    }

    #[test]
    fn batches_that_fill_no_step_are_left_out() {
        let size = |num_batches| EpochSize { num_batches, num_samples: 8 * num_batches };
        assert_eq!(config().steps_per_epoch(size(9)).unwrap(), 4);
        assert!(config().steps_per_epoch(size(1)).unwrap_err().to_string().contains("fewer than the 2"));
    }

    #[test]
    fn a_cooldown_is_counted_in_epochs_and_a_skipped_schedule_has_no_warmup() {
        let decay = Decay::ConstCooldown { epochs: 1, power: 1.0, end: 0.0 };
        let schedule = TrainConfig { decay, ..config() }.schedule(10);
        assert_eq!((schedule.rate(29), schedule.rate(35)), (5e-4, 2.5e-4));
        assert_eq!(TrainConfig { decay: Decay::Skipped, ..config() }.schedule(10).rate(0), 5e-4);
    }
}
