//! `x · weightᵀ`: a dense layer without a bias.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::matmul;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// A dense layer with `weight` `[out, in]`.
#[derive(Clone, Copy, Debug)]
pub struct BiasFree {
    weight: ParameterId,
}

impl BiasFree {
    /// Declares `{name}.weight`, with PyTorch's own first values.
    pub fn declare(declaration: &mut Declaration, name: &str, [inputs, outputs]: [usize; 2]) -> Self {
        let init = Initialisation::default_linear(inputs);
        Self { weight: declaration.add(format!("{name}.weight"), &[outputs, inputs], init) }
    }

    /// `[.., in]` to `[.., out]`; backward needs the input.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        matmul::by_transposed(x, parameters.value(self.weight), None).layer(parameters.name(self.weight))
    }

    /// The input's gradient from that of the output at input `x`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, x: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<Tensor> {
        let name = parameters.name(self.weight);
        if parameters.trainable(self.weight) {
            to.accumulate(self.weight, matmul::transposed_by(dy, x).layer(name)?).layer(name)?;
        }
        matmul::plain(dy, parameters.value(self.weight)).layer(name)
    }

    /// Its parameter.
    pub fn id(&self) -> ParameterId {
        self.weight
    }
}
