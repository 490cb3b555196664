//! Training and evaluating CLIP: the loop, the optimizer, schedules, checkpoints and metrics.
//!
//! The trainer takes batches of plain buffers from `loader`, turns them into tensors, runs the explicit
//! layers of `model` forward and backward, and steps an AdamW that matches PyTorch's. It prints nothing:
//! whoever runs it is an [`observer::Observer`].

#![warn(missing_docs)]

pub mod checkpoint;
mod clock;
pub mod collective;
pub mod config;
pub mod error;
pub mod evaluate;
pub mod finetune;
mod fingerprint;
pub mod input;
pub mod interpolate;
pub mod metrics;
pub mod objective;
pub mod observer;
pub mod optimizer;
pub mod pretrained;
pub mod report;
pub mod scaler;
pub mod schedule;
pub mod step;
pub mod tensorboard;
pub mod train;
pub mod zoo;

pub use config::TrainConfig;
pub use error::{Error, Result};
pub use fingerprint::fingerprint;
pub use observer::{Evaluator, Observer};
pub use report::{Saved, StepReport, TrainReport};
