//! Matrix products of host slices: packing, blocking, and the split over threads.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::host::written;
use super::tile::{self, Block, Start};

/// Steps of `k` that one packed block covers: a panel of them stays in the first-level cache.
pub const K_BLOCK: usize = 384;
/// Values of packed right operand that stay in the second-level cache.
const CACHED: usize = 128 * 1024;
/// Products with fewer multiplications than this are not worth a second thread.
const SERIAL: usize = 1 << 17;
/// Largest result that is worth keeping in several copies, one for each part of a long sum.
const SPLIT_RESULT: usize = 160 * 1024;
/// Length of a part of a long sum.
const SPLIT_K: usize = 1024;

/// A matrix in a slice: element `(i, j)` lies at `i * row + j * col`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// The values.
    pub values: &'a [f32],
    /// Distance of two rows.
    pub row: usize,
    /// Distance of two columns.
    pub col: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix of `cols` columns.
    pub fn row_major(values: &'a [f32], cols: usize) -> Self {
        Self { values, row: cols, col: 1 }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { values: self.values, row: self.col, col: self.row }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0 || cols == 0 || (rows - 1) * self.row + (cols - 1) * self.col < self.values.len()
    }

    /// The part that starts at row `i`, column `j`.
    pub fn offset(self, i: usize, j: usize) -> Self {
        Self { values: &self.values[i * self.row + j * self.col..], ..self }
    }
}

/// Sizes of a product: the result is `m` x `n`, the sum has `k` terms.
#[derive(Clone, Copy)]
pub struct Size {
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Terms of the sum.
    pub k: usize,
}

/// Where a product goes: its values need not be set before.
pub struct Target<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut f32>,
}

impl<'a> From<&'a mut [MaybeUninit<f32>]> for Target<'a> {
    fn from(values: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { start: values.as_mut_ptr().cast(), len: values.len(), borrow: PhantomData }
    }
}

impl<'a> From<&'a mut [f32]> for Target<'a> {
    fn from(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), borrow: PhantomData }
    }
}

/// `a · b` as a new row-major `[m, n]`, plus a row of `n` values where `start` gives one.
///
/// # Panics
/// When an operand is shorter than its sizes say; callers take the sizes from the tensors themselves.
#[allow(unsafe_code)]
pub fn product(a: Matrix<'_>, b: Matrix<'_>, size: Size, start: Start<'_>) -> Vec<f32> {
    assert!(a.holds(size.m, size.k) && b.holds(size.k, size.n), "operand shorter than its shape");
    if size.m == 0 || size.n == 0 {
        return Vec::new();
    }
    if matches!(start, Start::Zero) && size.m * size.n <= SPLIT_RESULT && size.k >= 2 * SPLIT_K {
        return product_of_parts(a, b, size);
    }
    let packed = pack_all(b, size);
    let rows = rows_of_task(size);
    let task = |(index, c): (usize, &mut [MaybeUninit<f32>])| {
        let size = Size { m: c.len() / size.n, ..size };
        multiply_packed(a.offset(index * rows, 0), &packed, c, size.n, size, start);
    };
    // SAFETY: the tasks cover all rows, and each writes every column of its rows.
    unsafe {
        written(size.m * size.n, |c| {
            if size.m * size.n * size.k <= SERIAL {
                c.chunks_mut(rows * size.n).enumerate().for_each(task);
            } else {
                c.par_chunks_mut(rows * size.n).enumerate().for_each(task);
            }
        })
    }
}

/// Rows that one task computes: whole blocks, some dozens of tasks where the matrix is tall.
fn rows_of_task(size: Size) -> usize {
    let block = tile::block_rows();
    let wanted = (size.m / 16).clamp(block, 8 * block);
    wanted.next_multiple_of(block)
}

/// A long sum into a small result: each part of the sum on its own, added up in order.
#[allow(unsafe_code)]
fn product_of_parts(a: Matrix<'_>, b: Matrix<'_>, size: Size) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = (0..size.k.div_ceil(SPLIT_K))
        .into_par_iter()
        .map(|part| {
            let first = part * SPLIT_K;
            let size = Size { k: SPLIT_K.min(size.k - first), ..size };
            let packed = pack_here(b.offset(first, 0), size);
            let multiply = |c: &mut [MaybeUninit<f32>]| {
                multiply_packed(a.offset(0, first), &packed, c, size.n, size, Start::Zero);
            };
            // SAFETY: a product writes every value of its result.
            unsafe { written(size.m * size.n, multiply) }
        })
        .collect();
    add_up(parts)
}

/// Element-wise sum of equally long parts, in their order.
pub fn add_up(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(sum, value)| *sum += value);
    }
    total
}

/// Values of one packed block of `k` steps over all columns.
pub fn packed_block(n: usize, k: usize) -> usize {
    n.next_multiple_of(tile::panel_width()) * k
}

/// Packs the right operand into panels, on all threads where it is large.
pub fn pack_all(b: Matrix<'_>, size: Size) -> Vec<f32> {
    if size.n * size.k <= SERIAL / 8 {
        return pack_here(b, size);
    }
    let mut packed = vec![0f32; packed_block(size.n, size.k)];
    for (index, block) in packed.chunks_mut(packed_block(size.n, K_BLOCK)).enumerate() {
        let first = index * K_BLOCK;
        let k = K_BLOCK.min(size.k - first);
        let width = tile::panel_width();
        block.par_chunks_mut(k * width).enumerate().for_each(|(p, panel)| {
            pack_panel(b.offset(first, p * width), k, width.min(size.n - p * width), panel);
        });
    }
    packed
}

/// Packs the right operand into panels on this thread: blocks of [`K_BLOCK`] steps, each as panels of whole columns.
pub fn pack_here(b: Matrix<'_>, size: Size) -> Vec<f32> {
    let mut packed = vec![0f32; packed_block(size.n, size.k)];
    pack_into(b, size, &mut packed);
    packed
}

/// As [`pack_here`], into a buffer of [`packed_len`] values that is zero where no column exists.
pub fn pack_into(b: Matrix<'_>, size: Size, packed: &mut [f32]) {
    let width = tile::panel_width();
    for (index, block) in packed.chunks_mut(packed_block(size.n, K_BLOCK)).enumerate() {
        let first = index * K_BLOCK;
        let k = K_BLOCK.min(size.k - first);
        for (p, panel) in block.chunks_mut(k * width).enumerate() {
            pack_panel(b.offset(first, p * width), k, width.min(size.n - p * width), panel);
        }
    }
}

/// Length of the packed form of a `[k, n]` operand.
pub fn packed_len(size: Size) -> usize {
    packed_block(size.n, size.k)
}

fn pack_panel(b: Matrix<'_>, k: usize, cols: usize, panel: &mut [f32]) {
    let width = tile::panel_width();
    if b.col == 1 {
        for (step, to) in panel.chunks_exact_mut(width).take(k).enumerate() {
            to[..cols].copy_from_slice(&b.values[step * b.row..step * b.row + cols]);
        }
        return;
    }
    for col in 0..cols {
        let from = &b.values[col * b.col..];
        for (step, to) in panel.iter_mut().skip(col).step_by(width).take(k).enumerate() {
            *to = from[step * b.row];
        }
    }
}

/// `c = a · b` on this thread, `b` packed, rows of `c` lying `c_row` apart. With [`Start::Result`] the product is added to
/// `c`, which must be set then.
///
/// # Panics
/// When a slice is too short for the sizes.
#[allow(unsafe_code)]
pub fn multiply_packed<'a>(
    a: Matrix<'_>,
    packed: &[f32],
    c: impl Into<Target<'a>>,
    c_row: usize,
    size: Size,
    start: Start<'_>,
) {
    let c = c.into();
    let Size { m, n, k } = size;
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.holds(m, k) && packed.len() >= packed_block(n, k), "operand shorter than its shape");
    assert!((m - 1) * c_row + n <= c.len && n <= c_row, "result shorter than its shape");
    if let Start::Row(row) = start {
        assert!(row.len() >= n, "row to start from shorter than the result");
    }
    let (width, most_rows) = (tile::panel_width(), tile::block_rows());
    for first in (0..k.max(1)).step_by(K_BLOCK) {
        let steps = K_BLOCK.min(k - first);
        let base = packed_block(n, first);
        let group = (CACHED / (steps.max(1) * width)).max(1) * width;
        for group_start in (0..n).step_by(group) {
            for i in (0..m).step_by(most_rows) {
                for j in (group_start..n.min(group_start + group)).step_by(width) {
                    let at = c.start.wrapping_add(i * c_row + j);
                    let (from, start_row) = match (first, start) {
                        (0, Start::Zero) => (std::ptr::null(), 0),
                        (0, Start::Row(row)) => (row[j..].as_ptr(), 0),
                        // A further block of `k`, or a sum that goes on: what lies there.
                        _ => (at.cast_const(), c_row),
                    };
                    let block = Block {
                        a: a.values[i * a.row + first * a.col..].as_ptr(),
                        a_row: a.row,
                        a_step: a.col,
                        b: packed[base + j * steps..].as_ptr(),
                        c: at,
                        c_row,
                        k: steps,
                        rows: most_rows.min(m - i),
                        cols: width.min(n - j),
                        start: from,
                        start_row,
                    };
                    // SAFETY: the assertions above put every row, column and step of the block inside its slice.
                    unsafe { tile::run(&block) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, Size, Start, product};

    fn values(n: usize, seed: u32) -> Vec<f32> {
        (0..n).map(|i| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / 8e6 - 1.0).collect()
    }

    fn check(size: Size, transpose: [bool; 2], bias: bool) {
        let Size { m, n, k } = size;
        let (a, b, row) = (values(m * k, 1), values(k * n, 2), values(n, 3));
        let a = if transpose[0] { Matrix::row_major(&a, m).transposed() } else { Matrix::row_major(&a, k) };
        let b = if transpose[1] { Matrix::row_major(&b, k).transposed() } else { Matrix::row_major(&b, n) };
        let got = product(a, b, size, if bias { Start::Row(&row) } else { Start::Zero });
        for i in 0..m {
            for j in 0..n {
                let term = |p: usize| f64::from(a.values[i * a.row + p * a.col] * b.values[p * b.row + j * b.col]);
                let expected = (0..k).map(term).sum::<f64>() + if bias { f64::from(row[j]) } else { 0.0 };
                let tolerance = 1e-5 * (1.0 + (k as f64).sqrt());
                assert!((f64::from(got[i * n + j]) - expected).abs() < tolerance, "{m}x{n}x{k} at {i},{j}");
            }
        }
    }

    #[test]
    fn products_of_odd_sizes_agree_with_the_definition() {
        for (m, n, k) in [(1, 1, 1), (5, 7, 3), (13, 33, 31), (40, 65, 400), (101, 17, 770), (3, 130, 0)] {
            for transpose in [[false, false], [false, true], [true, false], [true, true]] {
                check(Size { m, n, k }, transpose, true);
                check(Size { m, n, k }, transpose, false);
            }
        }
    }

    #[test]
    fn long_sums_are_split_into_parts() {
        check(Size { m: 17, n: 35, k: 5000 }, [true, false], false);
    }
}
