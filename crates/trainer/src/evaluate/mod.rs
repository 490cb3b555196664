//! Measuring a model: zero-shot classification, loss and retrieval on pairs, robustness.

pub mod imagenet;
pub mod pairs;
pub mod periodic;
pub mod retrieval;
pub mod robustness;
pub mod suite;
pub mod zero_shot;

use loader::{EvalConfig, Stop};
use model::clip::Clip;

pub use imagenet::Benchmark;
pub use pairs::{PairsReport, PairsTask};
pub use periodic::Periodic;
pub use retrieval::{Ranks, RetrievalReport, retrieval};
pub use suite::{Due, Evaluated, Suite};
pub use zero_shot::{Labels, Prediction, ZeroShotReport, ZeroShotTask};

/// Pictures as `clip` takes them.
fn eval_config(clip: &Clip, batch_size: usize, workers: usize, stop: &Stop) -> EvalConfig {
    let side = clip.config().vision_cfg.image_size as u32;
    let fitting = crate::input::fitting(clip.preprocess());
    EvalConfig { fitting, stop: stop.clone(), ..EvalConfig::new(batch_size, workers, side) }
}
