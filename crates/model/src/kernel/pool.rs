//! Means over squares of pixels of pictures `[B, H, W, C]`, and the spread of their gradient.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host, tensor};
use super::narrow::{narrow_on_host, wide};

/// Sizes of pictures and of the squares they are cut into.
#[derive(Clone, Copy)]
struct Squares {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    side: usize,
}

impl Squares {
    fn of(dims: (usize, usize, usize, usize), side: usize) -> Result<Self> {
        let (batch, height, width, channels) = dims;
        if side == 0 || height < side || width < side || channels == 0 {
            candle_core::bail!("mean over squares of {side}: pictures are only {height} x {width} x {channels}");
        }
        Ok(Self { batch, height, width, channels, side })
    }

    /// Rows and columns of the output; what is left over at the edges is not read.
    fn out(&self) -> (usize, usize) {
        (self.height / self.side, self.width / self.side)
    }
}

/// Means over squares of `side`: `[B, H, W, C]` to `[B, H / side, W / side, C]`, remainders left out.
///
/// # Errors
/// When no square fits in, or from candle.
pub fn forward(x: &Tensor, side: usize) -> Result<Tensor> {
    let squares = Squares::of(x.dims4()?, side)?;
    if let Some(narrow) = narrow_on_host(x) {
        return forward(&wide(x)?, side)?.to_dtype(narrow);
    }
    if !on_host(&[x]) {
        return composed_forward(x, side);
    }
    let x = x.contiguous()?;
    let (rows, cols) = squares.out();
    let line = squares.width * squares.channels;
    let values = {
        let from = HostSlice::of(&x)?;
        let from: &[f32] = &from;
        let mut to = vec![0f32; squares.batch * rows * cols * squares.channels];
        to.par_chunks_mut(cols * squares.channels).enumerate().for_each(|(row, to)| {
            let first = (row / rows * squares.height + row % rows * side) * line;
            for lines in from[first..].chunks_exact(line).take(side) {
                for (to, square) in to.chunks_exact_mut(squares.channels).zip(lines.chunks(side * squares.channels)) {
                    for pixel in square.chunks_exact(squares.channels) {
                        to.iter_mut().zip(pixel).for_each(|(to, value)| *to += value);
                    }
                }
            }
            let share = 1.0 / (side * side) as f32;
            to.iter_mut().for_each(|value| *value *= share);
        });
        to
    };
    tensor(values, (squares.batch, rows, cols, squares.channels))
}

/// The input's gradient `[B, height, width, C]` from that of the means.
///
/// # Errors
/// When shapes differ, or from candle.
pub fn backward(dy: &Tensor, side: usize, height: usize, width: usize) -> Result<Tensor> {
    let (batch, got_rows, got_cols, channels) = dy.dims4()?;
    let squares = Squares::of((batch, height, width, channels), side)?;
    let (rows, cols) = squares.out();
    if (got_rows, got_cols) != (rows, cols) {
        candle_core::bail!("mean over squares: gradient has shape {:?}, expected {rows} x {cols}", dy.dims());
    }
    if let Some(narrow) = narrow_on_host(dy) {
        return backward(&wide(dy)?, side, height, width)?.to_dtype(narrow);
    }
    if !on_host(&[dy]) {
        return composed_backward(dy, side, height, width);
    }
    let dy = dy.contiguous()?;
    let values = {
        let gradient = HostSlice::of(&dy)?;
        let gradient: &[f32] = &gradient;
        let share = 1.0 / (side * side) as f32;
        let mut to = vec![0f32; batch * height * width * channels];
        to.par_chunks_mut(width * channels).enumerate().for_each(|(line, to)| {
            let (picture, row) = (line / height, line % height / side);
            if row >= rows {
                return;
            }
            let from = &gradient[(picture * rows + row) * cols * channels..][..cols * channels];
            for (square, from) in to.chunks_mut(side * channels).zip(from.chunks_exact(channels)) {
                for pixel in square.chunks_exact_mut(channels) {
                    pixel.iter_mut().zip(from).for_each(|(to, value)| *to = value * share);
                }
            }
        });
        to
    };
    tensor(values, (batch, height, width, channels))
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_forward(x: &Tensor, side: usize) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let (rows, cols) = (height / side, width / side);
    let whole = x.narrow(1, 0, rows * side)?.narrow(2, 0, cols * side)?;
    whole.reshape(&[batch, rows, side, cols, side, channels])?.mean((2, 4))
}

/// [`backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_backward(dy: &Tensor, side: usize, height: usize, width: usize) -> Result<Tensor> {
    let (batch, rows, cols, channels) = dy.dims4()?;
    let share = (dy / (side * side) as f64)?.reshape(&[batch, rows, 1, cols, 1, channels])?;
    let spread = share.broadcast_as(&[batch, rows, side, cols, side, channels])?.contiguous()?;
    let spread = spread.reshape((batch, rows * side, cols * side, channels))?;
    spread.pad_with_zeros(1, 0, height - rows * side)?.pad_with_zeros(2, 0, width - cols * side)
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use super::*;
    use crate::kernel::{assert_close, fixed};

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for (height, width, channels, side) in [(2, 2, 1, 2), (5, 7, 3, 2), (6, 9, 17, 3)] {
            let x = fixed(&[2, height, width, channels], 1);
            let y = forward(&x, side)?;
            assert_close(&y, &composed_forward(&x, side)?, 1e-6);
            let dy = fixed(y.dims(), 2);
            let got = backward(&dy, side, height, width)?;
            assert_close(&got, &composed_backward(&dy, side, height, width)?, 1e-6);
        }
        Ok(())
    }

    #[test]
    fn picture_smaller_than_a_square_is_refused() {
        assert!(forward(&fixed(&[1, 1, 4, 1], 1), 2).is_err());
    }
}
