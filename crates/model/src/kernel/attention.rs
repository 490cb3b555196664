//! Softmax attention on packed queries, keys and values, with its gradient; probabilities are computed anew in backward.

use std::mem::MaybeUninit;

use candle_core::{D, Result, Tensor};
use rayon::prelude::*;

use super::gemm::{Matrix, Size, multiply_packed, pack_into, packed_len};
use super::host::{HostSlice, on_host, tensor, written};
use super::isa::multiversion;
use super::lanes::{exp, max, sum};
use super::tile::Start;

/// Which positions a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    None,
    /// Its own and those before it.
    Causal,
}

/// Attention of `heads` heads over `qkv` `[B, L, 3 C]` (queries, keys, values one after the other): `[B, L, C]`.
///
/// # Errors
/// When the width does not divide by the heads, or from candle.
#[allow(unsafe_code)]
pub fn forward(qkv: &Tensor, heads: usize, mask: Mask) -> Result<Tensor> {
    let sizes = Sizes::of(qkv, heads, mask)?;
    if !on_host(&[qkv]) {
        return composed_forward(qkv, heads, mask);
    }
    let qkv = qkv.contiguous()?;
    let values = {
        let from = HostSlice::of(&qkv)?;
        let one = sizes.length * sizes.width;
        // SAFETY: every sample's heads together set every column of every row.
        unsafe {
            written(sizes.batch * one, |to| {
                to.par_chunks_mut(one)
                    .zip(from.par_chunks(3 * one))
                    .for_each_init(|| Scratch::new(&sizes), |scratch, (to, from)| sizes.attend(from, to, scratch));
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
pub fn backward(qkv: &Tensor, dy: &Tensor, heads: usize, mask: Mask) -> Result<Tensor> {
    let sizes = Sizes::of(qkv, heads, mask)?;
    if dy.dims() != [sizes.batch, sizes.length, sizes.width] {
        candle_core::bail!("attention: gradient has shape {:?}, packed input {:?}", dy.dims(), qkv.dims());
    }
    if !on_host(&[qkv, dy]) {
        return composed_backward(qkv, dy, heads, mask);
    }
    let (qkv, dy) = (qkv.contiguous()?, dy.contiguous()?);
    let values = {
        let (from, gradient) = (HostSlice::of(&qkv)?, HostSlice::of(&dy)?);
        let one = sizes.length * sizes.width;
        let inputs = from.par_chunks(3 * one).zip(gradient.par_chunks(one));
        // SAFETY: every sample's heads together set queries, keys and values of every row.
        unsafe {
            written(from.len(), |to| {
                to.par_chunks_mut(3 * one).zip(inputs).for_each_init(
                    || Scratch::new(&sizes),
                    |scratch, (to, (from, gradient))| sizes.pull_back(from, gradient, to, scratch),
                );
            })
        }
    };
    tensor(values, qkv.shape())
}

struct Sizes {
    batch: usize,
    length: usize,
    width: usize,
    heads: usize,
    head: usize,
    mask: Mask,
}

/// Buffers of one thread, each for one head.
struct Scratch {
    /// Probabilities and their gradient, `[L, L]` each.
    probabilities: Vec<f32>,
    slopes: Vec<f32>,
    /// Packed `[head, L]` and `[L, head]` operands.
    across: Vec<f32>,
    along: Vec<f32>,
}

impl Scratch {
    fn new(sizes: &Sizes) -> Self {
        let square = vec![0f32; sizes.length * sizes.length];
        let along = vec![0f32; packed_len(sizes.along())];
        let across = vec![0f32; packed_len(sizes.across())];
        Self { slopes: square.clone(), probabilities: square, across, along }
    }
}

impl Sizes {
    fn of(qkv: &Tensor, heads: usize, mask: Mask) -> Result<Self> {
        let (batch, length, packed) = qkv.dims3()?;
        if heads == 0 || packed % (3 * heads) != 0 || packed == 0 || length == 0 {
            candle_core::bail!("attention: {:?} does not hold 3 x {heads} heads", qkv.dims());
        }
        Ok(Self { batch, length, width: packed / 3, heads, head: packed / (3 * heads), mask })
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
    fn part<'a>(&self, qkv: &'a [f32], which: usize, head: usize) -> Matrix<'a> {
        Matrix { values: &qkv[which * self.width + head * self.head..], row: 3 * self.width, col: 1 }
    }

    /// All heads of one sample.
    fn attend(&self, qkv: &[f32], out: &mut [MaybeUninit<f32>], scratch: &mut Scratch) {
        for head in 0..self.heads {
            self.probabilities(qkv, head, scratch);
            let weights = Matrix::row_major(&scratch.probabilities, self.length);
            pack_into(self.part(qkv, 2, head), self.along(), &mut scratch.along);
            let out = &mut out[head * self.head..];
            multiply_packed(weights, &scratch.along, out, self.width, self.along(), Start::Zero);
        }
    }

    fn probabilities(&self, qkv: &[f32], head: usize, scratch: &mut Scratch) {
        let (queries, keys) = (self.part(qkv, 0, head), self.part(qkv, 1, head));
        pack_into(keys.transposed(), self.across(), &mut scratch.across);
        let scores = scratch.probabilities.as_mut_slice();
        multiply_packed(queries, &scratch.across, &mut *scores, self.length, self.across(), Start::Zero);
        softmax(scores, self.length, self.scale(), self.mask);
    }

    /// Gradients of all heads of one sample. With `S = scale Q Kᵀ`, `P = softmax(S)`, `O = P V`:
    /// `dV = Pᵀ dO`, `dS = P ∘ (dO Vᵀ - rowsum(P ∘ dO Vᵀ))`, `dQ = scale dS K`, `dK = scale dSᵀ Q`.
    fn pull_back(&self, qkv: &[f32], dy: &[f32], to: &mut [MaybeUninit<f32>], scratch: &mut Scratch) {
        let (length, width) = (self.length, self.width);
        for head in 0..self.heads {
            self.probabilities(qkv, head, scratch);
            let dout = Matrix { values: &dy[head * self.head..], row: width, col: 1 };
            let weights = Matrix::row_major(&scratch.probabilities, length);
            pack_into(dout, self.along(), &mut scratch.along);
            let dvalues = &mut to[2 * width + head * self.head..];
            multiply_packed(weights.transposed(), &scratch.along, dvalues, 3 * width, self.along(), Start::Zero);

            pack_into(self.part(qkv, 2, head).transposed(), self.across(), &mut scratch.across);
            multiply_packed(dout, &scratch.across, scratch.slopes.as_mut_slice(), length, self.across(), Start::Zero);
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
fn softmax_body<const FMA: bool>(scores: &mut [f32], length: usize, scale: f32, mask: Mask) {
    for (i, row) in scores.chunks_exact_mut(length).enumerate() {
        let seen = if mask == Mask::Causal { i + 1 } else { length };
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

multiversion! { fn softmax(scores: &mut [f32], length: usize, scale: f32, mask: Mask) = softmax_body }
multiversion! { fn softmax_backward(probabilities: &[f32], slopes: &mut [f32], length: usize, scale: f32) = softmax_backward_body }

/// Queries, keys and values as `[B, H, L, head]`.
fn unpack(qkv: &Tensor, heads: usize) -> Result<[Tensor; 3]> {
    let (batch, length, packed) = qkv.dims3()?;
    let parts = qkv.reshape((batch, length, 3, heads, packed / (3 * heads)))?.permute((2, 0, 3, 1, 4))?;
    Ok([parts.get(0)?.contiguous()?, parts.get(1)?.contiguous()?, parts.get(2)?.contiguous()?])
}

fn composed_probabilities(queries: &Tensor, keys: &Tensor, mask: Mask) -> Result<Tensor> {
    let (length, head) = (queries.dim(D::Minus2)?, queries.dim(D::Minus1)?);
    let mut scores = (queries.matmul(&keys.t()?)? / (head as f64).sqrt())?;
    if mask == Mask::Causal {
        let allowed = Tensor::tril2(length, scores.dtype(), scores.device())?;
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
pub fn composed_forward(qkv: &Tensor, heads: usize, mask: Mask) -> Result<Tensor> {
    let (batch, length, packed) = qkv.dims3()?;
    let [queries, keys, values] = unpack(qkv, heads)?;
    let out = composed_probabilities(&queries, &keys, mask)?.matmul(&values)?;
    out.transpose(1, 2)?.reshape((batch, length, packed / 3))
}

/// [`backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_backward(qkv: &Tensor, dy: &Tensor, heads: usize, mask: Mask) -> Result<Tensor> {
    let (batch, length, packed) = qkv.dims3()?;
    let head = packed / (3 * heads);
    let [queries, keys, values] = unpack(qkv, heads)?;
    let dout = dy.reshape((batch, length, heads, head))?.transpose(1, 2)?.contiguous()?;
    let p = composed_probabilities(&queries, &keys, mask)?;
    let dvalues = p.t()?.contiguous()?.matmul(&dout)?;
    let dp = dout.matmul(&values.t()?)?;
    let along = p.mul(&dp)?.sum_keepdim(D::Minus1)?;
    let dscores = (p.mul(&dp.broadcast_sub(&along)?)? / (head as f64).sqrt())?;
    let dqueries = dscores.matmul(&keys)?;
    let dkeys = dscores.t()?.contiguous()?.matmul(&queries)?;
    let packed_gradient = Tensor::stack(&[dqueries, dkeys, dvalues], 0)?;
    packed_gradient.permute((1, 3, 0, 2, 4))?.reshape((batch, length, packed))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::{Mask, backward, composed_backward, composed_forward, forward};
    use crate::kernel::assert_close;

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for (batch, length, heads, head) in [(1, 1, 1, 1), (2, 5, 3, 7), (3, 65, 2, 40), (2, 33, 1, 32)] {
            let qkv = Tensor::randn(0f32, 1f32, (batch, length, 3 * heads * head), &Device::Cpu)?;
            let dy = Tensor::randn(0f32, 1f32, (batch, length, heads * head), &Device::Cpu)?;
            for mask in [Mask::None, Mask::Causal] {
                assert_close(&forward(&qkv, heads, mask)?, &composed_forward(&qkv, heads, mask)?, 1e-5);
                let got = backward(&qkv, &dy, heads, mask)?;
                assert_close(&got, &composed_backward(&qkv, &dy, heads, mask)?, 2e-5);
            }
        }
        Ok(())
    }

    #[test]
    fn causal_outputs_ignore_what_comes_later() -> Result<()> {
        let qkv = Tensor::randn(0f32, 1f32, (1, 6, 24), &Device::Cpu)?;
        let whole = forward(&qkv, 2, Mask::Causal)?.narrow(1, 0, 4)?;
        assert_close(&whole, &forward(&qkv.narrow(1, 0, 4)?, 2, Mask::Causal)?, 1e-6);
        Ok(())
    }
}
