//! A residual block: attention and perceptron, each behind a layer normalisation.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::layer::attention::{Attention, AttentionSaved, AttentionSpec, RowAttentionSaved};
use crate::layer::layer_norm::LayerNorm;
use crate::layer::layer_scale::LayerScale;
use crate::layer::mlp::{Mlp, MlpSaved, MlpSpec};
use crate::layer::pooling;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// `x + ls_1(attn(ln_1(x)))`, then `x + ls_2(mlp(ln_2(x)))`.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    ln_1: LayerNorm,
    attn: Attention,
    ls_1: Option<LayerScale>,
    ln_2: LayerNorm,
    mlp: Mlp,
    ls_2: Option<LayerScale>,
}

/// What backward needs.
#[derive(Debug)]
pub struct BlockSaved {
    input: Tensor,
    attn: AttentionSaved,
    tail: TailSaved,
}

/// What backward of chosen rows needs.
#[derive(Debug)]
pub struct BlockRowsSaved {
    input: Tensor,
    positions: Vec<u32>,
    attn: RowAttentionSaved,
    tail: TailSaved,
}

/// Of everything behind the attention.
#[derive(Debug)]
struct TailSaved {
    /// The attention branch before its gain; kept only where there is a gain.
    attn_output: Option<Tensor>,
    middle: Tensor,
    mlp: MlpSaved,
    mlp_output: Option<Tensor>,
}

/// Sizes and first values.
#[derive(Clone, Copy, Debug)]
pub struct BlockSpec {
    /// The attention.
    pub attn: AttentionSpec,
    /// The perceptron.
    pub mlp: MlpSpec,
    /// First value of the residual branches' gains, where they have any.
    pub layer_scale: Option<f64>,
}

impl Block {
    /// Declares `{name}.ln_1`, `.attn`, `.ls_1`, `.ln_2`, `.mlp`, `.ls_2`.
    pub fn declare(declaration: &mut Declaration, name: &str, spec: &BlockSpec) -> Self {
        let width = spec.attn.width;
        let scale = |declaration: &mut Declaration, part: &str| {
            spec.layer_scale.map(|value| LayerScale::declare(declaration, &format!("{name}.{part}"), width, value))
        };
        Self {
            ln_1: LayerNorm::declare(declaration, &format!("{name}.ln_1"), width),
            attn: Attention::declare(declaration, &format!("{name}.attn"), &spec.attn),
            ls_1: scale(declaration, "ls_1"),
            ln_2: LayerNorm::declare(declaration, &format!("{name}.ln_2"), width),
            mlp: Mlp::declare(declaration, &format!("{name}.mlp"), &spec.mlp),
            ls_2: scale(declaration, "ls_2"),
        }
    }

    /// `[B, L, C]` to `[B, L, C]`.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(&self, parameters: &Parameters, x: Tensor) -> Result<(Tensor, BlockSaved)> {
        let (branch, attn) = self.attn.forward(parameters, &self.ln_1.forward(parameters, &x)?)?;
        let (y, tail) = self.forward_tail(parameters, &x, branch)?;
        Ok((y, BlockSaved { input: x, attn, tail }))
    }

    /// Only rows `positions[b]` of the output, `[B, C]`: what a tower reads of its last block.
    ///
    /// # Errors
    /// For an input of another width or a position outside it.
    pub fn forward_rows(
        &self,
        parameters: &Parameters,
        x: Tensor,
        positions: &[u32],
    ) -> Result<(Tensor, BlockRowsSaved)> {
        let normed = self.ln_1.forward(parameters, &x)?;
        let (branch, attn) = self.attn.forward_rows(parameters, &normed, positions)?;
        let (y, tail) = self.forward_tail(parameters, &pooling::rows(&x, positions)?, branch)?;
        Ok((y, BlockRowsSaved { input: x, positions: positions.to_vec(), attn, tail }))
    }

    fn forward_tail(&self, parameters: &Parameters, x: &Tensor, branch: Tensor) -> Result<(Tensor, TailSaved)> {
        let (middle, attn_output) = join(parameters, self.ls_1, x, branch, self.name(parameters))?;
        let (branch, mlp) = self.mlp.forward(parameters, &self.ln_2.forward(parameters, &middle)?)?;
        let (y, mlp_output) = join(parameters, self.ls_2, &middle, branch, self.name(parameters))?;
        Ok((y, TailSaved { attn_output, middle, mlp, mlp_output }))
    }

    /// The input's gradient from that of the output.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: BlockSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let (dmiddle, dbranch) = self.backward_tail(parameters, saved.tail, dy, to)?;
        let dnormed = self.attn.backward(parameters, saved.attn, &dbranch, to)?;
        self.ln_1.backward(parameters, &saved.input, &dnormed, Some(&dmiddle), to)
    }

    /// The input's gradient `[B, L, C]` from that of the rows, `[B, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward_rows(
        &self,
        parameters: &Parameters,
        saved: BlockRowsSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let (dmiddle, dbranch) = self.backward_tail(parameters, saved.tail, dy, to)?;
        let dnormed = self.attn.backward_rows(parameters, saved.attn, &dbranch, to)?;
        let dx = self.ln_1.backward(parameters, &saved.input, &dnormed, None, to)?;
        pooling::add_rows(dx, &saved.positions, &dmiddle)
    }

    /// Gradients of the residual stream between the branches, and of the attention branch.
    fn backward_tail(
        &self,
        parameters: &Parameters,
        saved: TailSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<(Tensor, Tensor)> {
        let TailSaved { attn_output, middle, mlp, mlp_output } = saved;
        let dbranch = part(parameters, self.ls_2, mlp_output.as_ref(), dy, to)?;
        let dbranch = self.mlp.backward(parameters, mlp, &dbranch, to)?;
        let dmiddle = self.ln_2.backward(parameters, &middle, &dbranch, Some(dy), to)?;
        let dbranch = part(parameters, self.ls_1, attn_output.as_ref(), &dmiddle, to)?;
        Ok((dmiddle, dbranch))
    }

    fn name<'a>(&self, parameters: &'a Parameters) -> &'a str {
        parameters.name(self.ln_1.ids()[0])
    }

    /// Its parameters.
    pub fn ids(&self) -> Vec<ParameterId> {
        let scales = [self.ls_1, self.ls_2].into_iter().flatten().map(|scale| scale.id());
        let norms = self.ln_1.ids().into_iter().chain(self.ln_2.ids());
        norms.chain(self.attn.ids()).chain(self.mlp.ids()).chain(scales).collect()
    }
}

/// Adds a branch to the residual stream, through its gain where it has one; returns what that gain's backward needs.
fn join(
    parameters: &Parameters,
    scale: Option<LayerScale>,
    x: &Tensor,
    branch: Tensor,
    name: &str,
) -> Result<(Tensor, Option<Tensor>)> {
    match scale {
        None => Ok(((x + branch).layer(name)?, None)),
        Some(scale) => Ok(((x + scale.forward(parameters, &branch)?).layer(name)?, Some(branch))),
    }
}

/// The gradient that goes into a branch.
fn part(
    parameters: &Parameters,
    scale: Option<LayerScale>,
    branch: Option<&Tensor>,
    dy: &Tensor,
    to: &mut Gradients,
) -> Result<Tensor> {
    match (scale, branch) {
        (Some(scale), Some(branch)) => scale.backward(parameters, branch, dy, to),
        _ => Ok(dy.clone()),
    }
}
