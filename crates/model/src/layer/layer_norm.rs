//! Layer normalisation with its parameters.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::layer_norm;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// Layer normalisation with `weight` and `bias` `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    weight: ParameterId,
    bias: ParameterId,
}

impl LayerNorm {
    /// Declares `{name}.weight` and `{name}.bias`.
    pub fn declare(declaration: &mut Declaration, name: &str, width: usize) -> Self {
        let weight = declaration.add(format!("{name}.weight"), &[width], Initialisation::Constant(1.0));
        let bias = declaration.add(format!("{name}.bias"), &[width], Initialisation::Constant(0.0));
        Self { weight, bias }
    }

    /// Normalises the last dimension; backward needs the input.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (parameters.value(self.weight), parameters.value(self.bias));
        layer_norm::forward(x, weight, bias).layer(parameters.name(self.weight))
    }

    /// The input's gradient, plus `residual` where one is given (the gradient that bypasses this layer).
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        x: &Tensor,
        dy: &Tensor,
        residual: Option<&Tensor>,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let name = parameters.name(self.weight);
        let gradients = layer_norm::backward(x, parameters.value(self.weight), dy, residual).layer(name)?;
        for (id, gradient) in [(self.weight, gradients.dweight), (self.bias, gradients.dbias)] {
            if parameters.trainable(id) {
                to.accumulate(id, gradient).layer(name)?;
            }
        }
        Ok(gradients.dx)
    }

    /// Its parameters.
    pub fn ids(&self) -> [ParameterId; 2] {
        [self.weight, self.bias]
    }
}
