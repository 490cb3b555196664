//! A block of BERT's family: attention and perceptron, a layer normalisation behind each.

use candle_core::Tensor;

use crate::config::HfConfig;
use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::activation::{self, Activation};
use crate::kernel::attention::{self, Attend, Visible};
use crate::kernel::matmul;
use crate::layer::dropout::{self, Dropout};
use crate::layer::layer_norm::LayerNorm;
use crate::layer::linear::{Linear, LinearSpec};
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// First values of all matrices.
const INIT: Initialisation = Initialisation::Normal { std: 0.02 };

/// `x = norm(x + out(attention(x)))`, then `norm(x + narrow(gelu(widen(x))))`.
#[derive(Clone, Debug)]
pub struct PostNormBlock {
    /// Queries, keys, values.
    projections: [Linear; 3],
    out: Linear,
    norm_1: LayerNorm,
    widen: Linear,
    narrow: Linear,
    norm_2: LayerNorm,
    heads: usize,
    attention_share: f64,
    share: f64,
}

/// What backward needs.
#[derive(Debug)]
pub struct PostNormSaved {
    input: Tensor,
    packed: Tensor,
    mixed: Tensor,
    /// Inputs of the normalisations.
    sums: [Tensor; 2],
    middle: Tensor,
    widened: Tensor,
    activated: Tensor,
    dropped: [Option<Dropout>; 3],
}

impl PostNormBlock {
    /// Declares the parameters of `{name}`, in the order of transformers.
    pub fn declare(declaration: &mut Declaration, name: &str, config: &HfConfig) -> Self {
        let (width, hidden) = (config.hidden_size, config.intermediate_size);
        let linear = |declaration: &mut Declaration, part: &str, inputs: usize, outputs: usize| {
            let spec = LinearSpec { inputs, outputs, weight: INIT, bias: Initialisation::Constant(0.0) };
            Linear::declare(declaration, format!("{name}.{part}.weight"), format!("{name}.{part}.bias"), &spec)
        };
        let parts = ["attention.self.query", "attention.self.key", "attention.self.value"];
        let projections = parts.map(|part| linear(declaration, part, width, width));
        let out = linear(declaration, "attention.output.dense", width, width);
        let norm_1 = LayerNorm::declare(declaration, &format!("{name}.attention.output.LayerNorm"), width);
        let widen = linear(declaration, "intermediate.dense", width, hidden);
        let narrow = linear(declaration, "output.dense", hidden, width);
        let norm_2 = LayerNorm::declare(declaration, &format!("{name}.output.LayerNorm"), width);
        let (heads, share) = (config.num_attention_heads, config.hidden_dropout_prob);
        let attention_share = config.attention_probs_dropout_prob;
        Self { projections, out, norm_1, widen, narrow, norm_2, heads, attention_share, share }
    }

    /// `[B, L, C]` to `[B, L, C]`; sample `b` sees its first `lengths[b]` tokens.
    ///
    /// # Errors
    /// For an input of another width.
    pub fn forward(
        &self,
        parameters: &Parameters,
        x: Tensor,
        lengths: &[u32],
        mode: Mode,
    ) -> Result<(Tensor, PostNormSaved)> {
        let name = self.name(parameters);
        let dropped = [
            dropout::of(name, self.attention_share, mode),
            dropout::of(parameters.name(self.out.ids()[0]), self.share, mode),
            dropout::of(parameters.name(self.narrow.ids()[0]), self.share, mode),
        ];
        let [weight, bias] = self.stacked(parameters).layer(name)?;
        let packed = matmul::by_transposed(&x, &weight, Some(&bias)).layer(name)?;
        let mixed = attention::forward(&packed, self.heads, attend(lengths, dropped[0])).layer(name)?;
        let branch = dropout::apply(self.out.forward(parameters, &mixed)?, dropped[1], name)?;
        let sum_1 = (&x + branch).layer(name)?;
        let middle = self.norm_1.forward(parameters, &sum_1)?;
        let widened = self.widen.forward(parameters, &middle)?;
        let activated = activation::forward(&widened, Activation::Gelu).layer(name)?;
        let branch = dropout::apply(self.narrow.forward(parameters, &activated)?, dropped[2], name)?;
        let sum_2 = (&middle + branch).layer(name)?;
        let y = self.norm_2.forward(parameters, &sum_2)?;
        let sums = [sum_1, sum_2];
        Ok((y, PostNormSaved { input: x, packed, mixed, sums, middle, widened, activated, dropped }))
    }

    /// Weights and biases of queries, keys and values one below the other: `[3 C, C]` and `[3 C]`.
    fn stacked(&self, parameters: &Parameters) -> candle_core::Result<[Tensor; 2]> {
        let stack = |which: usize| {
            let parts = self.projections.map(|linear| parameters.value(linear.ids()[which]).clone());
            Tensor::cat(&parts, 0)
        };
        Ok([stack(0)?, stack(1)?])
    }

    /// The input's gradient from that of the output.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: PostNormSaved,
        lengths: &[u32],
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let name = self.name(parameters);
        let PostNormSaved { input, packed, mixed, sums: [sum_1, sum_2], middle, widened, activated, dropped } = saved;
        let dsum = self.norm_2.backward(parameters, &sum_2, dy, None, to)?;
        let dbranch = dropout::apply(dsum.clone(), dropped[2], name)?;
        let dactivated = self.narrow.backward(parameters, &activated, &dbranch, to)?;
        let dwidened = activation::backward(&widened, &dactivated, Activation::Gelu).layer(name)?;
        let dmiddle = (self.widen.backward(parameters, &middle, &dwidened, to)? + dsum).layer(name)?;
        let dsum = self.norm_1.backward(parameters, &sum_1, &dmiddle, None, to)?;
        let dbranch = dropout::apply(dsum.clone(), dropped[1], name)?;
        let dmixed = self.out.backward(parameters, &mixed, &dbranch, to)?;
        let dpacked = attention::backward(&packed, &dmixed, self.heads, attend(lengths, dropped[0])).layer(name)?;
        self.accumulate_projections(parameters, &input, &dpacked, to)?;
        let [weight, _] = self.stacked(parameters).layer(name)?;
        (matmul::plain(&dpacked, &weight).layer(name)? + dsum).layer(name)
    }

    fn accumulate_projections(
        &self,
        parameters: &Parameters,
        x: &Tensor,
        dpacked: &Tensor,
        to: &mut Gradients,
    ) -> Result<()> {
        let ids = self.projections.map(|linear| linear.ids());
        if !ids.iter().flatten().any(|id| parameters.trainable(*id)) {
            return Ok(());
        }
        let name = self.name(parameters);
        let width = x.dim(2).layer(name)?;
        let dweight = matmul::transposed_by(dpacked, x).layer(name)?;
        let dbias = matmul::column_sum(dpacked).layer(name)?;
        for (part, linear) in self.projections.iter().enumerate() {
            let rows = |stacked: &Tensor| stacked.narrow(0, part * width, width)?.contiguous();
            linear.accumulate(parameters, to, || rows(&dweight), || rows(&dbias))?;
        }
        Ok(())
    }

    fn name<'a>(&self, parameters: &'a Parameters) -> &'a str {
        parameters.name(self.projections[0].ids()[0])
    }

    /// Its parameters.
    pub fn ids(&self) -> Vec<ParameterId> {
        let linears = self.projections.iter().chain([&self.out, &self.widen, &self.narrow]).flat_map(Linear::ids);
        linears.chain(self.norm_1.ids()).chain(self.norm_2.ids()).collect()
    }

    /// Gains and biases of its normalisations.
    pub fn norm_ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        self.norm_1.ids().into_iter().chain(self.norm_2.ids())
    }
}

fn attend(lengths: &[u32], dropout: Option<Dropout>) -> Attend<'_> {
    Attend { visible: Visible::First(lengths), dropout }
}
