//! One row for each sample: a chosen token, or the mean of all but the first.

use candle_core::Tensor;

use crate::error::{InLayer, Result};

/// Rows `positions[b]` of `x` `[B, L, C]`: `[B, C]`.
///
/// # Errors
/// For a position outside the sequence.
pub fn rows(x: &Tensor, positions: &[u32]) -> Result<Tensor> {
    select(x, positions).layer("pooling")
}

fn select(x: &Tensor, positions: &[u32]) -> candle_core::Result<Tensor> {
    let (batch, length, width) = x.dims3()?;
    x.reshape((batch * length, width))?.index_select(&indices(x, positions)?, 0)
}

fn indices(x: &Tensor, positions: &[u32]) -> candle_core::Result<Tensor> {
    let length = x.dim(1)? as u32;
    let flat: Vec<u32> = positions.iter().zip(0u32..).map(|(position, sample)| sample * length + position).collect();
    Tensor::new(flat, x.device())
}

/// Adds `drows` `[B, C]` to rows `positions[b]` of `dx` `[B, L, C]`.
///
/// # Errors
/// When shapes differ.
pub fn add_rows(dx: Tensor, positions: &[u32], drows: &Tensor) -> Result<Tensor> {
    let add = || {
        let (batch, length, width) = dx.dims3()?;
        let flat = dx.reshape((batch * length, width))?;
        flat.index_add(&indices(&dx, positions)?, drows, 0)?.reshape(dx.shape())
    };
    add().layer("pooling")
}

/// Mean of all rows but the first of `[B, L, C]`: `[B, C]`.
///
/// # Errors
/// For a sequence of less than two rows.
pub fn mean_of_patches(x: &Tensor) -> Result<Tensor> {
    let mean = || x.narrow(1, 1, x.dim(1)?.saturating_sub(1))?.mean(1);
    mean().layer("pooling")
}

/// Gradient of the input of [`mean_of_patches`], `[B, length, C]`.
///
/// # Errors
/// When shapes differ.
pub fn mean_of_patches_backward(length: usize, dy: &Tensor) -> Result<Tensor> {
    let spread = || {
        let (batch, width) = dy.dims2()?;
        let patches = length.saturating_sub(1);
        let share = (dy.unsqueeze(1)? / patches as f64)?.broadcast_as((batch, patches, width))?;
        share.contiguous()?.pad_with_zeros(1, 1, 0)
    };
    spread().layer("pooling")
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{add_rows, mean_of_patches, mean_of_patches_backward, rows};

    #[test]
    fn gradients_go_back_to_the_rows_that_were_taken() {
        let x = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((2, 3, 2)).unwrap();
        assert_eq!(rows(&x, &[2, 1]).unwrap().to_vec2::<f32>().unwrap(), [[4.0, 5.0], [8.0, 9.0]]);
        let dy = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let dx =
            add_rows(x.zeros_like().unwrap(), &[2, 1], &dy).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(dx, [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
        assert_eq!(mean_of_patches(&x).unwrap().to_vec2::<f32>().unwrap(), [[3.0, 4.0], [9.0, 10.0]]);
        let dx = mean_of_patches_backward(3, &dy).unwrap().get(1).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(dx, [[0.0, 0.0], [1.5, 2.0], [1.5, 2.0]]);
    }
}
