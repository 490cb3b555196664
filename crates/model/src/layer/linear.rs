//! `x · weightᵀ + bias`.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::matmul;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// A dense layer with `weight` `[out, in]` and `bias` `[out]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: ParameterId,
    bias: ParameterId,
}

/// Sizes and first values of a dense layer.
pub struct LinearSpec {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// Distribution of the weight.
    pub weight: Initialisation,
    /// Distribution of the bias.
    pub bias: Initialisation,
}

impl Linear {
    /// Declares parameters under the given names.
    pub fn declare(declaration: &mut Declaration, weight: String, bias: String, spec: &LinearSpec) -> Self {
        let weight = declaration.add(weight, &[spec.outputs, spec.inputs], spec.weight);
        Self { weight, bias: declaration.add(bias, &[spec.outputs], spec.bias) }
    }

    /// `[.., in]` to `[.., out]`; backward needs the input.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (parameters.value(self.weight), parameters.value(self.bias));
        matmul::by_transposed(x, weight, Some(bias)).layer(parameters.name(self.weight))
    }

    /// The input's gradient `[.., in]` from that of the output at input `x`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, x: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<Tensor> {
        self.accumulate(parameters, to, || matmul::transposed_by(dy, x), || matmul::column_sum(dy))?;
        matmul::plain(dy, parameters.value(self.weight)).layer(parameters.name(self.weight))
    }

    /// Accumulates both gradients, computed elsewhere: `[out, in]` and `[out]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub(crate) fn accumulate(
        &self,
        parameters: &Parameters,
        to: &mut Gradients,
        weight: impl FnOnce() -> candle_core::Result<Tensor>,
        bias: impl FnOnce() -> candle_core::Result<Tensor>,
    ) -> Result<()> {
        let name = parameters.name(self.weight);
        if parameters.trainable(self.weight) {
            to.accumulate(self.weight, weight().layer(name)?).layer(name)?;
        }
        if parameters.trainable(self.bias) {
            to.accumulate(self.bias, bias().layer(name)?).layer(name)?;
        }
        Ok(())
    }

    /// Its parameters.
    pub fn ids(&self) -> [ParameterId; 2] {
        [self.weight, self.bias]
    }
}
