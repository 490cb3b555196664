//! Rows of a table by id, and the scatter of their gradients.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host, tensor};
use super::narrow::wide;

/// Values that a task of the gather writes.
const TASK: usize = 16 * 1024;

/// Rows of `table` `[V, C]` for `ids` `[B, L]` (u32): `[B, L, C]`, plus `positions` `[L, C]` for every `B`.
///
/// # Errors
/// For an id outside the table, or from candle.
pub fn forward(table: &Tensor, ids: &Tensor, positions: &Tensor) -> Result<Tensor> {
    let ((vocab, width), (batch, length)) = (table.dims2()?, ids.dims2()?);
    if positions.dims() != [length, width] {
        candle_core::bail!("positions have shape {:?}, expected [{length}, {width}]", positions.dims());
    }
    if !on_host(&[table, positions]) {
        return composed_forward(table, ids, positions);
    }
    let rows = host_ids(ids, vocab)?;
    let (table, positions) = (table.contiguous()?, positions.contiguous()?);
    let values = {
        let (table, positions) = (HostSlice::of(&table)?, HostSlice::of(&positions)?);
        let (table, positions): (&[f32], &[f32]) = (&table, &positions);
        let mut to = vec![0f32; rows.len() * width];
        to.par_chunks_mut(width.max(1)).with_min_len(TASK / width.max(1) + 1).enumerate().for_each(|(i, to)| {
            let row = &table[rows[i] * width..][..width];
            let position = &positions[i % length * width..][..width];
            to.iter_mut().zip(row.iter().zip(position)).for_each(|(to, (row, position))| *to = row + position);
        });
        to
    };
    tensor(values, (batch, length, width))
}

/// Gradient of the table `[vocab, C]` from `dy` `[B, L, C]`.
///
/// # Errors
/// For an id outside the table, or from candle.
pub fn backward(ids: &Tensor, dy: &Tensor, vocab: usize) -> Result<Tensor> {
    let width = dy.dims3()?.2;
    // Rows that occur often are long sums: never in 16 bits.
    let dy = &wide(dy)?;
    if !on_host(&[dy]) {
        let table = Tensor::zeros((vocab, width), dy.dtype(), dy.device())?;
        return table.index_add(&ids.flatten_all()?, &dy.reshape(((), width))?, 0);
    }
    let rows = host_ids(ids, vocab)?;
    let dy = dy.contiguous()?;
    let values = {
        let gradient = HostSlice::of(&dy)?;
        let mut table = vec![0f32; vocab * width];
        for (row, gradient) in rows.iter().zip(gradient.chunks_exact(width.max(1))) {
            let to = &mut table[row * width..][..width];
            to.iter_mut().zip(gradient).for_each(|(to, value)| *to += value);
        }
        table
    };
    tensor(values, (vocab, width))
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// For an id outside the table, or from candle.
pub fn composed_forward(table: &Tensor, ids: &Tensor, positions: &Tensor) -> Result<Tensor> {
    let ((_, width), (batch, length)) = (table.dims2()?, ids.dims2()?);
    table.index_select(&ids.flatten_all()?, 0)?.reshape((batch, length, width))?.broadcast_add(positions)
}

fn host_ids(ids: &Tensor, vocab: usize) -> Result<Vec<usize>> {
    let ids = ids.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?;
    match ids.iter().find(|id| **id as usize >= vocab) {
        Some(id) => candle_core::bail!("token id {id} is outside the vocabulary of {vocab}"),
        None => Ok(ids.into_iter().map(|id| id as usize).collect()),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::{backward, composed_forward, forward};
    use crate::kernel::{assert_close, fixed};

    #[test]
    fn gather_agrees_with_composed_operations_and_scatter_adds_up() -> Result<()> {
        let device = Device::Cpu;
        let (table, positions) = (fixed(&[5, 3], 1), fixed(&[4, 3], 2));
        let ids = Tensor::new(&[[0u32, 4, 4, 1], [2, 2, 0, 4]], &device)?;
        let rows = forward(&table, &ids, &positions)?;
        assert_close(&rows, &composed_forward(&table, &ids, &positions)?, 0.0);
        let summed = backward(&ids, &Tensor::ones((2, 4, 3), candle_core::DType::F32, &device)?, 5)?;
        assert_eq!(summed.sum(1)?.to_vec1::<f32>()?, [6.0, 3.0, 6.0, 0.0, 9.0]);
        Ok(())
    }

    #[test]
    fn id_outside_the_table_is_named() -> Result<()> {
        let table = Tensor::zeros((5, 3), candle_core::DType::F32, &Device::Cpu)?;
        let ids = Tensor::new(&[[5u32]], &Device::Cpu)?;
        let message = forward(&table, &ids, &table.narrow(0, 0, 1)?).map(|_| ()).map_err(|e| e.to_string());
        assert!(message.is_err_and(|m| m.contains("token id 5 is outside the vocabulary of 5")));
        Ok(())
    }
}
