//! Reductions of whole tensors to one number.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host};

/// Values that one task sums.
const TASK: usize = 64 * 1024;

/// Sum of squares, accumulated in f64 between tasks; `None` where the tensor is not `f32` in host memory.
///
/// # Errors
/// From candle.
pub fn sum_of_squares(x: &Tensor) -> Result<Option<f64>> {
    if !on_host(&[x]) {
        return Ok(None);
    }
    let x = x.contiguous()?;
    let values = HostSlice::of(&x)?;
    let parts: Vec<f64> = values.par_chunks(TASK).map(part).collect();
    Ok(Some(parts.iter().sum()))
}

fn part(values: &[f32]) -> f64 {
    let mut lanes = [0f64; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
}
