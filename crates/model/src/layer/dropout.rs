//! Dropout of a layer's output in training; the identity in evaluation.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::kernel::dropout;
use crate::random::Mode;

pub use crate::kernel::dropout::Dropout;

/// What of `layer` is dropped in this pass: a `share`, the same in forward and backward.
pub fn of(layer: &str, share: f64, mode: Mode) -> Option<Dropout> {
    match mode {
        Mode::Evaluation => None,
        Mode::Training(noise) => Dropout::new(noise.stream(layer), share),
    }
}

/// Drops values, or their gradient.
///
/// # Errors
/// From candle.
pub fn apply(x: Tensor, dropout: Option<Dropout>, layer: &str) -> Result<Tensor> {
    match dropout {
        None => Ok(x),
        Some(dropout) => dropout::apply(&x, &dropout).layer(layer),
    }
}
