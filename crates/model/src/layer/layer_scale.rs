//! A learned gain for every channel of a residual branch.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::matmul;
use crate::kernel::narrow::following;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// `x · gamma`, `gamma` `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct LayerScale {
    gamma: ParameterId,
}

impl LayerScale {
    /// Declares `{name}.gamma`, all equal to `value` at first.
    pub fn declare(declaration: &mut Declaration, name: &str, width: usize, value: f64) -> Self {
        Self { gamma: declaration.add(format!("{name}.gamma"), &[width], Initialisation::Constant(value)) }
    }

    /// Scales the last dimension; backward needs the input.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        let scale = || x.broadcast_mul(&following(parameters.value(self.gamma), x)?);
        scale().layer(parameters.name(self.gamma))
    }

    /// The input's gradient from that of the output at input `x`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, x: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<Tensor> {
        let name = parameters.name(self.gamma);
        if parameters.trainable(self.gamma) {
            let gradient = x.mul(dy).and_then(|product| matmul::column_sum(&product)).layer(name)?;
            to.accumulate(self.gamma, gradient).layer(name)?;
        }
        let scale = || dy.broadcast_mul(&following(parameters.value(self.gamma), dy)?);
        scale().layer(name)
    }

    /// Its parameter.
    pub fn id(&self) -> ParameterId {
        self.gamma
    }
}
