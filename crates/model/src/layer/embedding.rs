//! Token embedding plus learned positions.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::kernel::{embedding, matmul};
use crate::parameters::{Gradients, ParameterId, Parameters};

/// A table `[vocab, C]` and positions `[context, C]`.
#[derive(Clone, Copy, Debug)]
pub struct Embedding {
    /// The table.
    pub table: ParameterId,
    /// The positions.
    pub positions: ParameterId,
}

impl Embedding {
    /// `input_ids` `[B, L]` (u32), `L` at most the context, to `[B, L, C]`; backward needs the ids.
    ///
    /// # Errors
    /// For an id outside the vocabulary or a text that is too long.
    pub fn forward(&self, parameters: &Parameters, input_ids: &Tensor) -> Result<Tensor> {
        let length = input_ids.dim(1).layer(parameters.name(self.table))?;
        let positions = parameters.value(self.positions).narrow(0, 0, length);
        let positions = positions.layer(parameters.name(self.positions))?;
        embedding::forward(parameters.value(self.table), input_ids, &positions).layer(parameters.name(self.table))
    }

    /// Accumulates both gradients from that of the output, `[B, L, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, ids: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<()> {
        if parameters.trainable(self.table) {
            let name = parameters.name(self.table);
            let vocab = parameters.value(self.table).dim(0).layer(name)?;
            to.accumulate(self.table, embedding::backward(ids, dy, vocab).layer(name)?).layer(name)?;
        }
        if parameters.trainable(self.positions) {
            let name = parameters.name(self.positions);
            let context = parameters.value(self.positions).dim(0).layer(name)?;
            to.accumulate(self.positions, positions_gradient(dy, context).layer(name)?).layer(name)?;
        }
        Ok(())
    }
}

/// Sum over the batch, with zeros for positions that no text reached.
pub(crate) fn positions_gradient(dy: &Tensor, context: usize) -> candle_core::Result<Tensor> {
    let (batch, length, width) = dy.dims3()?;
    let sum = matmul::column_sum(&dy.reshape((batch, length * width))?)?.reshape((length, width))?;
    sum.pad_with_zeros(0, 0, context.saturating_sub(length))
}
