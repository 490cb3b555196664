//! Multi-head self-attention with packed queries, keys and values.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::attention::{self, Mask};
use crate::kernel::{matmul, row_attention};
use crate::layer::linear::{Linear, LinearSpec};
use crate::layer::pooling;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// Self-attention: `in_proj` `[3 C, C]`, softmax attention, `out_proj` `[C, C]`.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    in_proj: Linear,
    out_proj: Linear,
    heads: usize,
    mask: Mask,
}

/// What backward needs.
#[derive(Debug)]
pub struct AttentionSaved {
    input: Tensor,
    packed: Tensor,
    mixed: Tensor,
}

/// What backward of chosen rows needs.
#[derive(Debug)]
pub struct RowAttentionSaved {
    input: Tensor,
    row: Tensor,
    positions: Vec<u32>,
    /// Number of keys that each row sees.
    seen: Vec<u32>,
    queries: Tensor,
    keys_values: Tensor,
    mixed: Tensor,
}

/// Sizes and first values.
#[derive(Clone, Copy, Debug)]
pub struct AttentionSpec {
    /// Width of input and output.
    pub width: usize,
    /// Number of heads.
    pub heads: usize,
    /// Which positions a query sees.
    pub mask: Mask,
    /// Distribution of `in_proj_weight`.
    pub in_proj: Initialisation,
    /// Distribution of `out_proj.weight`.
    pub out_proj: Initialisation,
}

impl Attention {
    /// Declares `{name}.in_proj_weight`, `{name}.in_proj_bias`, `{name}.out_proj.weight`, `{name}.out_proj.bias`.
    pub fn declare(declaration: &mut Declaration, name: &str, spec: &AttentionSpec) -> Self {
        let (inputs, bias) = (spec.width, Initialisation::Constant(0.0));
        let packed = LinearSpec { inputs, outputs: 3 * inputs, weight: spec.in_proj, bias };
        let out = LinearSpec { inputs, outputs: inputs, weight: spec.out_proj, bias };
        let names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"];
        let [in_weight, in_bias, out_weight, out_bias] = names.map(|part| format!("{name}.{part}"));
        let in_proj = Linear::declare(declaration, in_weight, in_bias, &packed);
        let out_proj = Linear::declare(declaration, out_weight, out_bias, &out);
        Self { in_proj, out_proj, heads: spec.heads, mask: spec.mask }
    }

    /// `[B, L, C]` to `[B, L, C]`.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<(Tensor, AttentionSaved)> {
        let packed = self.in_proj.forward(parameters, x)?;
        let mixed = attention::forward(&packed, self.heads, self.mask).layer(self.name(parameters))?;
        let y = self.out_proj.forward(parameters, &mixed)?;
        Ok((y, AttentionSaved { input: x.clone(), packed, mixed }))
    }

    /// The input's gradient from that of the output.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: AttentionSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let AttentionSaved { input, packed, mixed } = saved;
        let dmixed = self.out_proj.backward(parameters, &mixed, dy, to)?;
        let gradient = attention::backward(&packed, &dmixed, self.heads, self.mask);
        self.in_proj.backward(parameters, &input, &gradient.layer(self.name(parameters))?, to)
    }

    /// Only rows `positions[b]` of the output, `[B, C]`.
    ///
    /// # Errors
    /// For an input of another width or a position outside it.
    pub fn forward_rows(
        &self,
        parameters: &Parameters,
        x: &Tensor,
        positions: &[u32],
    ) -> Result<(Tensor, RowAttentionSaved)> {
        let name = self.name(parameters);
        let length = x.dim(1).layer(name)? as u32;
        let seen = match self.mask {
            Mask::None => vec![length; positions.len()],
            Mask::Causal => positions.iter().map(|position| position + 1).collect(),
        };
        let row = pooling::rows(x, positions)?;
        let [weights, biases] = self.in_proj.ids().map(|id| parameters.value(id));
        let width = row.dim(1).layer(name)?;
        let project = |x: &Tensor, first: usize, count: usize| {
            let (weight, bias) = (weights.narrow(0, first, count)?, biases.narrow(0, first, count)?);
            matmul::by_transposed(x, &weight, Some(&bias))
        };
        let queries = project(&row, 0, width).layer(name)?;
        let keys_values = project(x, width, 2 * width).layer(name)?;
        let mixed = row_attention::forward(&queries, &keys_values, self.heads, &seen).layer(name)?;
        let y = self.out_proj.forward(parameters, &mixed)?;
        let positions = positions.to_vec();
        Ok((y, RowAttentionSaved { input: x.clone(), row, positions, seen, queries, keys_values, mixed }))
    }

    /// The input's gradient `[B, L, C]` from that of the rows, `[B, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward_rows(
        &self,
        parameters: &Parameters,
        saved: RowAttentionSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let name = self.name(parameters);
        let dmixed = self.out_proj.backward(parameters, &saved.mixed, dy, to)?;
        let gradients = row_attention::backward(&saved.queries, &saved.keys_values, &dmixed, self.heads, &saved.seen)
            .layer(name)?;
        let (dqueries, dpairs) = (gradients.dqueries, gradients.dkeys_values);
        let weight = || {
            let parts = [matmul::transposed_by(&dqueries, &saved.row)?, matmul::transposed_by(&dpairs, &saved.input)?];
            Tensor::cat(&parts, 0)
        };
        let bias = || Tensor::cat(&[matmul::column_sum(&dqueries)?, matmul::column_sum(&dpairs)?], 0);
        self.in_proj.accumulate(parameters, to, weight, bias)?;
        let weights = parameters.value(self.in_proj.ids()[0]);
        let input_gradient = || {
            let width = dqueries.dim(1)?;
            let drows = matmul::plain(&dqueries, &weights.narrow(0, 0, width)?)?;
            Ok((matmul::plain(&dpairs, &weights.narrow(0, width, 2 * width)?)?, drows))
        };
        let (dx, drows): (Tensor, Tensor) = input_gradient().layer(name)?;
        pooling::add_rows(dx, &saved.positions, &drows)
    }

    fn name<'a>(&self, parameters: &'a Parameters) -> &'a str {
        parameters.name(self.in_proj.ids()[0])
    }

    /// Its parameters.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        self.in_proj.ids().into_iter().chain(self.out_proj.ids())
    }
}
