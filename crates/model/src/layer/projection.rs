//! `x · matrix`, the bias-free projection at the end of a tower.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::kernel::matmul;
use crate::parameters::{Gradients, ParameterId, Parameters};

/// A projection by a matrix `[in, out]`.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    /// The matrix.
    pub matrix: ParameterId,
}

impl Projection {
    /// `[.., in]` to `[.., out]`; backward needs the input.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        matmul::plain(x, parameters.value(self.matrix)).layer(parameters.name(self.matrix))
    }

    /// The input's gradient from that of the output at input `x`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, x: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<Tensor> {
        let name = parameters.name(self.matrix);
        if parameters.trainable(self.matrix) {
            to.accumulate(self.matrix, matmul::transposed_by(x, dy).layer(name)?).layer(name)?;
        }
        matmul::by_transposed(dy, parameters.value(self.matrix), None).layer(name)
    }
}
