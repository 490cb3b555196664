//! Patches left out in training: each picture keeps its class token and an equal number of its patches
//! (<https://arxiv.org/abs/2212.00794>).

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::random::{Mode, Stream};

/// What backward needs: which rows of `[B L, C]` stay, and `B` and `L`.
#[derive(Debug)]
pub struct PatchDropoutSaved {
    kept: Tensor,
    batch: usize,
    length: usize,
}

/// `[B, 1 + N, C]` to `[B, 1 + K, C]` with `K` the whole part of `N (1 - share)`, at least 1; unchanged in evaluation.
///
/// # Errors
/// From candle.
pub fn forward(x: Tensor, share: f64, mode: Mode) -> Result<(Tensor, Option<PatchDropoutSaved>)> {
    let Mode::Training(noise) = mode else { return Ok((x, None)) };
    if share == 0.0 {
        return Ok((x, None));
    }
    let compute = || {
        let (batch, length, width) = x.dims3()?;
        let count = (((length - 1) as f64 * (1.0 - share)) as usize).max(1);
        let stream = noise.stream("patch_dropout");
        let kept: Vec<u32> = (0..batch).flat_map(|sample| rows(&stream, sample, length, count)).collect();
        let kept = Tensor::new(kept, x.device())?;
        let y = x.reshape((batch * length, width))?.index_select(&kept, 0)?.reshape((batch, 1 + count, width))?;
        Ok((y, Some(PatchDropoutSaved { kept, batch, length })))
    };
    compute().layer("patch_dropout")
}

/// Rows that a sample keeps: its first, and those whose random number is among the `count` smallest.
fn rows(stream: &Stream, sample: usize, length: usize, count: usize) -> Vec<u32> {
    let first = sample * length;
    let mut patches: Vec<usize> = (first + 1..first + length).collect();
    patches.sort_by_key(|row| stream.bits(*row as u64));
    patches.truncate(count);
    patches.sort_unstable();
    std::iter::once(first).chain(patches).map(|row| row as u32).collect()
}

/// The input's gradient from that of the output; zero where a patch was left out.
///
/// # Errors
/// When shapes differ.
pub fn backward(saved: Option<&PatchDropoutSaved>, dy: Tensor) -> Result<Tensor> {
    let Some(saved) = saved else { return Ok(dy) };
    let compute = || {
        let (_, count, width) = dy.dims3()?;
        let zeros = Tensor::zeros((saved.batch * saved.length, width), dy.dtype(), dy.device())?;
        let spread = zeros.index_add(&saved.kept, &dy.reshape((saved.batch * count, width))?, 0)?;
        spread.reshape((saved.batch, saved.length, width))
    };
    compute().layer("patch_dropout")
}

#[cfg(test)]
mod tests {
    use super::{backward, forward};
    use crate::kernel::fixed;
    use crate::random::{Mode, Noise};

    #[test]
    fn class_token_stays_and_gradients_return_to_their_rows() {
        let x = fixed(&[3, 9, 2], 1);
        let (y, saved) = forward(x.clone(), 0.6, Mode::Training(Noise::new(1, 2))).unwrap();
        assert_eq!(y.dims(), [3, 4, 2]);
        let values = |x: &candle_core::Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&x.narrow(1, 0, 1).unwrap()), values(&y.narrow(1, 0, 1).unwrap()));
        let dx = backward(saved.as_ref(), y.clone()).unwrap();
        let product = |a: &candle_core::Tensor, b: &candle_core::Tensor| {
            (a * b).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        assert!((product(&x, &dx) - product(&y, &y)).abs() < 1e-5);
        let (other, _) = forward(x.clone(), 0.6, Mode::Training(Noise::new(1, 3))).unwrap();
        assert_ne!(values(&other), values(&y));
        assert_eq!(forward(x, 0.6, Mode::Evaluation).unwrap().0.dims(), [3, 9, 2]);
    }
}
