//! The innermost block of every matrix product: a few rows by one panel of columns, kept in registers.

use super::isa::{Isa, isa};

/// What a block of the result starts from.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// Zero.
    Zero,
    /// The same row of values for every row: one value for each column of the result.
    Row(&'a [f32]),
    /// What the result holds already.
    Result,
}

/// One block: `rows` x `cols` of the result, over `k`.
pub struct Block {
    /// First value of the left operand; rows `a_row` apart, steps of `k` `a_step` apart.
    pub a: *const f32,
    /// Distance of two rows of the left operand.
    pub a_row: usize,
    /// Distance of two steps of `k` in the left operand.
    pub a_step: usize,
    /// A panel of the right operand: `k` times [`panel_width`] values.
    pub b: *const f32,
    /// First value of the result, rows `c_row` apart.
    pub c: *mut f32,
    /// Distance of two rows of the result.
    pub c_row: usize,
    /// Length of the sum.
    pub k: usize,
    /// Rows of this block, from 1 to [`block_rows`].
    pub rows: usize,
    /// Columns of this block that exist, from 1 to [`panel_width`].
    pub cols: usize,
    /// Null to start from zero; otherwise where rows to start from lie, `start_row` apart.
    pub start: *const f32,
    /// Distance of two rows to start from: 0 repeats one row.
    pub start_row: usize,
}

/// Columns of a packed panel on this machine.
pub fn panel_width() -> usize {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => 32,
        _ => 16,
    }
}

/// Most rows of a block on this machine.
pub fn block_rows() -> usize {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => 12,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => 6,
        Isa::Baseline => 4,
    }
}

/// Computes one block.
///
/// # Safety
/// Every address that the block's fields describe must be valid, and `c` must not overlap the others (`start` may be `c`).
#[allow(unsafe_code)]
pub unsafe fn run(block: &Block) {
    // SAFETY: the caller vouches for the addresses, `isa` for the instruction set.
    unsafe {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if block.cols <= 16 => avx512::narrow(block),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::wide(block),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::wide(block),
            Isa::Baseline => baseline::wide(block),
        }
    }
}

/// The block over one vector type: `$width` values a vector, a panel of `$width * 2` columns.
macro_rules! tiles {
    ($vector:ty, $width:literal, $features:literal, [$($rows:literal),*]) => {
        const WIDTH: usize = $width;

        /// All columns of the panel.
        #[target_feature(enable = $features)]
        pub unsafe fn wide(block: &Block) {
            // SAFETY: as for the caller.
            unsafe { by_rows::<2>(block) }
        }

        #[target_feature(enable = $features)]
        unsafe fn by_rows<const VECTORS: usize>(block: &Block) {
            // SAFETY: as for the caller; each arm computes exactly the rows of the block.
            unsafe {
                match block.rows {
                    $($rows => tile::<$rows, VECTORS>(block),)*
                    _ => {}
                }
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn tile<const ROWS: usize, const VECTORS: usize>(block: &Block) {
            // SAFETY: rows stay below ROWS = block.rows, columns below block.cols, steps below block.k.
            unsafe {
                let mut sums = [[zero(); VECTORS]; ROWS];
                if !block.start.is_null() {
                    for (i, row) in sums.iter_mut().enumerate() {
                        *row = load_row(block.start.add(i * block.start_row), block.cols);
                    }
                }
                if block.a_row == 1 {
                    steps::<ROWS, VECTORS, true>(block, &mut sums);
                } else {
                    steps::<ROWS, VECTORS, false>(block, &mut sums);
                }
                for (i, row) in sums.iter().enumerate() {
                    store_row(block.c.add(i * block.c_row), row, block.cols);
                }
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn steps<const ROWS: usize, const VECTORS: usize, const UNIT: bool>(
            block: &Block,
            sums: &mut [[$vector; VECTORS]; ROWS],
        ) {
            let row = if UNIT { 1 } else { block.a_row };
            let mut kept = *sums;
            let (mut a, mut b) = (block.a, block.b);
            // Addresses wrap: checked arithmetic would cost more than the products where debug assertions are on.
            for _ in 0..block.k {
                // SAFETY: the operands hold block.k steps; only addresses inside them are read.
                unsafe {
                    let mut right = [zero(); VECTORS];
                    for (v, value) in right.iter_mut().enumerate() {
                        *value = load(b.wrapping_add(v * WIDTH));
                    }
                    for (i, sum) in kept.iter_mut().enumerate() {
                        let left = splat(a.wrapping_add(i.wrapping_mul(row)));
                        for (sum, right) in sum.iter_mut().zip(right) {
                            *sum = multiply_add(left, right, *sum);
                        }
                    }
                }
                b = b.wrapping_add(2 * WIDTH);
                a = a.wrapping_add(block.a_step);
            }
            *sums = kept;
        }

        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn load_row<const VECTORS: usize>(from: *const f32, cols: usize) -> [$vector; VECTORS] {
            let mut row = [zero(); VECTORS];
            // SAFETY: `cols` values lie at `from`; a partial row goes through a buffer.
            unsafe {
                let mut buffer = [0f32; 2 * WIDTH];
                let mut source = from;
                if cols < VECTORS * WIDTH {
                    std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), cols);
                    source = buffer.as_ptr();
                }
                for (v, value) in row.iter_mut().enumerate() {
                    *value = load(source.add(v * WIDTH));
                }
            }
            row
        }

        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn store_row<const VECTORS: usize>(to: *mut f32, row: &[$vector; VECTORS], cols: usize) {
            // SAFETY: `cols` values may be written at `to`; a partial row goes through a buffer.
            unsafe {
                let mut buffer = [0f32; 2 * WIDTH];
                let whole = cols >= VECTORS * WIDTH;
                let target = if whole { to } else { buffer.as_mut_ptr() };
                for (v, value) in row.iter().enumerate() {
                    store(target.add(v * WIDTH), *value);
                }
                if !whole {
                    std::ptr::copy_nonoverlapping(buffer.as_ptr(), to, cols);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512 {
    //! 32 columns, or the first 16 of them.
    use std::arch::x86_64::{
        __m512, _mm_load_ss, _mm512_broadcastss_ps, _mm512_fmadd_ps as multiply_add, _mm512_maskz_loadu_ps,
        _mm512_setzero_ps as zero, _mm512_storeu_ps as store,
    };

    use super::Block;

    tiles!(__m512, 16, "avx512f", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

    /// The first half of the panel's columns.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn narrow(block: &Block) {
        // SAFETY: as for the caller.
        unsafe { by_rows::<1>(block) }
    }

    /// Sixteen values. The masked form becomes a plain load, and has no checks where debug assertions are on.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller has sixteen values at `from`.
        unsafe { _mm512_maskz_loadu_ps(u16::MAX, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn splat(from: *const f32) -> __m512 {
        // SAFETY: the caller has a value at `from`.
        unsafe { _mm512_broadcastss_ps(_mm_load_ss(from)) }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2 {
    //! 16 columns.
    use std::arch::x86_64::{
        __m256, _mm_load_ss, _mm256_broadcastss_ps, _mm256_fmadd_ps as multiply_add, _mm256_loadu_ps as load,
        _mm256_setzero_ps as zero, _mm256_storeu_ps as store,
    };

    use super::Block;

    tiles!(__m256, 8, "avx2,fma", [1, 2, 3, 4, 5, 6]);

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn splat(from: *const f32) -> __m256 {
        // SAFETY: the caller has a value at `from`.
        unsafe { _mm256_broadcastss_ps(_mm_load_ss(from)) }
    }
}

#[allow(unsafe_code)]
mod baseline {
    //! 16 columns in plain Rust.
    use super::Block;

    #[inline(always)]
    fn zero() -> [f32; 8] {
        [0.0; 8]
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> [f32; 8] {
        // SAFETY: the caller has a value at `from`.
        [unsafe { *from }; 8]
    }

    #[inline(always)]
    fn multiply_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 8] {
        // SAFETY: the caller has eight values at `from`.
        unsafe { from.cast::<[f32; 8]>().read() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; 8]) {
        // SAFETY: the caller may write eight values at `to`.
        unsafe { to.cast::<[f32; 8]>().write(value) }
    }

    // Every target with the name x86-64 has sse2; elsewhere the attribute must not be asked for.
    #[cfg(target_arch = "x86_64")]
    tiles!([f32; 8], 8, "sse2", [1, 2, 3, 4]);
    #[cfg(not(target_arch = "x86_64"))]
    tiles!([f32; 8], 8, "neon", [1, 2, 3, 4]);
}
