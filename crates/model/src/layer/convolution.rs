//! A convolution without bias over pictures `[B, H, W, C]`.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::convolution;
use crate::kernel::patches::Window;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// `weight` `[out, in, k, k]`.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    weight: ParameterId,
    window: Window,
}

impl Convolution {
    /// Declares `{name}.weight` for `inputs` and `outputs` channels.
    pub fn declare(declaration: &mut Declaration, name: &str, [inputs, outputs]: [usize; 2], window: Window) -> Self {
        let side = window.kernel;
        let init = Initialisation::default_linear(inputs * side * side);
        Self { weight: declaration.add(format!("{name}.weight"), &[outputs, inputs, side, side], init), window }
    }

    /// `[B, H, W, in]` to `[B, H', W', out]`; backward needs the input.
    ///
    /// # Errors
    /// For an input of other channels or smaller than the window.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<Tensor> {
        convolution::forward(x, parameters.value(self.weight), self.window).layer(parameters.name(self.weight))
    }

    /// The input's gradient from that of the output at input `x`.
    ///
    /// # Errors
    /// When shapes differ, and for a stride other than 1.
    pub fn backward(&self, parameters: &Parameters, x: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<Tensor> {
        self.backward_weight(parameters, x, dy, to)?;
        let dx = convolution::input_gradient(dy, parameters.value(self.weight), self.window);
        dx.layer(parameters.name(self.weight))
    }

    /// Accumulates the weight's gradient alone, where nothing before this layer learns.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward_weight(&self, parameters: &Parameters, x: &Tensor, dy: &Tensor, to: &mut Gradients) -> Result<()> {
        let name = parameters.name(self.weight);
        if parameters.trainable(self.weight) {
            to.accumulate(self.weight, convolution::weight_gradient(x, dy, self.window).layer(name)?).layer(name)?;
        }
        Ok(())
    }

    /// Its parameter.
    pub fn id(&self) -> ParameterId {
        self.weight
    }
}
