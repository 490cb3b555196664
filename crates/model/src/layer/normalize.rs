//! Features to length 1.

use candle_core::{D, DType, Tensor};

use crate::error::{InLayer, Result};

/// Shortest length that is divided by.
const EPS: f64 = 1e-12;

/// What backward needs.
#[derive(Debug)]
pub struct NormalizeSaved {
    unit: Tensor,
    length: Tensor,
}

/// `x / max(|x|, 1e-12)` for every row of `[B, D]`.
///
/// # Errors
/// From candle.
pub fn forward(x: &Tensor) -> Result<(Tensor, NormalizeSaved)> {
    let compute = || {
        let x = widened(x)?;
        let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(EPS)?;
        Ok((x.broadcast_div(&length)?, length))
    };
    let (unit, length): (Tensor, Tensor) = compute().layer("normalize")?;
    Ok((unit.clone(), NormalizeSaved { unit, length }))
}

/// Lengths are sums of squares, which 16 bits do not hold.
fn widened(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.dtype() == DType::F64 { Ok(x.clone()) } else { x.to_dtype(DType::F32) }
}

/// The input's gradient: what is left of `dy` across the feature, divided by its length.
///
/// # Errors
/// When shapes differ.
pub fn backward(saved: &NormalizeSaved, dy: &Tensor) -> Result<Tensor> {
    let compute = || {
        let along = saved.unit.mul(dy)?.sum_keepdim(D::Minus1)?;
        dy.sub(&saved.unit.broadcast_mul(&along)?)?.broadcast_div(&saved.length)
    };
    compute().layer("normalize")
}
