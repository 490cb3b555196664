//! Measuring a model: zero-shot classification, loss and retrieval on pairs, robustness.

pub mod imagenet;
pub mod pairs;
pub mod periodic;
pub mod retrieval;
pub mod robustness;
pub mod suite;
pub mod zero_shot;

pub use imagenet::Benchmark;
pub use pairs::{PairsReport, PairsTask};
pub use periodic::Periodic;
pub use retrieval::{Ranks, RetrievalReport, retrieval};
pub use suite::{Due, Evaluated, Suite};
pub use zero_shot::{Labels, Prediction, ZeroShotReport, ZeroShotTask};
