//! Layer normalisation over the last dimension, with gain and bias.

use std::mem::MaybeUninit;

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::*;

use super::gemm::add_up;
use super::host::{HostSlice, on_host, tensor, written};
use super::isa::multiversion;
use super::lanes::{fma, sum};
use super::narrow::{narrow_on_host, wide, wide_option};

/// Added to the variance.
pub const EPS: f64 = 1e-5;
/// Rows that one task handles.
const ROWS: usize = 128;

/// Where a task of backward writes; its number; the inputs and the output's gradient that it reads.
type Part<'a> = (&'a mut [MaybeUninit<f32>], (usize, (&'a [f32], &'a [f32])));

/// Gradients of one normalisation.
pub struct LayerNormGradients {
    /// Of the input, `[.., C]`.
    pub dx: Tensor,
    /// Of the gain, `[C]`.
    pub dweight: Tensor,
    /// Of the bias, `[C]`.
    pub dbias: Tensor,
}

/// `(x - mean) / sqrt(var + eps) · weight + bias` over the last dimension of `[.., C]`.
///
/// # Errors
/// When sizes differ, or from candle.
#[allow(unsafe_code)]
pub fn forward(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    check(weight, width)?;
    check(bias, width)?;
    if let Some(narrow) = narrow_on_host(x) {
        return forward(&wide(x)?, weight, bias)?.to_dtype(narrow);
    }
    if !on_host(&[x, weight, bias]) {
        return composed_forward(&wide(x)?, weight, bias)?.to_dtype(x.dtype());
    }
    let (x, weight, bias) = (x.contiguous()?, weight.contiguous()?, bias.contiguous()?);
    let values = {
        let (from, gain, offset) = (HostSlice::of(&x)?, HostSlice::of(&weight)?, HostSlice::of(&bias)?);
        let (gain, offset): (&[f32], &[f32]) = (&gain, &offset);
        let task = (ROWS * width).max(1);
        let tasks = from.par_chunks(task);
        // SAFETY: the loop sets a value for each one it reads, as all slices hold whole rows.
        unsafe {
            written(from.len(), |to| {
                to.par_chunks_mut(task).zip(tasks).for_each(|(to, from)| normalise(from, gain, offset, to));
            })
        }
    };
    tensor(values, x.shape())
}

/// Gradients at input `x`; statistics are computed anew, which costs less than keeping them.
/// `residual`, of the shape of `x`, is added to the input's gradient.
///
/// # Errors
/// When sizes differ, or from candle.
#[allow(unsafe_code)]
pub fn backward(x: &Tensor, weight: &Tensor, dy: &Tensor, residual: Option<&Tensor>) -> Result<LayerNormGradients> {
    let width = x.dim(D::Minus1)?;
    check(weight, width)?;
    if x.dims() != dy.dims() || residual.is_some_and(|r| r.dims() != x.dims()) {
        candle_core::bail!("layer norm: gradient has shape {:?}, expected {:?}", dy.dims(), x.dims());
    }
    if x.dtype() != DType::F32 && x.dtype() != DType::F64 {
        let residual = wide_option(residual)?;
        let gradients = backward(&wide(x)?, weight, &wide(dy)?, residual.as_ref())?;
        return Ok(LayerNormGradients { dx: gradients.dx.to_dtype(x.dtype())?, ..gradients });
    }
    if !on_host(&[x, weight, dy]) {
        return composed_backward(x, weight, dy, residual);
    }
    let (x, weight, dy) = (x.contiguous()?, weight.contiguous()?, dy.contiguous()?);
    let residual = residual.map_or_else(|| Tensor::zeros((0,), x.dtype(), x.device()), Tensor::contiguous)?;
    let (dx, sums) = {
        let (at, gain, gradient) = (HostSlice::of(&x)?, HostSlice::of(&weight)?, HostSlice::of(&dy)?);
        let bypass = HostSlice::of(&residual)?;
        let (gain, bypass): (&[f32], &[f32]) = (&gain, &bypass);
        let task = (ROWS * width).max(1);
        let mut parts = Vec::new();
        let tasks = at.par_chunks(task).zip(gradient.par_chunks(task)).enumerate();
        let one = |(dx, (i, (at, gradient))): Part| {
            let bypass = bypass.get(i * task..i * task + at.len()).unwrap_or_default();
            let mut sums = vec![0f32; 2 * width];
            pull_back([at, gradient, bypass], gain, dx, &mut sums);
            sums
        };
        // SAFETY: the loop sets a value for each one it reads, as all slices hold whole rows.
        let dx =
            unsafe { written(at.len(), |dx| dx.par_chunks_mut(task).zip(tasks).map(one).collect_into_vec(&mut parts)) };
        (dx, add_up(parts))
    };
    let sums = tensor(if sums.is_empty() { vec![0f32; 2 * width] } else { sums }, (2, width))?;
    Ok(LayerNormGradients { dx: tensor(dx, x.shape())?, dweight: sums.get(0)?, dbias: sums.get(1)? })
}

fn check(parameter: &Tensor, width: usize) -> Result<()> {
    if parameter.dims() != [width] {
        candle_core::bail!("layer norm: parameter has shape {:?}, expected [{width}]", parameter.dims());
    }
    Ok(())
}

fn standardised(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let inverse = (centred.sqr()?.mean_keepdim(D::Minus1)? + EPS)?.sqrt()?.recip()?;
    Ok((centred.broadcast_mul(&inverse)?, inverse))
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_forward(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    standardised(x)?.0.broadcast_mul(weight)?.broadcast_add(bias)
}

/// [`backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_backward(
    x: &Tensor,
    weight: &Tensor,
    dy: &Tensor,
    residual: Option<&Tensor>,
) -> Result<LayerNormGradients> {
    let (unit, inverse) = standardised(x)?;
    let width = x.dim(D::Minus1)?;
    let scaled = dy.broadcast_mul(weight)?;
    let mean = scaled.mean_keepdim(D::Minus1)?;
    let along = scaled.mul(&unit)?.mean_keepdim(D::Minus1)?;
    let dx = scaled.broadcast_sub(&mean)?.sub(&unit.broadcast_mul(&along)?)?.broadcast_mul(&inverse)?;
    let dx = if let Some(residual) = residual { (dx + residual)? } else { dx };
    let dweight = dy.mul(&unit)?.reshape(((), width))?.sum(0)?;
    Ok(LayerNormGradients { dx, dweight, dbias: dy.reshape(((), width))?.sum(0)? })
}

/// Mean and inverse standard deviation of a row.
#[inline(always)]
fn statistics(row: &[f32]) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum([row], |[x]| x) / n;
    let variance = sum([row], |[x]| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (variance + EPS as f32).sqrt())
}

#[inline(always)]
fn normalise_body<const FMA: bool>(from: &[f32], gain: &[f32], offset: &[f32], to: &mut [MaybeUninit<f32>]) {
    let width = gain.len();
    for (to, row) in to.chunks_exact_mut(width).zip(from.chunks_exact(width)) {
        let (mean, inverse) = statistics(row);
        for (((y, x), g), b) in to.iter_mut().zip(row).zip(gain).zip(offset) {
            y.write(fma::<FMA>((x - mean) * inverse, *g, *b));
        }
    }
}

/// Writes the input's gradient, plus `bypass` where that is not empty, to `dx`; `sums` takes the gradients of gain and
/// bias, one after the other.
#[inline(always)]
fn pull_back_body<const FMA: bool>(
    [at, gradient, bypass]: [&[f32]; 3],
    gain: &[f32],
    dx: &mut [MaybeUninit<f32>],
    sums: &mut [f32],
) {
    let width = gain.len();
    let (dgain, dbias) = sums.split_at_mut(width);
    let rows = at.chunks_exact(width).zip(gradient.chunks_exact(width)).enumerate();
    for (dx, (i, (row, dy))) in dx.chunks_exact_mut(width).zip(rows) {
        let (mean, inverse) = statistics(row);
        let average = sum([dy, gain], |[dy, gain]| dy * gain) / width as f32;
        let along = sum([dy, gain, row], |[dy, gain, x]| dy * gain * (x - mean)) * inverse / width as f32;
        let slope = |x: f32, dy: f32, gain: f32| {
            let inner = fma::<FMA>(-(x - mean) * inverse, along, fma::<FMA>(dy, gain, -average));
            inner * inverse
        };
        for ((dgain, dbias), (x, dy)) in dgain.iter_mut().zip(dbias.iter_mut()).zip(row.iter().zip(dy)) {
            *dgain = fma::<FMA>(*dy, (x - mean) * inverse, *dgain);
            *dbias += dy;
        }
        let inputs = row.iter().zip(dy).zip(gain);
        if bypass.is_empty() {
            for (dx, ((x, dy), gain)) in dx.iter_mut().zip(inputs) {
                dx.write(slope(*x, *dy, *gain));
            }
        } else {
            let bypass = &bypass[i * width..(i + 1) * width];
            for ((dx, ((x, dy), gain)), bypass) in dx.iter_mut().zip(inputs).zip(bypass) {
                dx.write(slope(*x, *dy, *gain) + bypass);
            }
        }
    }
}

multiversion! { fn normalise(from: &[f32], gain: &[f32], offset: &[f32], to: &mut [MaybeUninit<f32>]) = normalise_body }
multiversion! {
    fn pull_back(inputs: [&[f32]; 3], gain: &[f32], dx: &mut [MaybeUninit<f32>], sums: &mut [f32]) = pull_back_body
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use super::{backward, composed_backward, composed_forward, forward};
    use crate::kernel::{assert_close, fixed};

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for (rows, width) in [(1, 1), (3, 17), (300, 48)] {
            let (x, dy) = ((fixed(&[rows, width], 1) + 0.3)?, fixed(&[rows, width], 2));
            let residual = fixed(&[rows, width], 3);
            let (weight, bias) = (fixed(&[width], 4), fixed(&[width], 5));
            assert_close(&forward(&x, &weight, &bias)?, &composed_forward(&x, &weight, &bias)?, 1e-5);
            let got = backward(&x, &weight, &dy, Some(&residual))?;
            let expected = composed_backward(&x, &weight, &dy, Some(&residual))?;
            assert_close(&got.dx, &expected.dx, 2e-5);
            assert_close(&got.dweight, &expected.dweight, 2e-4);
            assert_close(&got.dbias, &expected.dbias, 2e-4);
        }
        Ok(())
    }
}
