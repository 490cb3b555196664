//! Matrix products and column sums of tensors whose leading dimensions count as rows.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use super::gemm::{Matrix, Size, add_up, product};
use super::host::{HostSlice, on_host, tensor};
use super::isa::multiversion;
use super::narrow::{following, narrow_on_host, wide, wide_option};
use super::tile::Start;

/// Rows whose column sums one task takes.
const ROWS_OF_TASK: usize = 512;

/// Number of rows and length of a row of a tensor whose leading dimensions are all rows.
fn rows_and_cols(x: &Tensor) -> Result<(usize, usize)> {
    match x.dims() {
        [] => candle_core::bail!("expected a matrix, got a scalar"),
        [leading @ .., cols] => Ok((leading.iter().product(), *cols)),
    }
}

fn with_last(x: &Tensor, cols: usize) -> Vec<usize> {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = cols;
    }
    dims
}

fn agree(what: &str, left: usize, right: usize) -> Result<()> {
    if left != right {
        candle_core::bail!("{what}: sizes {left} and {right} differ");
    }
    Ok(())
}

/// `x · b + row` for `x` `[.., K]`, `b` `[K, N]` and `row` `[N]`; the result is `[.., N]`.
///
/// # Errors
/// When inner sizes differ, or from candle.
pub fn plain(x: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((m, k), (inner, n)) = (rows_and_cols(x)?, b.dims2()?);
    agree("product", k, inner)?;
    if let Some(narrow) = narrow_on_host(x) {
        return plain(&wide(x)?, &wide(b)?)?.to_dtype(narrow);
    }
    if !on_host(&[x, b]) {
        return x.reshape((m, k))?.matmul(&following(b, x)?)?.reshape(with_last(x, n));
    }
    let (x, b) = (x.contiguous()?, b.contiguous()?);
    let values = {
        let (left, right) = (HostSlice::of(&x)?, HostSlice::of(&b)?);
        product(Matrix::row_major(&left, k), Matrix::row_major(&right, n), Size { m, n, k }, Start::Zero)
    };
    tensor(values, with_last(&x, n))
}

/// `x · wᵀ + bias` for `x` `[.., K]`, `w` `[N, K]`, `bias` `[N]`; the result is `[.., N]`.
///
/// # Errors
/// When inner sizes differ, or from candle.
pub fn by_transposed(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((m, k), (n, inner)) = (rows_and_cols(x)?, w.dims2()?);
    agree("product with a transposed matrix", k, inner)?;
    if let Some(narrow) = narrow_on_host(x) {
        return by_transposed(&wide(x)?, &wide(w)?, wide_option(bias)?.as_ref())?.to_dtype(narrow);
    }
    if !on_host(&[x, w]) {
        let y = x.reshape((m, k))?.matmul(&following(w, x)?.t()?)?;
        let y = if let Some(bias) = bias { y.broadcast_add(&following(bias, x)?)? } else { y };
        return y.reshape(with_last(x, n));
    }
    let (x, w) = (x.contiguous()?, w.contiguous()?);
    let bias = bias.map(Tensor::contiguous).transpose()?;
    let values = {
        let (left, right) = (HostSlice::of(&x)?, HostSlice::of(&w)?);
        let row = bias.as_ref().map(HostSlice::of).transpose()?;
        let start = match &row {
            Some(row) => {
                agree("bias", row.len(), n)?;
                Start::Row(row)
            }
            None => Start::Zero,
        };
        product(Matrix::row_major(&left, k), Matrix::row_major(&right, k).transposed(), Size { m, n, k }, start)
    };
    tensor(values, with_last(&x, n))
}

/// `aᵀ · b` for `a` `[.., M]` and `b` `[.., N]` with equally many rows; the result is `[M, N]`.
///
/// # Errors
/// When the numbers of rows differ, or from candle.
pub fn transposed_by(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((k, m), (rows, n)) = (rows_and_cols(a)?, rows_and_cols(b)?);
    agree("product of a transposed matrix", k, rows)?;
    if narrow_on_host(a).is_some() {
        return transposed_by(&wide(a)?, &wide(b)?);
    }
    if !on_host(&[a, b]) {
        return a.reshape((k, m))?.t()?.matmul(&b.reshape((k, n))?);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let values = {
        let (left, right) = (HostSlice::of(&a)?, HostSlice::of(&b)?);
        let left = Matrix::row_major(&left, m).transposed();
        product(left, Matrix::row_major(&right, n), Size { m, n, k }, Start::Zero)
    };
    tensor(values, (m, n))
}

/// Sum over all rows: `[.., N]` becomes `[N]`.
///
/// # Errors
/// From candle.
pub fn column_sum(x: &Tensor) -> Result<Tensor> {
    let (rows, cols) = rows_and_cols(x)?;
    if x.dtype() != DType::F32 && x.dtype() != DType::F64 {
        return column_sum(&wide(x)?);
    }
    if !on_host(&[x]) {
        return x.reshape((rows, cols))?.sum(0);
    }
    let x = x.contiguous()?;
    let values = {
        let values = HostSlice::of(&x)?;
        let parts: Vec<Vec<f32>> = values
            .par_chunks((ROWS_OF_TASK * cols).max(1))
            .map(|rows| {
                let mut total = vec![0f32; cols];
                add_rows(rows, &mut total);
                total
            })
            .collect();
        if parts.is_empty() { vec![0f32; cols] } else { add_up(parts) }
    };
    tensor(values, cols)
}

#[inline(always)]
fn add_rows_body<const FMA: bool>(rows: &[f32], total: &mut [f32]) {
    for row in rows.chunks_exact(total.len()) {
        for (sum, value) in total.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

multiversion! {
    /// Adds every row to `total`, whose length is that of a row.
    pub(super) fn add_rows(rows: &[f32], total: &mut [f32]) = add_rows_body
}
