//! What a run tells while it goes: steps, checkpoints, evaluations. The terminal, `out.log` and JSON are
//! written from these by whoever runs the trainer.

use std::path::PathBuf;

use loader::LoaderMetrics;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Optimizer step of the whole run, from 0.
    pub step: u64,
    /// Step within the epoch, from 0.
    pub step_in_epoch: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Pairs seen in this epoch, this step's included.
    pub samples_seen: u64,
    /// Pairs of an epoch.
    pub samples_per_epoch: u64,
    /// Contrastive loss of the batch.
    pub loss: f64,
    /// Mean loss of the epoch so far.
    pub mean_loss: f64,
    /// Learning rate of the step.
    pub lr: f64,
    /// exp(logit_scale) after the step, at most 100.
    pub logit_scale: f64,
    /// Global L2 norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Seconds spent waiting for the batch.
    pub data_seconds: f64,
    /// Seconds from the previous step's end to this one's.
    pub step_seconds: f64,
    /// Pairs per second, a mean over the last steps.
    pub samples_per_second: f64,
    /// Where the loader's time went since the run began, and what limits it.
    pub loading: LoaderMetrics,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step was taken. Every step is told; whoever listens picks.
    Step(StepReport),
    /// A checkpoint was sealed.
    Saved {
        /// Epochs completed.
        epoch: u64,
        /// Its folder.
        path: PathBuf,
    },
    /// An evaluation ended.
    Evaluated(Metrics),
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrainReport {
    /// Epochs completed.
    pub epochs: u64,
    /// Optimizer steps taken.
    pub steps: u64,
    /// Pairs seen.
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
