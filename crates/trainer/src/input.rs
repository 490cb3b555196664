//! Batches of plain buffers turned into tensors: `pixel_values [B, 3, H, W]` and `input_ids [B, L]`.

use candle_core::{DType, Device, Tensor};
use loader::Fitting;
use model::config::{Interpolation, PreprocessConfig, ResizeMode};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// How the pictures of an evaluation become squares, as the model's weights want them.
pub fn fitting(preprocess: &PreprocessConfig) -> Fitting {
    let resize_mode = match preprocess.resize_mode {
        ResizeMode::Shortest => loader::ResizeMode::Shortest,
        ResizeMode::Longest => loader::ResizeMode::Longest,
        ResizeMode::Squash => loader::ResizeMode::Squash,
    };
    let interpolation = match preprocess.interpolation {
        Interpolation::Bicubic => loader::Interpolation::Bicubic,
        Interpolation::Bilinear => loader::Interpolation::Bilinear,
    };
    Fitting { resize_mode, interpolation }
}

/// `u8` pixels `[B, H, W, 3]` as normalised f32 `[B, 3, H, W]`: `(x / 255 − mean) / std` per channel, in
/// that order of operations, so that the values are torch's bit for bit.
///
/// On an accelerator the bytes travel as they are and are normalised there.
///
/// # Errors
/// When the buffer does not hold `batch · side · side · 3` bytes, or the device fails.
pub fn pixel_values(
    pixels: &[u8],
    batch: usize,
    side: usize,
    preprocess: &PreprocessConfig,
    device: &Device,
) -> Result<Tensor> {
    let shape = (batch, side, side, 3);
    let (expected, got) = (batch * side * side * 3, pixels.len());
    if expected != got {
        return Err(Error::Batch { what: "bytes of pixels", expected, got });
    }
    if !device.is_cpu() {
        return Ok(normalise_on_device(&Tensor::from_slice(pixels, shape, device)?, preprocess)?);
    }
    let plane = side * side;
    let tables = tables(preprocess);
    let mut values = vec![0f32; pixels.len()];
    values.par_chunks_mut(plane * 3).zip(pixels.par_chunks(plane * 3)).for_each(|(values, pixels)| {
        for (channel, table) in tables.iter().enumerate() {
            let out = &mut values[channel * plane..][..plane];
            for (value, pixel) in out.iter_mut().zip(pixels.chunks_exact(3)) {
                *value = table[usize::from(pixel[channel])];
            }
        }
    });
    Ok(Tensor::from_vec(values, (batch, 3, side, side), device)?)
}

/// The 256 possible values of each channel.
fn tables(preprocess: &PreprocessConfig) -> [[f32; 256]; 3] {
    let mut tables = [[0f32; 256]; 3];
    for (channel, table) in tables.iter_mut().enumerate() {
        let (mean, std) = (preprocess.mean[channel] as f32, preprocess.std[channel] as f32);
        for (byte, value) in table.iter_mut().enumerate() {
            *value = (byte as f32 / 255.0 - mean) / std;
        }
    }
    tables
}

fn normalise_on_device(pixels: &Tensor, preprocess: &PreprocessConfig) -> candle_core::Result<Tensor> {
    let per_channel = |values: [f64; 3]| {
        let values = values.map(|value| value as f32);
        Tensor::new(&values, pixels.device())?.reshape((1, 3, 1, 1))
    };
    let scaled = (pixels.permute((0, 3, 1, 2))?.to_dtype(DType::F32)? / 255.0)?;
    scaled.broadcast_sub(&per_channel(preprocess.mean)?)?.broadcast_div(&per_channel(preprocess.std)?)
}

/// Token ids `[B, L]` as a u32 tensor.
///
/// # Errors
/// When the buffer does not hold `batch · context_length` ids, or the device fails.
pub fn input_ids(ids: &[u32], batch: usize, context_length: usize, device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(ids, (batch, context_length), device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_normalised_and_moved_to_planes() {
        let preprocess = PreprocessConfig::default();
        let pixels: Vec<u8> = (0..2 * 2 * 2 * 3).map(|i| (i * 9) as u8).collect();
        let device = Device::Cpu;
        let fast = pixel_values(&pixels, 2, 2, &preprocess, &device).unwrap();
        let composed =
            normalise_on_device(&Tensor::from_slice(&pixels, (2, 2, 2, 3), &device).unwrap(), &preprocess).unwrap();
        assert_eq!(fast.dims(), [2, 3, 2, 2]);
        let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // The device multiplies by 1/255 where the table divides by 255.
        let pairs = values(fast).into_iter().zip(values(composed.contiguous().unwrap()));
        pairs.for_each(|(fast, composed)| assert!((fast - composed).abs() < 1e-6, "{fast} {composed}"));
    }

    #[test]
    fn a_buffer_of_the_wrong_length_is_an_error() {
        assert!(pixel_values(&[0; 11], 1, 2, &PreprocessConfig::default(), &Device::Cpu).is_err());
        assert!(input_ids(&[0; 3], 2, 2, &Device::Cpu).is_err());
    }
}
