//! The loops of the exact resampling: weighted sums of rows of bytes, and the transposition that makes rows of columns.
#![allow(unsafe_code)]

use crate::filter::{Filter, PRECISION_BITS};

/// Rows of bytes with any distance between them.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) length: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn packed(bytes: &'a [u8], length: usize) -> Self {
        Self { bytes, stride: length, length }
    }
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Sums that are kept in registers: four of AVX2's.
const LANES: usize = 32;

/// Each output's weighted sum of rows, rounded and cut to bytes, one after the other in `out`.
pub(crate) fn weigh(source: Rows<'_>, filter: &Filter, out: &mut Vec<u8>) {
    out.resize(filter.count() * source.length, 0);
    if source.length == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { weigh_with_avx2(source, filter, out) };
    }
    weigh_all(source, filter, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn weigh_with_avx2(source: Rows<'_>, filter: &Filter, out: &mut [u8]) {
    weigh_all(source, filter, out);
}

#[inline(always)]
fn weigh_all(source: Rows<'_>, filter: &Filter, out: &mut [u8]) {
    for (output, line) in out.chunks_exact_mut(source.length).enumerate() {
        let (first, weights) = filter.of(output);
        let rows = &source.bytes[first * source.stride..];
        let (blocks, rest) = line.as_chunks_mut::<LANES>();
        let whole = blocks.len() * LANES;
        for (block, target) in blocks.iter_mut().enumerate() {
            let mut sums = [HALF; LANES];
            for (row, weight) in weights.iter().enumerate() {
                let start = row * source.stride + block * LANES;
                if let Some((values, _)) = rows[start..].split_first_chunk::<LANES>() {
                    // Nothing wraps: weights sum up to one. But checks would keep this from being vector code.
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(*value)));
                    }
                }
            }
            for (value, sum) in target.iter_mut().zip(sums) {
                *value = to_byte(sum);
            }
        }
        for (place, value) in rest.iter_mut().enumerate() {
            let at = |row: usize| i32::from(rows[row * source.stride + whole + place]);
            let sum = weights.iter().enumerate().map(|(row, weight)| weight * at(row)).sum::<i32>();
            *value = to_byte(HALF + sum);
        }
    }
}

#[inline(always)]
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Squares of this side fit in the first cache.
const TILE: usize = 32;

/// The first `count` rows as columns: `out` has `source.length` rows of `count` bytes.
pub(crate) fn transpose(source: Rows<'_>, count: usize, out: &mut Vec<u8>) {
    out.resize(source.length * count, 0);
    for top in (0..count).step_by(TILE) {
        let bottom = (top + TILE).min(count);
        for left in (0..source.length).step_by(TILE) {
            let right = (left + TILE).min(source.length);
            for column in left..right {
                let target = &mut out[column * count + top..column * count + bottom];
                let values = source.bytes[top * source.stride + column..].iter().step_by(source.stride);
                target.iter_mut().zip(values).for_each(|(target, value)| *target = *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let bytes: Vec<u8> = (0..70 * 50).map(|i| (i * 7 % 256) as u8).collect();
        let mut out = Vec::new();
        transpose(Rows { bytes: &bytes[3..], stride: 70, length: 60 }, 45, &mut out);
        assert!((0..60).all(|x| (0..45).all(|y| out[x * 45 + y] == bytes[3 + y * 70 + x])));
    }

    #[test]
    fn vector_code_gives_the_same_bytes() {
        let bytes: Vec<u8> = (0..100 * 90u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut filter = Filter::default();
        filter.set(90, 37, 0, 37);
        let (mut quick, mut plain) = (Vec::new(), vec![0; 37 * 77]);
        let rows = Rows { bytes: &bytes, stride: 100, length: 77 };
        weigh(rows, &filter, &mut quick);
        weigh_all(rows, &filter, &mut plain);
        assert_eq!(quick, plain);
    }
}
