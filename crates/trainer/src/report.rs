//! What a run tells while it goes, as plain numbers: steps, checkpoints, the end. [`crate::observer::Observer`]s hear them.

use std::path::PathBuf;

use loader::LoaderMetrics;
use serde::{Deserialize, Serialize};

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Step of the whole run, from 0.
    pub step: u64,
    /// Step within the epoch, from 0.
    pub step_in_epoch: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Pairs seen in this epoch, this step's included.
    pub samples_seen: u64,
    /// Pairs of an epoch.
    pub samples_per_epoch: u64,
    /// Loss of the batch: all its parts together.
    pub loss: f64,
    /// The part that compares pictures and texts.
    pub contrastive_loss: f64,
    /// The part that compares with a teacher, where there is one.
    pub distill_loss: Option<f64>,
    /// Mean loss of the epoch so far.
    pub mean_loss: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// exp(logit_scale) after the step, at most 100.
    pub logit_scale: f64,
    /// Global L2 norm of the gradients before clipping; infinite or NaN where the step was skipped.
    pub grad_norm: f64,
    /// Factor on the loss, where gradients pass through 16 bits.
    pub loss_scale: Option<f64>,
    /// Steps skipped so far because a scaled gradient overflowed.
    pub skipped_steps: u64,
    /// Seconds spent waiting for the batch.
    pub data_seconds: f64,
    /// Seconds from the previous step's end to this one's.
    pub step_seconds: f64,
    /// Pairs per second, a mean over the last steps.
    pub samples_per_second: f64,
    /// Where the loader's time went since the run began, and what limits it.
    pub loading: LoaderMetrics,
}

/// A checkpoint that was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Epochs completed.
    pub epoch: u64,
    /// Steps taken.
    pub steps: u64,
    /// Its folder.
    pub path: PathBuf,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrainReport {
    /// Epochs completed.
    pub epochs: u64,
    /// Steps taken, those before a resume included.
    pub steps: u64,
    /// Of these skipped because a scaled gradient overflowed.
    pub skipped_steps: u64,
    /// Pairs seen, those before a resume included.
    pub samples_seen: u64,
    /// Loss of the last step.
    pub loss: f64,
    /// Seconds of the whole run, evaluations included.
    pub seconds: f64,
    /// Pairs per second over the steps alone.
    pub samples_per_second: f64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
}
