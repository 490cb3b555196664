//! Softmax attention of one query for each sample: all that is left of attention where only one row of the result is read.

use candle_core::{D, Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host, tensor};
use super::isa::multiversion;
use super::lanes::{exp, fma, max, sum};
use super::narrow::{narrow_on_host, wide};

/// Gradients of one query's attention.
pub struct RowAttentionGradients {
    /// Of the queries, `[B, C]`.
    pub dqueries: Tensor,
    /// Of keys and values, `[B, L, 2 C]`.
    pub dkeys_values: Tensor,
}

struct Sizes {
    length: usize,
    width: usize,
    heads: usize,
}

/// Attention of `queries` `[B, C]` over `keys_values` `[B, L, 2 C]`: `[B, C]`. Sample `b` sees its first `seen[b]` keys.
///
/// # Errors
/// When shapes differ, when a sample sees no key or more than there are, or from candle.
pub fn forward(queries: &Tensor, keys_values: &Tensor, heads: usize, seen: &[u32]) -> Result<Tensor> {
    let sizes = check(queries, keys_values, heads, seen)?;
    if let Some(narrow) = narrow_on_host(queries) {
        return forward(&wide(queries)?, &wide(keys_values)?, heads, seen)?.to_dtype(narrow);
    }
    if !on_host(&[queries, keys_values]) {
        return composed_forward(queries, keys_values, heads, seen);
    }
    let (queries, keys_values) = (queries.contiguous()?, keys_values.contiguous()?);
    let values = {
        let (from, pairs) = (HostSlice::of(&queries)?, HostSlice::of(&keys_values)?);
        let mut to = vec![0f32; from.len()];
        to.par_chunks_mut(sizes.width)
            .zip(from.par_chunks(sizes.width).zip(pairs.par_chunks(2 * sizes.length * sizes.width)))
            .zip(seen)
            .for_each(|((to, (query, pairs)), seen)| attend(query, pairs, to, sizes.heads, *seen as usize));
        to
    };
    tensor(values, queries.shape())
}

/// Gradients from that of the output, `dy` `[B, C]`.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    queries: &Tensor,
    keys_values: &Tensor,
    dy: &Tensor,
    heads: usize,
    seen: &[u32],
) -> Result<RowAttentionGradients> {
    let sizes = check(queries, keys_values, heads, seen)?;
    if dy.dims() != queries.dims() {
        candle_core::bail!("attention of rows: gradient has shape {:?}, queries {:?}", dy.dims(), queries.dims());
    }
    if let Some(narrow) = narrow_on_host(queries) {
        let gradients = backward(&wide(queries)?, &wide(keys_values)?, &wide(dy)?, heads, seen)?;
        let (dqueries, dkeys_values) = (gradients.dqueries.to_dtype(narrow)?, gradients.dkeys_values.to_dtype(narrow)?);
        return Ok(RowAttentionGradients { dqueries, dkeys_values });
    }
    if !on_host(&[queries, keys_values, dy]) {
        return composed_backward(queries, keys_values, dy, heads, seen);
    }
    let (queries, keys_values, dy) = (queries.contiguous()?, keys_values.contiguous()?, dy.contiguous()?);
    let (dqueries, dpairs) = {
        let (from, pairs, gradient) = (HostSlice::of(&queries)?, HostSlice::of(&keys_values)?, HostSlice::of(&dy)?);
        let (mut dqueries, mut dpairs) = (vec![0f32; from.len()], vec![0f32; pairs.len()]);
        let (width, sample) = (sizes.width, 2 * sizes.length * sizes.width);
        let inputs = from.par_chunks(width).zip(pairs.par_chunks(sample)).zip(gradient.par_chunks(width)).zip(seen);
        let outputs = dqueries.par_chunks_mut(width).zip(dpairs.par_chunks_mut(sample));
        outputs.zip(inputs).for_each(|((dquery, dpairs), (((query, pairs), gradient), seen))| {
            pull_back(query, pairs, gradient, dquery, dpairs, [sizes.heads, *seen as usize]);
        });
        (dqueries, dpairs)
    };
    let dkeys_values = tensor(dpairs, keys_values.shape())?;
    Ok(RowAttentionGradients { dqueries: tensor(dqueries, queries.shape())?, dkeys_values })
}

fn check(queries: &Tensor, keys_values: &Tensor, heads: usize, seen: &[u32]) -> Result<Sizes> {
    let ((batch, width), (samples, length, packed)) = (queries.dims2()?, keys_values.dims3()?);
    let fits = samples == batch && packed == 2 * width && heads > 0 && width > 0 && width.is_multiple_of(heads);
    if !fits {
        candle_core::bail!(
            "attention of rows: queries {:?} and packed {:?} do not hold {heads} heads",
            queries.dims(),
            keys_values.dims()
        );
    }
    if seen.len() != batch || seen.iter().any(|seen| *seen == 0 || *seen as usize > length) {
        candle_core::bail!("attention of rows: expected 1 to {length} keys for each of {batch} samples, got {seen:?}");
    }
    Ok(Sizes { length, width, heads })
}

/// Probabilities of one head; `pairs` starts at the head's first key.
#[inline(always)]
fn weigh<const FMA: bool>(query: &[f32], pairs: &[f32], row: usize, weights: &mut [f32]) {
    let scale = 1.0 / (query.len() as f32).sqrt();
    for (weight, key) in weights.iter_mut().zip(pairs.chunks(row)) {
        *weight = scale * sum([query, &key[..query.len()]], |[q, k]| q * k);
    }
    let largest = max(weights);
    for weight in weights.iter_mut() {
        *weight = exp::<FMA>(*weight - largest);
    }
    let inverse = 1.0 / sum([weights], |[p]| p);
    weights.iter_mut().for_each(|weight| *weight *= inverse);
}

#[inline(always)]
fn add_scaled<const FMA: bool>(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = fma::<FMA>(factor, *from, *to);
    }
}

#[inline(always)]
fn attend_body<const FMA: bool>(query: &[f32], pairs: &[f32], out: &mut [f32], heads: usize, seen: usize) {
    let (width, head) = (query.len(), query.len() / heads);
    let mut weights = vec![0f32; seen];
    for (h, (query, out)) in query.chunks_exact(head).zip(out.chunks_exact_mut(head)).enumerate() {
        weigh::<FMA>(query, &pairs[h * head..], 2 * width, &mut weights);
        for (weight, value) in weights.iter().zip(pairs[width + h * head..].chunks(2 * width)) {
            add_scaled::<FMA>(out, *weight, &value[..head]);
        }
    }
}

#[inline(always)]
fn pull_back_body<const FMA: bool>(
    query: &[f32],
    pairs: &[f32],
    dy: &[f32],
    dquery: &mut [f32],
    dpairs: &mut [f32],
    [heads, seen]: [usize; 2],
) {
    let (width, head) = (query.len(), query.len() / heads);
    let scale = 1.0 / (head as f32).sqrt();
    let (mut weights, mut slopes) = (vec![0f32; seen], vec![0f32; seen]);
    for h in 0..heads {
        let at = h * head..(h + 1) * head;
        let (query, dy, dquery) = (&query[at.clone()], &dy[at.clone()], &mut dquery[at]);
        let (key, value) = (h * head, width + h * head);
        weigh::<FMA>(query, &pairs[key..], 2 * width, &mut weights);
        for (slope, value) in slopes.iter_mut().zip(pairs[value..].chunks(2 * width)) {
            *slope = sum([dy, &value[..head]], |[dy, v]| dy * v);
        }
        let along = sum([&weights, &slopes], |[p, d]| p * d);
        for j in 0..seen {
            let slope = scale * weights[j] * (slopes[j] - along);
            let row = 2 * width * j;
            add_scaled::<FMA>(dquery, slope, &pairs[row + key..row + key + head]);
            add_scaled::<FMA>(&mut dpairs[row + key..row + key + head], slope, query);
            add_scaled::<FMA>(&mut dpairs[row + value..row + value + head], weights[j], dy);
        }
    }
}

multiversion! { fn attend(query: &[f32], pairs: &[f32], out: &mut [f32], heads: usize, seen: usize) = attend_body }
multiversion! {
    fn pull_back(query: &[f32], pairs: &[f32], dy: &[f32], dquery: &mut [f32], dpairs: &mut [f32], sizes: [usize; 2]) = pull_back_body
}

/// Queries `[B, H, 1, head]`, keys and values `[B, H, L, head]`, probabilities `[B, H, 1, L]`.
fn composed_parts(queries: &Tensor, keys_values: &Tensor, heads: usize, seen: &[u32]) -> Result<[Tensor; 4]> {
    let (batch, length, packed) = keys_values.dims3()?;
    let head = packed / (2 * heads);
    let parts = keys_values.reshape((batch, length, 2, heads, head))?.permute((2, 0, 3, 1, 4))?;
    let (keys, values) = (parts.get(0)?.contiguous()?, parts.get(1)?.contiguous()?);
    let queries = queries.reshape((batch, heads, 1, head))?;
    // 0 where seen, far below every score where not.
    let hidden = seen.iter().flat_map(|seen| (0..length as u32).map(move |j| if j < *seen { 0f32 } else { -1e4 }));
    let hidden = Tensor::from_iter(hidden, queries.device())?.reshape((batch, 1, 1, length))?;
    let scores = (queries.matmul(&keys.t()?)? / (head as f64).sqrt())?;
    let scores = scores.broadcast_add(&hidden.to_dtype(queries.dtype())?)?;
    let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
    Ok([queries, keys, values, weights])
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_forward(queries: &Tensor, keys_values: &Tensor, heads: usize, seen: &[u32]) -> Result<Tensor> {
    let [_, _, values, weights] = composed_parts(queries, keys_values, heads, seen)?;
    weights.matmul(&values)?.reshape(queries.shape())
}

/// [`backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_backward(
    queries: &Tensor,
    keys_values: &Tensor,
    dy: &Tensor,
    heads: usize,
    seen: &[u32],
) -> Result<RowAttentionGradients> {
    let [rows, keys, values, weights] = composed_parts(queries, keys_values, heads, seen)?;
    let dout = dy.reshape(rows.shape())?;
    let dvalues = weights.t()?.contiguous()?.matmul(&dout)?;
    let dweights = dout.matmul(&values.t()?)?;
    let along = weights.mul(&dweights)?.sum_keepdim(D::Minus1)?;
    let scale = (rows.dim(D::Minus1)? as f64).sqrt();
    let dscores = (weights.mul(&dweights.broadcast_sub(&along)?)? / scale)?;
    let dqueries = dscores.matmul(&keys)?.reshape(queries.shape())?;
    let dkeys = dscores.t()?.contiguous()?.matmul(&rows)?;
    let dkeys_values = Tensor::stack(&[dkeys, dvalues], 0)?.permute((1, 3, 0, 2, 4))?.reshape(keys_values.shape())?;
    Ok(RowAttentionGradients { dqueries, dkeys_values })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::{backward, composed_backward, composed_forward, forward};
    use crate::kernel::{assert_close, fixed};

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        for (length, heads, head, seen) in [(1, 1, 1, [1, 1]), (5, 3, 7, [5, 2]), (33, 2, 40, [33, 33])] {
            let queries = fixed(&[2, heads * head], 1);
            let pairs = fixed(&[2, length, 2 * heads * head], 2);
            let dy = fixed(&[2, heads * head], 3);
            let got = forward(&queries, &pairs, heads, &seen)?;
            assert_close(&got, &composed_forward(&queries, &pairs, heads, &seen)?, 1e-5);
            let got = backward(&queries, &pairs, &dy, heads, &seen)?;
            let expected = composed_backward(&queries, &pairs, &dy, heads, &seen)?;
            assert_close(&got.dqueries, &expected.dqueries, 2e-5);
            assert_close(&got.dkeys_values, &expected.dkeys_values, 2e-5);
        }
        Ok(())
    }

    #[test]
    fn sample_that_sees_too_much_is_refused() -> Result<()> {
        let pairs = Tensor::zeros((1, 3, 8), candle_core::DType::F32, &Device::Cpu)?;
        let queries = Tensor::zeros((1, 4), candle_core::DType::F32, &Device::Cpu)?;
        assert!(forward(&queries, &pairs, 2, &[4]).is_err_and(|e| e.to_string().contains("expected 1 to 3 keys")));
        Ok(())
    }
}
