//! Convolutions over pictures `[B, H, W, C]`: matrix products with patches that are gathered task by task, so that they
//! never lie in memory as a whole. Weights are `[out, in, k, k]`, as PyTorch has them.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::gemm::{K_BLOCK, Matrix, Size, add_up, multiply_packed, pack_all, packed_block};
use super::host::{HostSlice, on_host, tensor, written};
use super::matmul;
use super::narrow::{following, narrow_on_host, wide};
use super::patches::{Pictures, Window};
use super::tile::{self, Start};

/// Tasks that a convolution is split into where it is large enough.
const TASKS: usize = 16;
/// Most pixels of a task: their patches of one block of terms stay in the second-level cache.
const MOST_PIXELS: usize = 192;
/// Fewest pixels that are worth a sum of their own in the gradient of weights.
const PART: usize = 768;
/// Panels of columns that one task of the gradient of weights computes.
const PANELS: usize = 4;

/// `x` `[B, H, W, in]` with `weight` `[out, in, k, k]`: `[B, H', W', out]`.
///
/// # Errors
/// When shapes do not fit, or from candle.
pub fn forward(x: &Tensor, weight: &Tensor, window: Window) -> Result<Tensor> {
    let (outputs, inputs, _, _) = weight.dims4()?;
    let pictures = Pictures::of(x, inputs, window)?;
    if let Some(narrow) = narrow_on_host(x) {
        return forward(&wide(x)?, weight, window)?.to_dtype(narrow);
    }
    if !on_host(&[x, weight]) {
        return composed_forward(x, &following(weight, x)?, window);
    }
    if window.is_point() {
        return matmul::by_transposed(x, &weight.reshape((outputs, inputs))?, None);
    }
    let matrix = by_rows_of_terms(weight, Direction::Forward)?;
    convolve(x, &matrix, pictures, outputs)
}

/// The input's gradient `[B, H, W, in]` from that of the output, `[B, H', W', out]`, of a window of stride 1.
///
/// # Errors
/// When shapes do not fit, for another stride, or from candle.
pub fn input_gradient(dy: &Tensor, weight: &Tensor, window: Window) -> Result<Tensor> {
    let (outputs, inputs, _, _) = weight.dims4()?;
    let turned = window.turned()?;
    let pictures = Pictures::of(dy, outputs, turned)?;
    if let Some(narrow) = narrow_on_host(dy) {
        return input_gradient(&wide(dy)?, weight, window)?.to_dtype(narrow);
    }
    if !on_host(&[dy, weight]) {
        return composed_input_gradient(dy, &following(weight, dy)?, window);
    }
    if window.is_point() {
        return matmul::plain(dy, &weight.reshape((outputs, inputs))?);
    }
    let matrix = by_rows_of_terms(weight, Direction::Backward)?;
    convolve(dy, &matrix, pictures, inputs)
}

/// The weight's gradient `[out, in, k, k]` from the input and the output's gradient.
///
/// # Errors
/// When shapes do not fit, or from candle.
pub fn weight_gradient(x: &Tensor, dy: &Tensor, window: Window) -> Result<Tensor> {
    let (inputs, outputs) = (x.dim(3)?, dy.dim(3)?);
    let pictures = Pictures::of(x, inputs, window)?;
    if dy.dims() != [pictures.batch, pictures.out_height(), pictures.out_width(), outputs] {
        candle_core::bail!("convolution: gradient has shape {:?}, input {:?}", dy.dims(), x.dims());
    }
    let side = window.kernel;
    if narrow_on_host(x).is_some() {
        return weight_gradient(&wide(x)?, &wide(dy)?, window);
    }
    if !on_host(&[x, dy]) {
        return composed_weight_gradient(x, dy, window);
    }
    if window.is_point() {
        return matmul::transposed_by(dy, x)?.reshape((outputs, inputs, side, side));
    }
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    let values = {
        let (from, gradient) = (HostSlice::of(&x)?, HostSlice::of(&dy)?);
        gather_gradient(&from, &gradient, pictures, outputs)
    };
    tensor(values, (outputs, inputs, side, side))
}

/// Which way a weight is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// Terms are (tap, input), columns outputs.
    Forward,
    /// Terms are (tap turned by 180 degrees, output), columns inputs.
    Backward,
}

/// A weight `[out, in, k, k]` as a matrix `[terms, columns]`.
fn by_rows_of_terms(weight: &Tensor, direction: Direction) -> Result<Vec<f32>> {
    let (outputs, inputs, side, _) = weight.dims4()?;
    let weight = weight.contiguous()?;
    let from = HostSlice::of(&weight)?;
    let from: &[f32] = &from;
    let taps = side * side;
    let (channels, columns) = match direction {
        Direction::Forward => (inputs, outputs),
        Direction::Backward => (outputs, inputs),
    };
    let mut matrix = vec![0f32; from.len()];
    matrix.par_chunks_mut((channels * columns).max(1)).enumerate().for_each(|(tap, rows)| {
        for (channel, row) in rows.chunks_exact_mut(columns).enumerate() {
            let (start, step) = match direction {
                Direction::Forward => (channel * taps + tap, inputs * taps),
                Direction::Backward => (channel * inputs * taps + taps - 1 - tap, taps),
            };
            for (value, from) in row.iter_mut().zip(from[start..].iter().step_by(step)) {
                *value = *from;
            }
        }
    });
    Ok(matrix)
}

/// Patches of `x` times `matrix` `[terms, columns]`.
#[allow(unsafe_code)]
fn convolve(x: &Tensor, matrix: &[f32], pictures: Pictures, columns: usize) -> Result<Tensor> {
    let (pixels, terms) = (pictures.pixels(), pictures.terms());
    let packed = pack_all(Matrix::row_major(matrix, columns), Size { m: pixels, n: columns, k: terms });
    let x = x.contiguous()?;
    let values = {
        let from = HostSlice::of(&x)?;
        let from: &[f32] = &from;
        let block = tile::block_rows();
        let rows = (pixels / TASKS).clamp(block, MOST_PIXELS).next_multiple_of(block);
        let task = |scratch: &mut Vec<f32>, (index, to): (usize, &mut [MaybeUninit<f32>])| {
            convolve_rows(from, &pictures, &packed, columns, index * rows, to, scratch);
        };
        // SAFETY: the tasks cover all pixels, and the first block of terms of each sets every column of its pixels.
        unsafe {
            written(pixels * columns, |to| {
                let tasks = to.par_chunks_mut((rows * columns).max(1)).enumerate();
                tasks.for_each_init(|| vec![0f32; rows * K_BLOCK.min(terms)], task);
            })
        }
    };
    tensor(values, (pictures.batch, pictures.out_height(), pictures.out_width(), columns))
}

/// The pixels from `first` on that `to` holds.
fn convolve_rows(
    from: &[f32],
    pictures: &Pictures,
    packed: &[f32],
    columns: usize,
    first: usize,
    to: &mut [MaybeUninit<f32>],
    scratch: &mut [f32],
) {
    let (rows, terms) = (to.len() / columns, pictures.terms());
    for start in (0..terms).step_by(K_BLOCK) {
        let steps = K_BLOCK.min(terms - start);
        let gathered = &mut scratch[..rows * steps];
        pictures.gather(from, first, start..start + steps, gathered);
        let size = Size { m: rows, n: columns, k: steps };
        let begin = if start == 0 { Start::Zero } else { Start::Result };
        let block = &packed[packed_block(columns, start)..];
        multiply_packed(Matrix::row_major(gathered, steps), block, &mut *to, columns, size, begin);
    }
}

/// The gradient of weights, split over columns (taps and inputs) and, where those are few, over parts of the pixels.
fn gather_gradient(from: &[f32], gradient: &[f32], pictures: Pictures, outputs: usize) -> Vec<f32> {
    let (pixels, terms) = (pictures.pixels(), pictures.terms());
    let width = PANELS * tile::panel_width();
    let groups = terms.div_ceil(width);
    let parts = (TASKS.div_ceil(groups)).min(pixels / PART).max(1);
    let part = pixels.div_ceil(parts).max(1);
    let one = |task: usize| {
        let (first, column) = (task / groups * part, task % groups * width);
        let columns = column..terms.min(column + width);
        gradient_of_columns(from, gradient, &pictures, outputs, first..pixels.min(first + part), columns)
    };
    let results: Vec<Vec<f32>> = (0..parts * groups).into_par_iter().map(one).collect();
    let mut by_group: Vec<Vec<Vec<f32>>> = (0..groups).map(|_| Vec::with_capacity(parts)).collect();
    for (task, result) in results.into_iter().enumerate() {
        by_group[task % groups].push(result);
    }
    let summed: Vec<Vec<f32>> = by_group.into_iter().map(add_up).collect();
    by_taps_last(&summed, width, &pictures, outputs)
}

/// `[outputs, columns]`: the output's gradient of some pixels, transposed, times columns of their patches.
fn gradient_of_columns(
    from: &[f32],
    gradient: &[f32],
    pictures: &Pictures,
    outputs: usize,
    pixels: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<f32> {
    let count = columns.len();
    let mut result = vec![0f32; outputs * count];
    let mut packed = vec![0f32; packed_block(count, K_BLOCK)];
    for first in pixels.clone().step_by(K_BLOCK) {
        let steps = K_BLOCK.min(pixels.end - first);
        let packed = &mut packed[..packed_block(count, steps)];
        pictures.gather_packed(from, first, columns.clone(), packed);
        let dy = Matrix::row_major(&gradient[first * outputs..(first + steps) * outputs], outputs).transposed();
        let size = Size { m: outputs, n: count, k: steps };
        multiply_packed(dy, packed, result.as_mut_slice(), count, size, Start::Result);
    }
    result
}

/// Groups of columns (tap, input) put together as `[outputs, inputs, taps]`.
fn by_taps_last(groups: &[Vec<f32>], width: usize, pictures: &Pictures, outputs: usize) -> Vec<f32> {
    let (terms, channels) = (pictures.terms(), pictures.channels);
    let taps = terms / channels.max(1);
    let mut to = vec![0f32; outputs * terms];
    to.par_chunks_mut(terms.max(1)).enumerate().for_each(|(output, row)| {
        for (index, group) in groups.iter().enumerate() {
            let count = width.min(terms - index * width);
            for (i, value) in group[output * count..(output + 1) * count].iter().enumerate() {
                let term = index * width + i;
                row[term % channels * taps + term / channels] = *value;
            }
        }
    });
    to
}

fn planes(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}

fn pixels_first(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 2, 3, 1))?.contiguous()
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_forward(x: &Tensor, weight: &Tensor, window: Window) -> Result<Tensor> {
    pixels_first(&planes(x)?.conv2d(weight, window.padding, window.stride, 1, 1)?)
}

/// [`input_gradient`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_input_gradient(dy: &Tensor, weight: &Tensor, window: Window) -> Result<Tensor> {
    let side = window.kernel as u32;
    let backwards = Tensor::from_iter((0..side).rev(), weight.device())?;
    let turned = weight.index_select(&backwards, 2)?.index_select(&backwards, 3)?.transpose(0, 1)?.contiguous()?;
    pixels_first(&planes(dy)?.conv2d(&turned, window.turned()?.padding, 1, 1, 1)?)
}

/// [`weight_gradient`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_weight_gradient(x: &Tensor, dy: &Tensor, window: Window) -> Result<Tensor> {
    let x = planes(x)?.transpose(0, 1)?.contiguous()?;
    let kernel = planes(dy)?.transpose(0, 1)?.contiguous()?;
    // Taps are one pixel apart in the input, output pixels `stride`: a convolution dilated by the stride.
    let gradient = x.conv2d(&kernel, window.padding, 1, window.stride, 1)?.transpose(0, 1)?;
    gradient.narrow(2, 0, window.kernel)?.narrow(3, 0, window.kernel)?.contiguous()
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use super::super::patches::Window;
    use super::*;
    use crate::kernel::{assert_close, fixed};

    const WINDOWS: [Window; 4] = [
        Window { kernel: 3, stride: 1, padding: 1 },
        Window { kernel: 3, stride: 2, padding: 1 },
        Window { kernel: 1, stride: 1, padding: 0 },
        Window { kernel: 2, stride: 1, padding: 0 },
    ];

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for window in WINDOWS {
            for (batch, height, width, inputs, outputs) in [(1, 3, 4, 1, 1), (2, 9, 7, 3, 5), (3, 18, 16, 40, 33)] {
                let x = fixed(&[batch, height, width, inputs], 1);
                let weight = fixed(&[outputs, inputs, window.kernel, window.kernel], 2);
                let y = forward(&x, &weight, window)?;
                assert_close(&y, &composed_forward(&x, &weight, window)?, 1e-4);
                let dy = fixed(y.dims(), 3);
                let got = weight_gradient(&x, &dy, window)?;
                assert_close(&got, &composed_weight_gradient(&x, &dy, window)?, 1e-3);
                if window.stride == 1 {
                    let got = input_gradient(&dy, &weight, window)?;
                    assert_close(&got, &composed_input_gradient(&dy, &weight, window)?, 1e-4);
                    assert_eq!(got.dims(), x.dims());
                }
            }
        }
        Ok(())
    }

    #[test]
    fn gradients_are_adjoint_to_the_convolution() -> Result<()> {
        let window = WINDOWS[0];
        let (x, weight) = (fixed(&[2, 5, 6, 4], 1), fixed(&[7, 4, 3, 3], 2));
        let y = forward(&x, &weight, window)?;
        let dy = fixed(y.dims(), 3);
        let inner = |a: &Tensor, b: &Tensor| a.mul(b)?.sum_all()?.to_scalar::<f32>();
        let expected = inner(&y, &dy)?;
        let by_input = inner(&x, &input_gradient(&dy, &weight, window)?)?;
        let by_weight = inner(&weight, &weight_gradient(&x, &dy, window)?)?;
        assert!((by_input - expected).abs() < 1e-3 && (by_weight - expected).abs() < 1e-3);
        Ok(())
    }

    #[test]
    fn gradient_of_a_strided_input_is_refused() {
        let (dy, weight) = (fixed(&[1, 2, 2, 1], 1), fixed(&[1, 1, 3, 3], 2));
        let message = input_gradient(&dy, &weight, WINDOWS[1]).unwrap_err().to_string();
        assert!(message.contains("stride 1"), "{message}");
    }
}
