//! Host memory of candle tensors as plain slices, and back.

use std::mem::MaybeUninit;
use std::ops::Deref;

use candle_core::{CpuStorage, DType, Device, Result, Shape, Storage, StorageRef, Tensor};

/// Whether every tensor lies in host memory as `f32`, so that a CPU kernel can take it.
pub fn on_host(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32)
}

/// A contiguous `f32` tensor read in place.
pub struct HostSlice<'a> {
    storage: StorageRef<'a>,
    start: usize,
    end: usize,
}

impl<'a> HostSlice<'a> {
    /// Reads a tensor in place.
    ///
    /// # Errors
    /// When the tensor is not contiguous.
    pub fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(Self { storage, start, end }),
            None => candle_core::bail!("expected a contiguous tensor, got strides {:?}", layout.stride()),
        }
    }
}

impl Deref for HostSlice<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.start..self.end],
            _ => &[],
        }
    }
}

/// A buffer of `len` values that `write` sets, without zeroing it first: zeros would cost an eighth of a training step.
///
/// # Safety
/// `write` must set every value.
#[allow(unsafe_code)]
pub unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    write(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is there, and the caller vouches that all values are set.
    unsafe { values.set_len(len) };
    values
}

/// Hands a buffer to candle without a copy.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}
