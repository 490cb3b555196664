//! A block's perceptron: widen, activate, narrow.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::activation::{self, Activation};
use crate::layer::linear::{Linear, LinearSpec};
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// `c_proj(activation(c_fc(x)))`.
#[derive(Clone, Copy, Debug)]
pub struct Mlp {
    c_fc: Linear,
    c_proj: Linear,
    activation: Activation,
}

/// What backward needs.
#[derive(Debug)]
pub struct MlpSaved {
    input: Tensor,
    widened: Tensor,
    activated: Tensor,
}

/// Sizes and first values.
#[derive(Clone, Copy, Debug)]
pub struct MlpSpec {
    /// Width of input and output.
    pub width: usize,
    /// Width in between.
    pub hidden: usize,
    /// Activation in between.
    pub activation: Activation,
    /// Distribution of `c_fc.weight`.
    pub c_fc: Initialisation,
    /// Distribution of `c_proj.weight`.
    pub c_proj: Initialisation,
}

impl Mlp {
    /// Declares `{name}.c_fc` and `{name}.c_proj`, each with weight and bias.
    pub fn declare(declaration: &mut Declaration, name: &str, spec: &MlpSpec) -> Self {
        let mut linear = |part: &str, inputs: usize, outputs: usize, weight: Initialisation| {
            let spec = LinearSpec { inputs, outputs, weight, bias: Initialisation::default_linear(inputs) };
            Linear::declare(declaration, format!("{name}.{part}.weight"), format!("{name}.{part}.bias"), &spec)
        };
        let c_fc = linear("c_fc", spec.width, spec.hidden, spec.c_fc);
        let c_proj = linear("c_proj", spec.hidden, spec.width, spec.c_proj);
        Self { c_fc, c_proj, activation: spec.activation }
    }

    /// `[.., C]` to `[.., C]`.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<(Tensor, MlpSaved)> {
        let widened = self.c_fc.forward(parameters, x)?;
        let activated = activation::forward(&widened, self.activation).layer(self.name(parameters))?;
        let y = self.c_proj.forward(parameters, &activated)?;
        Ok((y, MlpSaved { input: x.clone(), widened, activated }))
    }

    /// The input's gradient from that of the output.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: MlpSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let MlpSaved { input, widened, activated } = saved;
        let dactivated = self.c_proj.backward(parameters, &activated, dy, to)?;
        let dwidened = activation::backward(&widened, &dactivated, self.activation).layer(self.name(parameters))?;
        self.c_fc.backward(parameters, &input, &dwidened, to)
    }

    fn name<'a>(&self, parameters: &'a Parameters) -> &'a str {
        parameters.name(self.c_fc.ids()[0])
    }

    /// Its parameters.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        self.c_fc.ids().into_iter().chain(self.c_proj.ids())
    }
}
