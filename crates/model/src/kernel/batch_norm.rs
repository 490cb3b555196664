//! Batch normalisation over all pixels, channel by channel (the last dimension), with what usually follows it: the sum with
//! a residual, and rectification.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host, tensor, written};
use super::isa::multiversion;
use super::lanes::fma;
use super::narrow::{narrow_on_host, wide, wide_option};

/// Added to the variance.
pub const EPS: f64 = 1e-5;
/// Values that one task handles: they stay in the second-level cache between two passes.
const TASK: usize = 32 * 1024;
/// Rows that are summed in `f32` before the sum goes to `f64`: batch norm amplifies what long sums lose.
const BLOCK: usize = 32;

/// Mean and biased variance of every channel, `[C]` each.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Mean.
    pub mean: Tensor,
    /// Mean square of the distance from the mean.
    pub variance: Tensor,
}

/// What happens behind a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// Values below zero become zero.
    Rectify,
}

/// Sums that the gradients are made of, `[C]` each.
#[derive(Clone, Debug)]
pub struct Sums {
    /// Of the gradient: the bias's gradient.
    pub dbias: Tensor,
    /// Of the gradient times the standardised input: the gain's gradient.
    pub dweight: Tensor,
}

/// Statistics of `[.., C]`.
///
/// # Errors
/// From candle.
pub fn statistics(x: &Tensor) -> Result<Statistics> {
    if narrow_on_host(x).is_some() {
        return statistics(&wide(x)?);
    }
    if !on_host(&[x]) {
        return composed_statistics(x);
    }
    let (rows, width) = rows_and_width(x)?;
    let x = x.contiguous()?;
    let values = HostSlice::of(&x)?;
    let chunk = chunk(width);
    let parts: Vec<(f64, Vec<f64>)> = values
        .par_chunks(chunk)
        .map(|rows| {
            let mut sums = vec![0f64; 2 * width];
            moments(rows, &mut sums);
            ((rows.len() / width) as f64, sums)
        })
        .collect();
    // Parts of unequal means are put together exactly: squares around the common mean.
    let mut mean = vec![0f64; width];
    for (_, sums) in &parts {
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum / rows as f64);
    }
    let mut variance = vec![0f64; width];
    for (count, sums) in &parts {
        for (channel, variance) in variance.iter_mut().enumerate() {
            let apart = sums[channel] / count - mean[channel];
            *variance += (sums[width + channel] + count * apart * apart) / rows as f64;
        }
    }
    let narrow = |values: Vec<f64>| tensor(values.into_iter().map(|value| value as f32).collect(), width);
    Ok(Statistics { mean: narrow(mean)?, variance: narrow(variance)? })
}

fn rows_and_width(x: &Tensor) -> Result<(usize, usize)> {
    match x.dims() {
        [leading @ .., width] if *width > 0 && x.elem_count() > 0 => Ok((leading.iter().product(), *width)),
        dims => candle_core::bail!("batch norm: no pixels in {dims:?}"),
    }
}

fn chunk(width: usize) -> usize {
    (TASK / width).max(1) * width
}

/// `1 / sqrt(variance + eps)`.
///
/// # Errors
/// From candle.
pub fn inverse_deviation(variance: &Tensor) -> Result<Tensor> {
    (variance + EPS)?.sqrt()?.recip()
}

/// `x · scale + shift` for every channel of `[.., C]`, plus `residual` of the same shape, rectified where that is asked for.
///
/// # Errors
/// When shapes differ, or from candle.
#[allow(unsafe_code)]
pub fn apply(x: &Tensor, scale: &Tensor, shift: &Tensor, residual: Option<&Tensor>, after: After) -> Result<Tensor> {
    let (_, width) = rows_and_width(x)?;
    if scale.dims() != [width] || shift.dims() != [width] || residual.is_some_and(|r| r.dims() != x.dims()) {
        candle_core::bail!("batch norm: {:?} does not fit {:?}", scale.dims(), x.dims());
    }
    if let Some(narrow) = narrow_on_host(x) {
        let residual = wide_option(residual)?;
        return apply(&wide(x)?, scale, shift, residual.as_ref(), after)?.to_dtype(narrow);
    }
    if !on_host(&[x, scale, shift]) {
        return composed_apply(x, scale, shift, residual, after);
    }
    let x = x.contiguous()?;
    let added = residual.map(Tensor::contiguous).transpose()?;
    let values = {
        let (from, scale, shift) = (HostSlice::of(&x)?, HostSlice::of(scale)?, HostSlice::of(shift)?);
        let added = added.as_ref().map(HostSlice::of).transpose()?;
        let (scale, shift): (&[f32], &[f32]) = (&scale, &shift);
        let added: &[f32] = added.as_deref().unwrap_or_default();
        let chunk = chunk(width);
        let least = if after == After::Rectify { 0.0 } else { f32::NEG_INFINITY };
        // SAFETY: the loop sets a value for each one it reads, as all slices hold whole rows.
        unsafe {
            written(from.len(), |to| {
                to.par_chunks_mut(chunk).zip(from.par_chunks(chunk)).enumerate().for_each(|(i, (to, from))| {
                    let added = added.get(i * chunk..i * chunk + from.len()).unwrap_or_default();
                    scale_and_shift([from, added], [scale, shift], least, to);
                });
            })
        }
    };
    tensor(values, x.shape())
}

/// `dy` where the output `y` of a rectification is above zero, else zero.
///
/// # Errors
/// When shapes differ, or from candle.
#[allow(unsafe_code)]
pub fn rectify_backward(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    if y.dims() != dy.dims() {
        candle_core::bail!("rectification: gradient has shape {:?}, output {:?}", dy.dims(), y.dims());
    }
    if let Some(narrow) = narrow_on_host(y) {
        return rectify_backward(&wide(y)?, &wide(dy)?)?.to_dtype(narrow);
    }
    if !on_host(&[y, dy]) {
        return composed_rectify_backward(y, dy);
    }
    let (y, dy) = (y.contiguous()?, dy.contiguous()?);
    let values = {
        let (y, dy) = (HostSlice::of(&y)?, HostSlice::of(&dy)?);
        let inputs = y.par_chunks(TASK).zip(dy.par_chunks(TASK));
        // SAFETY: the loop sets a value for each pair it reads.
        unsafe {
            written(y.len(), |to| to.par_chunks_mut(TASK).zip(inputs).for_each(|(to, (y, dy))| masked(y, dy, to)))
        }
    };
    tensor(values, y.shape())
}

/// Sums of the gradient `dy` of the normalised `x`, both `[.., C]`; `mean` and `inverse` are those it was normalised with.
///
/// # Errors
/// When shapes differ, or from candle.
pub fn sums(x: &Tensor, dy: &Tensor, mean: &Tensor, inverse: &Tensor) -> Result<Sums> {
    let (_, width) = rows_and_width(x)?;
    if x.dims() != dy.dims() || mean.dims() != [width] || inverse.dims() != [width] {
        candle_core::bail!("batch norm: gradient has shape {:?}, input {:?}", dy.dims(), x.dims());
    }
    if narrow_on_host(x).is_some() {
        return sums(&wide(x)?, &wide(dy)?, mean, inverse);
    }
    if !on_host(&[x, dy, mean, inverse]) {
        return composed_sums(x, dy, mean, inverse);
    }
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    let (at, gradient) = (HostSlice::of(&x)?, HostSlice::of(&dy)?);
    let (mean, inverse) = (HostSlice::of(mean)?, HostSlice::of(inverse)?);
    let (mean, inverse): (&[f32], &[f32]) = (&mean, &inverse);
    let chunk = chunk(width);
    let parts: Vec<Vec<f64>> = at
        .par_chunks(chunk)
        .zip(gradient.par_chunks(chunk))
        .map(|(at, gradient)| {
            let mut sums = vec![0f64; 2 * width];
            gradient_sums([at, gradient], mean, &mut sums);
            sums
        })
        .collect();
    let mut total = vec![0f64; 2 * width];
    for part in &parts {
        total.iter_mut().zip(part).for_each(|(total, value)| *total += value);
    }
    let dbias = total[..width].iter().map(|value| *value as f32).collect();
    let dweight = total[width..].iter().zip(inverse).map(|(sum, inverse)| (sum * f64::from(*inverse)) as f32).collect();
    Ok(Sums { dbias: tensor(dbias, width)?, dweight: tensor(dweight, width)? })
}

/// `dy · a + x · b + c` with a factor for each channel: the input's gradient of a normalisation by the batch's statistics.
///
/// # Errors
/// When shapes differ, or from candle.
#[allow(unsafe_code)]
pub fn combine(dy: &Tensor, x: &Tensor, [a, b, c]: [&Tensor; 3]) -> Result<Tensor> {
    if let Some(narrow) = narrow_on_host(x) {
        return combine(&wide(dy)?, &wide(x)?, [a, b, c])?.to_dtype(narrow);
    }
    if !on_host(&[dy, x, a, b, c]) {
        let sum = wide(dy)?.broadcast_mul(a)?.add(&wide(x)?.broadcast_mul(b)?)?.broadcast_add(c)?;
        return sum.to_dtype(x.dtype());
    }
    let (_, width) = rows_and_width(x)?;
    if dy.dims() != x.dims() || [a, b, c].iter().any(|factor| factor.dims() != [width]) {
        candle_core::bail!("batch norm: gradient has shape {:?}, input {:?}", dy.dims(), x.dims());
    }
    let (dy, x) = (dy.contiguous()?, x.contiguous()?);
    let values = {
        let (gradient, at) = (HostSlice::of(&dy)?, HostSlice::of(&x)?);
        let (a, b, c) = (HostSlice::of(a)?, HostSlice::of(b)?, HostSlice::of(c)?);
        let factors: [&[f32]; 3] = [&a, &b, &c];
        let chunk = chunk(width);
        let inputs = gradient.par_chunks(chunk).zip(at.par_chunks(chunk));
        // SAFETY: the loop sets a value for each pair it reads, as all slices hold whole rows.
        unsafe {
            written(at.len(), |to| {
                let tasks = to.par_chunks_mut(chunk).zip(inputs);
                tasks.for_each(|(to, (gradient, at))| weighted_sum([gradient, at], factors, to));
            })
        }
    };
    tensor(values, x.shape())
}

/// [`statistics`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_statistics(x: &Tensor) -> Result<Statistics> {
    let (rows, width) = rows_and_width(x)?;
    let x = wide(x)?.reshape((rows, width))?;
    let mean = x.mean(0)?;
    let variance = x.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    Ok(Statistics { mean, variance })
}

/// [`apply`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_apply(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    residual: Option<&Tensor>,
    after: After,
) -> Result<Tensor> {
    let y = wide(x)?.broadcast_mul(scale)?.broadcast_add(shift)?;
    let y = residual.map_or_else(|| Ok(y.clone()), |residual| y.add(&wide(residual)?))?;
    let y = if after == After::Rectify { y.relu()? } else { y };
    y.to_dtype(x.dtype())
}

/// [`rectify_backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_rectify_backward(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    y.gt(0f64)?.to_dtype(dy.dtype())?.mul(dy)
}

/// [`sums`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_sums(x: &Tensor, dy: &Tensor, mean: &Tensor, inverse: &Tensor) -> Result<Sums> {
    let (rows, width) = rows_and_width(x)?;
    let dy = wide(dy)?.reshape((rows, width))?;
    let unit = wide(x)?.reshape((rows, width))?.broadcast_sub(mean)?.broadcast_mul(inverse)?;
    Ok(Sums { dbias: dy.sum(0)?, dweight: dy.mul(&unit)?.sum(0)? })
}

/// Sums of the rows, and behind them sums of squares around the rows' own mean.
#[inline(always)]
fn moments_body<const FMA: bool>(rows: &[f32], sums: &mut [f64]) {
    let width = sums.len() / 2;
    let (total, squares) = sums.split_at_mut(width);
    let mut partial = vec![0f32; width];
    for block in rows.chunks(BLOCK * width) {
        for row in block.chunks_exact(width) {
            partial.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        widen(&mut partial, total);
    }
    let share = width as f64 / rows.len() as f64;
    let mean: Vec<f32> = total.iter().map(|sum| (sum * share) as f32).collect();
    for block in rows.chunks(BLOCK * width) {
        for row in block.chunks_exact(width) {
            for ((square, value), mean) in partial.iter_mut().zip(row).zip(&mean) {
                let apart = value - mean;
                *square = fma::<FMA>(apart, apart, *square);
            }
        }
        widen(&mut partial, squares);
    }
}

/// Adds partial sums to the totals and starts them anew.
#[inline(always)]
fn widen(partial: &mut [f32], totals: &mut [f64]) {
    for (partial, total) in partial.iter_mut().zip(totals) {
        *total += f64::from(std::mem::take(partial));
    }
}

#[inline(always)]
fn scale_and_shift_body<const FMA: bool>(
    [from, added]: [&[f32]; 2],
    [scale, shift]: [&[f32]; 2],
    least: f32,
    to: &mut [MaybeUninit<f32>],
) {
    let width = scale.len();
    let rows = to.chunks_exact_mut(width).zip(from.chunks_exact(width));
    if added.is_empty() {
        for (to, row) in rows {
            for (((y, x), a), b) in to.iter_mut().zip(row).zip(scale).zip(shift) {
                let value = fma::<FMA>(*x, *a, *b);
                y.write(if value < least { least } else { value });
            }
        }
    } else {
        for ((to, row), added) in rows.zip(added.chunks_exact(width)) {
            for ((((y, x), a), b), r) in to.iter_mut().zip(row).zip(scale).zip(shift).zip(added) {
                let value = fma::<FMA>(*x, *a, *b) + r;
                y.write(if value < least { least } else { value });
            }
        }
    }
}

#[inline(always)]
fn masked_body<const FMA: bool>(y: &[f32], dy: &[f32], to: &mut [MaybeUninit<f32>]) {
    for ((to, y), dy) in to.iter_mut().zip(y).zip(dy) {
        to.write(if *y > 0.0 { *dy } else { 0.0 });
    }
}

/// Sums of the gradient, and behind them of the gradient times the distance from the mean.
#[inline(always)]
fn gradient_sums_body<const FMA: bool>([at, gradient]: [&[f32]; 2], mean: &[f32], sums: &mut [f64]) {
    let width = mean.len();
    let mut partial = vec![0f32; 2 * width];
    for (at, gradient) in at.chunks(BLOCK * width).zip(gradient.chunks(BLOCK * width)) {
        let (plain, along) = partial.split_at_mut(width);
        for (row, dy) in at.chunks_exact(width).zip(gradient.chunks_exact(width)) {
            for ((((plain, along), x), dy), mean) in plain.iter_mut().zip(along.iter_mut()).zip(row).zip(dy).zip(mean) {
                *plain += dy;
                *along = fma::<FMA>(*dy, x - mean, *along);
            }
        }
        widen(&mut partial, sums);
    }
}

#[inline(always)]
fn weighted_sum_body<const FMA: bool>(
    [gradient, at]: [&[f32]; 2],
    [a, b, c]: [&[f32]; 3],
    to: &mut [MaybeUninit<f32>],
) {
    let width = a.len();
    for ((to, dy), row) in to.chunks_exact_mut(width).zip(gradient.chunks_exact(width)).zip(at.chunks_exact(width)) {
        for (((((to, dy), x), a), b), c) in to.iter_mut().zip(dy).zip(row).zip(a).zip(b).zip(c) {
            to.write(fma::<FMA>(*dy, *a, fma::<FMA>(*x, *b, *c)));
        }
    }
}

multiversion! { fn moments(rows: &[f32], sums: &mut [f64]) = moments_body }
multiversion! {
    fn scale_and_shift(from: [&[f32]; 2], factors: [&[f32]; 2], least: f32, to: &mut [MaybeUninit<f32>]) = scale_and_shift_body
}
multiversion! { fn masked(y: &[f32], dy: &[f32], to: &mut [MaybeUninit<f32>]) = masked_body }
multiversion! { fn gradient_sums(inputs: [&[f32]; 2], mean: &[f32], sums: &mut [f64]) = gradient_sums_body }
multiversion! {
    fn weighted_sum(inputs: [&[f32]; 2], factors: [&[f32]; 3], to: &mut [MaybeUninit<f32>]) = weighted_sum_body
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use super::*;
    use crate::kernel::{assert_close, fixed};

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for dims in [&[1usize, 1] as &[usize], &[2, 3, 2, 5], &[40, 33], &[3000, 24]] {
            let width = dims[dims.len() - 1];
            let (x, dy, residual) = ((fixed(dims, 1) + 3.0)?, fixed(dims, 2), fixed(dims, 3));
            let (got, expected) = (statistics(&x)?, composed_statistics(&x)?);
            assert_close(&got.mean, &expected.mean, 1e-5);
            assert_close(&got.variance, &expected.variance, 1e-5);
            let (scale, shift) = (fixed(&[width], 4), fixed(&[width], 5));
            for (residual, after) in [(None, After::Nothing), (Some(&residual), After::Rectify), (None, After::Rectify)]
            {
                let expected = composed_apply(&x, &scale, &shift, residual, after)?;
                assert_close(&apply(&x, &scale, &shift, residual, after)?, &expected, 1e-5);
            }
            assert_close(&rectify_backward(&dy, &x)?, &composed_rectify_backward(&dy, &x)?, 0.0);
            let inverse = inverse_deviation(&got.variance)?;
            let (got, expected) =
                (sums(&x, &dy, &expected.mean, &inverse)?, composed_sums(&x, &dy, &expected.mean, &inverse)?);
            assert_close(&got.dbias, &expected.dbias, 1e-4);
            assert_close(&got.dweight, &expected.dweight, 1e-3);
            let composed = dy.broadcast_mul(&scale)?.add(&x.broadcast_mul(&shift)?)?.broadcast_add(&scale)?;
            assert_close(&combine(&dy, &x, [&scale, &shift, &scale])?, &composed, 1e-5);
        }
        Ok(())
    }

    #[test]
    fn no_pixels_are_refused() {
        assert!(statistics(&fixed(&[0, 4], 1)).unwrap_err().to_string().contains("no pixels"));
    }
}
