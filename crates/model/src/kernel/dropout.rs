//! Dropout: a share of all values becomes zero, the rest grows so that the mean stays. Which ones is addressed by position,
//! so that nothing is kept for backward, which is the same operation on the gradient.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host, tensor, written};
use super::narrow::{narrow_on_host, wide};
use crate::random::Stream;

/// Values that one task handles; a multiple of those that one random number decides.
const TASK: usize = 32 * 1024;
/// Values that one random number decides.
const GROUP: usize = 4;
/// Steps in which shares are counted.
const STEPS: f64 = 65_536.0;

/// What is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    stream: Stream,
    /// Shares are counted in steps of `1 / 65536`, so that the growth of the rest makes up for them exactly.
    threshold: u16,
}

impl Dropout {
    /// Drops `share` of the values, from 0 to below 1; `None` where that is nothing.
    pub fn new(stream: Stream, share: f64) -> Option<Self> {
        let threshold = (share.clamp(0.0, 1.0) * STEPS).round().min(STEPS - 1.0) as u16;
        (threshold > 0).then_some(Self { stream, threshold })
    }

    fn factor(&self) -> f32 {
        (1.0 / (1.0 - f64::from(self.threshold) / STEPS)) as f32
    }

    /// The factors of values `4 group` to `4 group + 3`: zero or the growth.
    #[inline(always)]
    fn factors(&self, group: u64, factor: f32) -> [f32; GROUP] {
        let bits = self.stream.bits(group);
        std::array::from_fn(|i| if (bits >> (16 * i)) as u16 >= self.threshold { factor } else { 0.0 })
    }

    /// Multiplies in place; the values are those from `4 group` on.
    pub(super) fn multiply(&self, group: u64, values: &mut [f32]) {
        let factor = self.factor();
        for (values, group) in values.chunks_mut(GROUP).zip(group..) {
            values.iter_mut().zip(self.factors(group, factor)).for_each(|(value, factor)| *value *= factor);
        }
    }

    /// Groups that `count` values take.
    pub(super) fn groups(count: usize) -> u64 {
        count.div_ceil(GROUP) as u64
    }

    /// The factors of `count` values, those from `4 group` on.
    pub(super) fn mask(&self, group: u64, count: usize) -> Vec<f32> {
        let mut mask = vec![1f32; count];
        self.multiply(group, &mut mask);
        mask
    }
}

/// Drops values of a tensor; with the same [`Dropout`] also the way back of the gradient.
///
/// # Errors
/// From candle.
#[allow(unsafe_code)]
pub fn apply(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    if let Some(narrow) = narrow_on_host(x) {
        return apply(&wide(x)?, dropout)?.to_dtype(narrow);
    }
    if !on_host(&[x]) {
        return composed_apply(x, dropout);
    }
    let x = x.contiguous()?;
    let factor = dropout.factor();
    let values = {
        let from = HostSlice::of(&x)?;
        let task = |(index, (to, from)): (usize, (&mut [MaybeUninit<f32>], &[f32]))| {
            let first = (index * TASK / GROUP) as u64;
            for ((to, from), group) in to.chunks_mut(GROUP).zip(from.chunks(GROUP)).zip(first..) {
                let factors = dropout.factors(group, factor);
                for ((to, from), factor) in to.iter_mut().zip(from).zip(factors) {
                    to.write(from * factor);
                }
            }
        };
        // SAFETY: the tasks set a value for each one they read.
        unsafe {
            written(from.len(), |to| to.par_chunks_mut(TASK).zip(from.par_chunks(TASK)).enumerate().for_each(task))
        }
    };
    tensor(values, x.shape())
}

/// [`apply`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_apply(x: &Tensor, dropout: &Dropout) -> Result<Tensor> {
    let mask = Tensor::from_vec(dropout.mask(0, x.elem_count()), x.shape(), x.device())?;
    x.mul(&mask.to_dtype(x.dtype())?)
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use super::{Dropout, apply, composed_apply};
    use crate::kernel::{assert_close, fixed};
    use crate::random::Noise;

    #[test]
    fn kernel_agrees_with_composed_operations() -> Result<()> {
        let dropout = Dropout::new(Noise::new(1, 2).stream("a"), 0.3).unwrap();
        for dims in [[1, 1], [7, 33], [200, 401]] {
            let x = fixed(&dims, 1);
            assert_close(&apply(&x, &dropout)?, &composed_apply(&x, &dropout)?, 0.0);
        }
        Ok(())
    }

    #[test]
    fn share_is_dropped_and_mean_stays() -> Result<()> {
        let dropout = Dropout::new(Noise::new(1, 2).stream("a"), 0.1).unwrap();
        let ones = fixed(&[300, 400], 1).ones_like()?;
        let dropped = apply(&ones, &dropout)?.flatten_all()?.to_vec1::<f32>()?;
        let zeros = dropped.iter().filter(|value| **value == 0.0).count() as f64 / dropped.len() as f64;
        let mean = dropped.iter().map(|value| f64::from(*value)).sum::<f64>() / dropped.len() as f64;
        assert!((zeros - 0.1).abs() < 0.004 && (mean - 1.0).abs() < 0.005, "{zeros} {mean}");
        assert!(Dropout::new(Noise::new(1, 2).stream("a"), 0.0).is_none());
        Ok(())
    }
}
