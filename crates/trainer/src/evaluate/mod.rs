//! Measuring a model: zero-shot classification.

pub mod zero_shot;

pub use zero_shot::{Labels, Prediction, ZeroShotReport, ZeroShotTask};
