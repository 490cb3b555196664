//! Measuring a model: zero-shot classification and retrieval.

pub mod periodic;
pub mod retrieval;
pub mod zero_shot;

pub use periodic::PeriodicZeroShot;
pub use retrieval::{Ranks, RetrievalReport, retrieval};
pub use zero_shot::{Labels, Prediction, ZeroShotReport, ZeroShotTask};
