//! A tensor as it lies in a file, and its values read out of there.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::kernel::host::written;

/// Type of the values in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// The upper half of 32 bits.
    Bf16,
    /// IEEE 754, 64 bits.
    F64,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 8 bits, and truth values.
    U8,
}

impl Element {
    /// Bytes of a value.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }
}

/// Type, shape and layout; value `(i, j, …)` lies `offset + i stride[0] + j stride[1] + …` values behind the start.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Type of the values.
    pub element: Element,
    /// Shape.
    pub shape: Vec<usize>,
    /// Distance of neighbours along each dimension, in values.
    pub stride: Vec<usize>,
    /// Where the first value lies, in values.
    pub offset: usize,
}

/// Values converted by one task.
const TASK: usize = 256 * 1024;

impl StoredTensor {
    /// A tensor without gaps.
    pub fn contiguous(element: Element, shape: Vec<usize>) -> Self {
        let stride = row_major(&shape);
        Self { element, shape, stride, offset: 0 }
    }

    /// Number of values; `None` where that overflows.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))
    }

    /// Whether `length` bytes hold every value; the text says why not.
    ///
    /// # Errors
    /// When a value would lie outside.
    pub fn check(&self, length: usize) -> Result<(), String> {
        let room = length / self.element.size();
        let last = self.shape.iter().zip(&self.stride).try_fold(self.offset, |last, (size, stride)| {
            last.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
        });
        let count = self.count().ok_or_else(|| format!("shape {:?} is too large", self.shape))?;
        match last {
            _ if count == 0 => Ok(()),
            // An expanded tensor may repeat values, but none is larger than the bytes that it could come from by much.
            Some(last) if last < room && count / 64 <= room.max(1024) => Ok(()),
            _ => Err(format!("shape {:?} reaches beyond its {length} bytes", self.shape)),
        }
    }

    /// All values as `f32`, in row-major order; `bytes` must have passed [`StoredTensor::check`].
    pub fn to_f32(&self, bytes: &[u8]) -> Vec<f32> {
        match self.element {
            Element::F32 => self.read(bytes, f32::from_le_bytes),
            Element::F16 => self.read(bytes, |value| half::f16::from_le_bytes(value).to_f32()),
            Element::Bf16 => self.read(bytes, |value| half::bf16::from_le_bytes(value).to_f32()),
            Element::F64 => self.read(bytes, |value| f64::from_le_bytes(value) as f32),
            Element::I64 => self.read(bytes, |value| i64::from_le_bytes(value) as f32),
            Element::I32 => self.read(bytes, |value| i32::from_le_bytes(value) as f32),
            Element::U8 => self.read(bytes, |[value]: [u8; 1]| f32::from(value)),
        }
    }

    /// All values as whole numbers, in row-major order; `bytes` must have passed [`StoredTensor::check`].
    pub fn to_i64(&self, bytes: &[u8]) -> Vec<i64> {
        match self.element {
            Element::I64 => self
                .gathered(bytes)
                .chunks_exact(8)
                .filter_map(|value| Some(i64::from_le_bytes(*value.as_array()?)))
                .collect(),
            _ => self.to_f32(bytes).into_iter().map(|value| value as i64).collect(),
        }
    }

    #[allow(unsafe_code)]
    fn read<const N: usize>(&self, bytes: &[u8], convert: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
        let gathered = self.gathered(bytes);
        let (values, _) = gathered.as_chunks::<N>();
        let task = |(to, from): (&mut [MaybeUninit<f32>], &[[u8; N]])| {
            for (to, value) in to.iter_mut().zip(from) {
                to.write(convert(*value));
            }
        };
        // SAFETY: the tasks set a value for each one they read.
        unsafe { written(values.len(), |to| to.par_chunks_mut(TASK).zip(values.par_chunks(TASK)).for_each(task)) }
    }

    /// The bytes in row-major order: where they lie, or a copy where they lie otherwise.
    fn gathered<'a>(&self, bytes: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
        let (size, count) = (self.element.size(), self.count().unwrap_or(0));
        if count == 0 {
            return [].as_slice().into();
        }
        let plain = self.stride.iter().zip(row_major(&self.shape)).zip(&self.shape);
        if plain.into_iter().all(|((got, plain), extent)| *got == plain || *extent == 1) {
            return bytes[self.offset * size..(self.offset + count) * size].into();
        }
        let mut copy = Vec::with_capacity(count * size);
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..count {
            let at = index.iter().zip(&self.stride).fold(self.offset, |at, (i, stride)| at + i * stride) * size;
            copy.extend_from_slice(&bytes[at..at + size]);
            for (i, extent) in index.iter_mut().zip(&self.shape).rev() {
                *i = (*i + 1) % extent;
                if *i != 0 {
                    break;
                }
            }
        }
        copy.into()
    }
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut stride: Vec<usize> = shape
        .iter()
        .rev()
        .scan(1usize, |step, size| {
            let own = *step;
            *step = step.saturating_mul(*size);
            Some(own)
        })
        .collect();
    stride.reverse();
    stride
}

#[cfg(test)]
mod tests {
    use super::{Element, StoredTensor};

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn transposed_layout_is_read_in_order() {
        let stored = StoredTensor { element: Element::F32, shape: vec![2, 3], stride: vec![1, 2], offset: 1 };
        let bytes = bytes(&[9.0, 0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
        stored.check(bytes.len()).unwrap();
        assert_eq!(stored.to_f32(&bytes), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert!(stored.check(bytes.len() - 4).is_err());
    }

    #[test]
    fn half_precision_is_widened() {
        let stored = StoredTensor::contiguous(Element::Bf16, vec![2]);
        assert_eq!(stored.to_f32(&[0x80, 0x3f, 0x00, 0xc0]), [1.0, -2.0]);
        let stored = StoredTensor::contiguous(Element::F16, vec![1]);
        assert_eq!(stored.to_f32(&[0x00, 0x3e]), [1.5]);
    }

    #[test]
    fn shapes_that_lie_are_refused() {
        for shape in [vec![usize::MAX, 2], vec![1 << 40]] {
            let stored = StoredTensor { element: Element::F32, stride: vec![0; shape.len()], shape, offset: 0 };
            assert!(stored.check(16).is_err());
        }
    }
}
