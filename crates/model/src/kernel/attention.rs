//! Softmax attention on packed queries, keys and values, with its gradient; probabilities are computed anew in backward,
//! and so is what was dropped of them.

use std::mem::MaybeUninit;

use candle_core::{D, Result, Tensor};
use rayon::prelude::*;

use super::dropout::Dropout;
use super::gemm::{Matrix, Size, multiply_packed, pack_into, packed_len};
use super::host::{HostSlice, on_host, tensor, written};
use super::isa::multiversion;
use super::lanes::{exp, max, sum};
use super::narrow::{narrow_on_host, wide};
use super::tile::Start;

/// Which positions a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    None,
    /// Its own and those before it.
    Causal,
}

/// What is attended to, sample by sample.
#[derive(Clone, Copy, Debug)]
pub struct Attend<'a> {
    /// Which positions a query sees.
    pub visible: Visible<'a>,
    /// What is dropped of the probabilities.
    pub dropout: Option<Dropout>,
}

/// Which positions a query sees.
#[derive(Clone, Copy, Debug)]
pub enum Visible<'a> {
    /// The same in every sample.
    Everywhere(Mask),
    /// The first so many of each sample, at least one.
    First(&'a [u32]),
}

impl From<Mask> for Attend<'_> {
    fn from(mask: Mask) -> Self {
        Self { visible: Visible::Everywhere(mask), dropout: None }
    }
}

/// Which positions the queries of one sample see.
#[derive(Clone, Copy)]
enum Seen {
    First(usize),
    UpToItself,
}

/// Attention of `heads` heads over `qkv` `[B, L, 3 C]` (queries, keys, values one after the other): `[B, L, C]`.
///
/// # Errors
/// When the width does not divide by the heads, or from candle.
#[allow(unsafe_code)]
pub fn forward<'a>(qkv: &Tensor, heads: usize, attend: impl Into<Attend<'a>>) -> Result<Tensor> {
    let attend = attend.into();
    let sizes = Sizes::of(qkv, heads, attend)?;
    if let Some(narrow) = narrow_on_host(qkv) {
        return forward(&wide(qkv)?, heads, attend)?.to_dtype(narrow);
    }
    if !on_host(&[qkv]) {
        return composed_forward(qkv, heads, attend);
    }
    let qkv = qkv.contiguous()?;
    let values = {
        let from = HostSlice::of(&qkv)?;
        let one = sizes.length * sizes.width;
        // SAFETY: every sample's heads together set every column of every row.
        unsafe {
            written(sizes.batch * one, |to| {
                to.par_chunks_mut(one).zip(from.par_chunks(3 * one)).enumerate().for_each_init(
                    || Scratch::new(&sizes),
                    |scratch, (sample, (to, from))| sizes.attend(sample, from, to, scratch),
                );
            })
        }
    };
    tensor(values, (sizes.batch, sizes.length, sizes.width))
}

/// Gradient of `qkv` from that of the output, `dy` `[B, L, C]`.
///
/// # Errors
/// When shapes differ, or from candle.
#[allow(unsafe_code)]
pub fn backward<'a>(qkv: &Tensor, dy: &Tensor, heads: usize, attend: impl Into<Attend<'a>>) -> Result<Tensor> {
    let attend = attend.into();
    let sizes = Sizes::of(qkv, heads, attend)?;
    if dy.dims() != [sizes.batch, sizes.length, sizes.width] {
        candle_core::bail!("attention: gradient has shape {:?}, packed input {:?}", dy.dims(), qkv.dims());
    }
    if let Some(narrow) = narrow_on_host(qkv) {
        return backward(&wide(qkv)?, &wide(dy)?, heads, attend)?.to_dtype(narrow);
    }
    if !on_host(&[qkv, dy]) {
        return composed_backward(qkv, dy, heads, attend);
    }
    let (qkv, dy) = (qkv.contiguous()?, dy.contiguous()?);
    let values = {
        let (from, gradient) = (HostSlice::of(&qkv)?, HostSlice::of(&dy)?);
        let one = sizes.length * sizes.width;
        let inputs = from.par_chunks(3 * one).zip(gradient.par_chunks(one));
        // SAFETY: every sample's heads together set queries, keys and values of every row.
        unsafe {
            written(from.len(), |to| {
                to.par_chunks_mut(3 * one).zip(inputs).enumerate().for_each_init(
                    || Scratch::new(&sizes),
                    |scratch, (sample, (to, (from, gradient)))| sizes.pull_back(sample, [from, gradient], to, scratch),
                );
            })
        }
    };
    tensor(values, qkv.shape())
}

struct Sizes<'a> {
    batch: usize,
    length: usize,
    width: usize,
    heads: usize,
    head: usize,
    attend: Attend<'a>,
}

/// Buffers of one thread, each for one head.
struct Scratch {
    /// Probabilities and their gradient, `[L, L]` each.
    probabilities: Vec<f32>,
    slopes: Vec<f32>,
    /// What is left of the probabilities; used where some are dropped.
    kept: Vec<f32>,
    /// Packed `[head, L]` and `[L, head]` operands.
    across: Vec<f32>,
    along: Vec<f32>,
}

impl Scratch {
    fn new(sizes: &Sizes<'_>) -> Self {
        let square = vec![0f32; sizes.length * sizes.length];
        let along = vec![0f32; packed_len(sizes.along())];
        let across = vec![0f32; packed_len(sizes.across())];
        Self { slopes: square.clone(), kept: square.clone(), probabilities: square, across, along }
    }
}

impl<'a> Sizes<'a> {
    fn of(qkv: &Tensor, heads: usize, attend: Attend<'a>) -> Result<Self> {
        let (batch, length, packed) = qkv.dims3()?;
        if heads == 0 || packed % (3 * heads) != 0 || packed == 0 || length == 0 {
            candle_core::bail!("attention: {:?} does not hold 3 x {heads} heads", qkv.dims());
        }
        if let Visible::First(seen) = attend.visible
            && (seen.len() != batch || seen.iter().any(|seen| *seen == 0 || *seen as usize > length))
        {
            candle_core::bail!("attention: expected 1 to {length} keys for each of {batch} samples, got {seen:?}");
        }
        Ok(Self { batch, length, width: packed / 3, heads, head: packed / (3 * heads), attend })
    }

    fn seen(&self, sample: usize) -> Seen {
        match self.attend.visible {
            Visible::Everywhere(Mask::None) => Seen::First(self.length),
            Visible::Everywhere(Mask::Causal) => Seen::UpToItself,
            Visible::First(seen) => Seen::First(seen[sample] as usize),
        }
    }

    /// Where the random numbers of a head's probabilities start.
    fn group(&self, sample: usize, head: usize) -> u64 {
        (sample * self.heads + head) as u64 * Dropout::groups(self.length * self.length)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }

    /// A product over the head's width into `[L, L]`.
    fn across(&self) -> Size {
        Size { m: self.length, n: self.length, k: self.head }
    }

    /// A product over positions into `[L, head]`.
    fn along(&self) -> Size {
        Size { m: self.length, n: self.head, k: self.length }
    }

    /// Queries (0), keys (1) or values (2) of one head.
    fn part<'b>(&self, qkv: &'b [f32], which: usize, head: usize) -> Matrix<'b> {
        Matrix { values: &qkv[which * self.width + head * self.head..], row: 3 * self.width, col: 1 }
    }

    /// All heads of one sample.
    fn attend(&self, sample: usize, qkv: &[f32], out: &mut [MaybeUninit<f32>], scratch: &mut Scratch) {
        for head in 0..self.heads {
            self.probabilities(sample, qkv, head, scratch);
            if let Some(dropout) = self.attend.dropout {
                dropout.multiply(self.group(sample, head), &mut scratch.probabilities);
            }
            let weights = Matrix::row_major(&scratch.probabilities, self.length);
            pack_into(self.part(qkv, 2, head), self.along(), &mut scratch.along);
            let out = &mut out[head * self.head..];
            multiply_packed(weights, &scratch.along, out, self.width, self.along(), Start::Zero);
        }
    }

    fn probabilities(&self, sample: usize, qkv: &[f32], head: usize, scratch: &mut Scratch) {
        let (queries, keys) = (self.part(qkv, 0, head), self.part(qkv, 1, head));
        pack_into(keys.transposed(), self.across(), &mut scratch.across);
        let scores = scratch.probabilities.as_mut_slice();
        multiply_packed(queries, &scratch.across, &mut *scores, self.length, self.across(), Start::Zero);
        softmax(scores, self.length, self.scale(), self.seen(sample));
    }

    /// Gradients of all heads of one sample. With `S = scale Q Kᵀ`, `P = softmax(S)`, `O = P V`:
    /// `dV = Pᵀ dO`, `dS = P ∘ (dO Vᵀ - rowsum(P ∘ dO Vᵀ))`, `dQ = scale dS K`, `dK = scale dSᵀ Q`.
    fn pull_back(&self, sample: usize, [qkv, dy]: [&[f32]; 2], to: &mut [MaybeUninit<f32>], scratch: &mut Scratch) {
        let (length, width) = (self.length, self.width);
        for head in 0..self.heads {
            self.probabilities(sample, qkv, head, scratch);
            let dout = Matrix { values: &dy[head * self.head..], row: width, col: 1 };
            let mut weights = Matrix::row_major(&scratch.probabilities, length);
            if let Some(dropout) = self.attend.dropout {
                scratch.kept.copy_from_slice(&scratch.probabilities);
                dropout.multiply(self.group(sample, head), &mut scratch.kept);
                weights = Matrix::row_major(&scratch.kept, length);
            }
            pack_into(dout, self.along(), &mut scratch.along);
            let dvalues = &mut to[2 * width + head * self.head..];
            multiply_packed(weights.transposed(), &scratch.along, dvalues, 3 * width, self.along(), Start::Zero);

            pack_into(self.part(qkv, 2, head).transposed(), self.across(), &mut scratch.across);
            multiply_packed(dout, &scratch.across, scratch.slopes.as_mut_slice(), length, self.across(), Start::Zero);
            if let Some(dropout) = self.attend.dropout {
                dropout.multiply(self.group(sample, head), &mut scratch.slopes);
            }
            softmax_backward(&scratch.probabilities, &mut scratch.slopes, length, self.scale());

            let slopes = Matrix::row_major(&scratch.slopes, length);
            for (other, target, slopes) in [(1, 0, slopes), (0, 1, slopes.transposed())] {
                pack_into(self.part(qkv, other, head), self.along(), &mut scratch.along);
                let target = &mut to[target * width + head * self.head..];
                multiply_packed(slopes, &scratch.along, target, 3 * width, self.along(), Start::Zero);
            }
        }
    }
}

#[inline(always)]
fn softmax_body<const FMA: bool>(scores: &mut [f32], length: usize, scale: f32, seen: Seen) {
    for (i, row) in scores.chunks_exact_mut(length).enumerate() {
        let seen = match seen {
            Seen::First(count) => count,
            Seen::UpToItself => i + 1,
        };
        let (row, hidden) = row.split_at_mut(seen);
        hidden.fill(0.0);
        let largest = max(row);
        for value in row.iter_mut() {
            *value = exp::<FMA>((*value - largest) * scale);
        }
        let inverse = 1.0 / sum([row], |[p]| p);
        row.iter_mut().for_each(|value| *value *= inverse);
    }
}

/// Turns the gradient of the probabilities into that of the unscaled scores.
#[inline(always)]
fn softmax_backward_body<const FMA: bool>(probabilities: &[f32], slopes: &mut [f32], length: usize, scale: f32) {
    for (p, d) in probabilities.chunks_exact(length).zip(slopes.chunks_exact_mut(length)) {
        let along = sum([p, d], |[p, d]| p * d);
        for (d, p) in d.iter_mut().zip(p) {
            *d = p * scale * (*d - along);
        }
    }
}

multiversion! { fn softmax(scores: &mut [f32], length: usize, scale: f32, seen: Seen) = softmax_body }
multiversion! { fn softmax_backward(probabilities: &[f32], slopes: &mut [f32], length: usize, scale: f32) = softmax_backward_body }

/// Queries, keys and values as `[B, H, L, head]`.
fn unpack(qkv: &Tensor, heads: usize) -> Result<[Tensor; 3]> {
    let (batch, length, packed) = qkv.dims3()?;
    let parts = qkv.reshape((batch, length, 3, heads, packed / (3 * heads)))?.permute((2, 0, 3, 1, 4))?;
    Ok([parts.get(0)?.contiguous()?, parts.get(1)?.contiguous()?, parts.get(2)?.contiguous()?])
}

/// 1 where a key is seen, 0 where not: `[L, L]` or `[B, 1, 1, L]`; `None` where all are.
fn allowed(attend: Attend<'_>, like: &Tensor) -> Result<Option<Tensor>> {
    let length = like.dim(D::Minus2)?;
    match attend.visible {
        Visible::Everywhere(Mask::None) => Ok(None),
        Visible::Everywhere(Mask::Causal) => Tensor::tril2(length, like.dtype(), like.device()).map(Some),
        Visible::First(seen) => {
            let keys = seen.iter().flat_map(|seen| (0..length as u32).map(move |key| f32::from(u8::from(key < *seen))));
            let keys = Tensor::from_iter(keys, like.device())?.reshape((seen.len(), 1, 1, length))?;
            keys.to_dtype(like.dtype()).map(Some)
        }
    }
}

/// What is left of each probability: a factor for `[B, H, L, L]`; `None` where nothing is dropped.
fn kept(attend: Attend<'_>, probabilities: &Tensor) -> Result<Option<Tensor>> {
    let Some(dropout) = attend.dropout else { return Ok(None) };
    let (batch, heads, length, _) = probabilities.dims4()?;
    let square = length * length;
    let group = |head: usize| head as u64 * Dropout::groups(square);
    let factors: Vec<f32> = (0..batch * heads).flat_map(|head| dropout.mask(group(head), square)).collect();
    Tensor::from_vec(factors, probabilities.shape(), probabilities.device())?.to_dtype(probabilities.dtype()).map(Some)
}

fn times(x: Tensor, factors: Option<&Tensor>) -> Result<Tensor> {
    factors.map_or(Ok(x.clone()), |factors| x.mul(factors))
}

fn composed_probabilities(queries: &Tensor, keys: &Tensor, attend: Attend<'_>) -> Result<Tensor> {
    let head = queries.dim(D::Minus1)?;
    let mut scores = (queries.matmul(&keys.t()?)? / (head as f64).sqrt())?;
    if let Some(allowed) = allowed(attend, queries)? {
        // 0 where allowed, far below every score where not.
        scores = scores.broadcast_add(&allowed.affine(1e4, -1e4)?)?;
    }
    let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_forward<'a>(qkv: &Tensor, heads: usize, attend: impl Into<Attend<'a>>) -> Result<Tensor> {
    let attend = attend.into();
    let (batch, length, packed) = qkv.dims3()?;
    let [queries, keys, values] = unpack(qkv, heads)?;
    let weights = composed_probabilities(&queries, &keys, attend)?;
    let kept = kept(attend, &weights)?;
    let out = times(weights, kept.as_ref())?.matmul(&values)?;
    out.transpose(1, 2)?.reshape((batch, length, packed / 3))
}

/// [`backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_backward<'a>(qkv: &Tensor, dy: &Tensor, heads: usize, attend: impl Into<Attend<'a>>) -> Result<Tensor> {
    let attend = attend.into();
    let (batch, length, packed) = qkv.dims3()?;
    let head = packed / (3 * heads);
    let [queries, keys, values] = unpack(qkv, heads)?;
    let dout = dy.reshape((batch, length, heads, head))?.transpose(1, 2)?.contiguous()?;
    let p = composed_probabilities(&queries, &keys, attend)?;
    let kept = kept(attend, &p)?;
    let dvalues = times(p.clone(), kept.as_ref())?.t()?.contiguous()?.matmul(&dout)?;
    let dp = times(dout.matmul(&values.t()?)?, kept.as_ref())?;
    let along = p.mul(&dp)?.sum_keepdim(D::Minus1)?;
    let dscores = (p.mul(&dp.broadcast_sub(&along)?)? / (head as f64).sqrt())?;
    let dqueries = dscores.matmul(&keys)?;
    let dkeys = dscores.t()?.contiguous()?.matmul(&queries)?;
    let packed_gradient = Tensor::stack(&[dqueries, dkeys, dvalues], 0)?;
    packed_gradient.permute((1, 3, 0, 2, 4))?.reshape((batch, length, packed))
}

#[cfg(test)]
mod tests {
    use candle_core::Result;

    use super::super::dropout::Dropout;
    use super::{Attend, Mask, Visible, backward, composed_backward, composed_forward, forward};
    use crate::kernel::{assert_close, fixed};
    use crate::random::Noise;

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for (batch, length, heads, head) in [(1, 1, 1, 1), (2, 5, 3, 7), (3, 65, 2, 40), (2, 33, 1, 88), (2, 9, 2, 104)]
        {
            let qkv = (fixed(&[batch, length, 3 * heads * head], 1) * 2.0)?;
            let dy = fixed(&[batch, length, heads * head], 2);
            let seen: Vec<u32> = (0..batch).map(|sample| ((length + sample) / (sample + 1)) as u32).collect();
            let dropout = Dropout::new(Noise::new(3, 4).stream("a"), 0.2);
            let ways = [
                Attend::from(Mask::None),
                Attend::from(Mask::Causal),
                Attend { visible: Visible::First(&seen), dropout: None },
                Attend { visible: Visible::First(&seen), dropout },
            ];
            for attend in ways {
                assert_close(&forward(&qkv, heads, attend)?, &composed_forward(&qkv, heads, attend)?, 1e-5);
                let got = backward(&qkv, &dy, heads, attend)?;
                assert_close(&got, &composed_backward(&qkv, &dy, heads, attend)?, 2e-5);
            }
        }
        Ok(())
    }

    #[test]
    fn causal_outputs_ignore_what_comes_later() -> Result<()> {
        let qkv = fixed(&[1, 6, 24], 1);
        let whole = forward(&qkv, 2, Mask::Causal)?.narrow(1, 0, 4)?;
        assert_close(&whole, &forward(&qkv.narrow(1, 0, 4)?, 2, Mask::Causal)?, 1e-6);
        Ok(())
    }

    #[test]
    fn samples_ignore_what_they_do_not_see() -> Result<()> {
        let qkv = fixed(&[1, 6, 24], 1);
        let some = Attend { visible: Visible::First(&[4]), dropout: None };
        let whole = forward(&qkv, 2, some)?.narrow(1, 0, 4)?;
        assert_close(&whole, &forward(&qkv.narrow(1, 0, 4)?, 2, Mask::None)?, 1e-6);
        let none = Attend { visible: Visible::First(&[0]), dropout: None };
        assert!(forward(&qkv, 2, none).unwrap_err().to_string().contains("expected 1 to 6 keys"));
        Ok(())
    }
}
