//! The pooling of a residual network: attention of the mean pixel over all pixels.
//!
//! Only one query is asked, so keys and values are never computed: with `q` the query of a head, `q · (W x + b)` is
//! `(Wᵀ q) · x` plus a constant that softmax ignores, and the mean of `W x + b` is `W` of the mean plus `b`. That is the
//! same arithmetic in another order, at a twentieth of the work.

use candle_core::{D, Tensor, bail};

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::matmul;
use crate::kernel::narrow::following;
use crate::layer::embedding::positions_gradient;
use crate::layer::linear::{Linear, LinearSpec};
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// `positional_embedding` `[1 + N, C]`, and `k_proj`, `q_proj`, `v_proj` `[C, C]`, `c_proj` `[D, C]` with biases.
#[derive(Clone, Copy, Debug)]
pub struct AttentionPool {
    positional_embedding: ParameterId,
    k_proj: Linear,
    q_proj: Linear,
    v_proj: Linear,
    c_proj: Linear,
    heads: usize,
}

/// What backward needs.
#[derive(Debug)]
pub struct AttentionPoolSaved {
    /// `[B, 1 + N, C]`: the mean pixel and all pixels, with positions.
    tokens: Tensor,
    /// The mean pixel's token, `[B, C]`.
    first: Tensor,
    /// `[B, C]`.
    queries: Tensor,
    /// What each head compares pixels with, `[B, heads, C]`.
    directions: Tensor,
    /// `[B, heads, 1 + N]`.
    weights: Tensor,
    /// Each head's mean token, `[B, heads, C]`.
    means: Tensor,
    /// Input of `c_proj`, `[B, C]`.
    mixed: Tensor,
    /// Height and width of the input.
    grid: [usize; 2],
}

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub struct AttentionPoolSpec {
    /// Height and width of the grid of pixels.
    pub grid: usize,
    /// Channels of a pixel.
    pub width: usize,
    /// Number of heads.
    pub heads: usize,
    /// Width of the output.
    pub outputs: usize,
}

impl AttentionPool {
    /// Declares the parameters of `{name}`, in open_clip's order.
    pub fn declare(declaration: &mut Declaration, name: &str, spec: &AttentionPoolSpec) -> Self {
        let std = (spec.width as f64).powf(-0.5);
        let init = Initialisation::Normal { std };
        let positions = [spec.grid * spec.grid + 1, spec.width];
        let positional_embedding = declaration.add(format!("{name}.positional_embedding"), &positions, init);
        let mut linear = |part: &str, outputs: usize| {
            let bias = Initialisation::default_linear(spec.width);
            let spec = LinearSpec { inputs: spec.width, outputs, weight: init, bias };
            Linear::declare(declaration, format!("{name}.{part}.weight"), format!("{name}.{part}.bias"), &spec)
        };
        let k_proj = linear("k_proj", spec.width);
        let q_proj = linear("q_proj", spec.width);
        let v_proj = linear("v_proj", spec.width);
        let c_proj = linear("c_proj", spec.outputs);
        Self { positional_embedding, k_proj, q_proj, v_proj, c_proj, heads: spec.heads }
    }

    /// `[B, H, W, C]` to `[B, D]`.
    ///
    /// # Errors
    /// For a grid or width other than declared.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor) -> Result<(Tensor, AttentionPoolSaved)> {
        let name = parameters.name(self.positional_embedding);
        let (tokens, grid) = self.tokens(parameters, x).layer(name)?;
        let first = tokens.narrow(1, 0, 1).and_then(|first| first.squeeze(1)?.contiguous()).layer(name)?;
        let queries = self.q_proj.forward(parameters, &first)?;
        let (directions, weights, means) = self.attend(parameters, &tokens, &queries).layer(name)?;
        let mixed = self.by_heads(parameters.value(self.v_proj.ids()[0]), &means).layer(name)?;
        let bias = following(parameters.value(self.v_proj.ids()[1]), &mixed).layer(name)?;
        let mixed = mixed.broadcast_add(&bias).layer(name)?;
        let y = self.c_proj.forward(parameters, &mixed)?;
        Ok((y, AttentionPoolSaved { tokens, first, queries, directions, weights, means, mixed, grid }))
    }

    fn tokens(&self, parameters: &Parameters, x: &Tensor) -> candle_core::Result<(Tensor, [usize; 2])> {
        let (batch, height, width, channels) = x.dims4()?;
        let pixels = x.reshape((batch, height * width, channels))?;
        let positions = following(parameters.value(self.positional_embedding), x)?;
        if positions.dims() != [height * width + 1, channels] {
            bail!("pool: pixels have shape {:?}, positions {:?}", x.dims(), positions.dims());
        }
        let tokens = Tensor::cat(&[&pixels.mean_keepdim(1)?, &pixels], 1)?.broadcast_add(&positions)?;
        Ok((tokens, [height, width]))
    }

    fn attend(
        &self,
        parameters: &Parameters,
        tokens: &Tensor,
        queries: &Tensor,
    ) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
        let directions = self.spread(parameters.value(self.k_proj.ids()[0]), queries)?;
        let scores = (directions.matmul(&tokens.t()?)? * self.scale(queries)?)?;
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let means = weights.matmul(tokens)?;
        Ok((directions, weights, means))
    }

    fn scale(&self, queries: &Tensor) -> candle_core::Result<f64> {
        Ok((queries.dim(1)? as f64 / self.heads as f64).powf(-0.5))
    }

    /// Rows of `weight` that belong to a head.
    fn rows_of(&self, weight: &Tensor, head: usize) -> candle_core::Result<Tensor> {
        let size = weight.dim(0)? / self.heads;
        weight.narrow(0, head * size, size)
    }

    /// Columns of `[B, C]` that belong to a head.
    fn columns_of(&self, x: &Tensor, head: usize) -> candle_core::Result<Tensor> {
        let size = x.dim(1)? / self.heads;
        x.narrow(1, head * size, size)?.contiguous()
    }

    /// Each head's part of `[B, C]` times its rows of `weight`: `[B, heads, C]`.
    fn spread(&self, weight: &Tensor, x: &Tensor) -> candle_core::Result<Tensor> {
        let one = |head| matmul::plain(&self.columns_of(x, head)?, &self.rows_of(weight, head)?);
        Tensor::stack(&(0..self.heads).map(one).collect::<candle_core::Result<Vec<_>>>()?, 1)
    }

    /// Each head's `[B, C]` of `[B, heads, C]` times its rows of `weight`, transposed: `[B, C]`.
    fn by_heads(&self, weight: &Tensor, x: &Tensor) -> candle_core::Result<Tensor> {
        let one = |head| {
            let x = x.narrow(1, head, 1)?.squeeze(1)?;
            matmul::by_transposed(&x, &self.rows_of(weight, head)?, None)
        };
        Tensor::cat(&(0..self.heads).map(one).collect::<candle_core::Result<Vec<_>>>()?, 1)
    }

    /// Gradient of a weight from each head's columns of `[B, C]` and its `[B, C]` of `[B, heads, C]`.
    fn outer(&self, columns: &Tensor, wide: &Tensor) -> candle_core::Result<Tensor> {
        let one = |head| {
            let wide = wide.narrow(1, head, 1)?.squeeze(1)?;
            matmul::transposed_by(&self.columns_of(columns, head)?, &wide)
        };
        Tensor::cat(&(0..self.heads).map(one).collect::<candle_core::Result<Vec<_>>>()?, 0)
    }

    /// The input's gradient `[B, H, W, C]` from that of the output, `[B, D]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: &AttentionPoolSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let name = parameters.name(self.positional_embedding);
        let dmixed = self.c_proj.backward(parameters, &saved.mixed, dy, to)?;
        let value_weight = || self.outer(&dmixed, &saved.means);
        self.v_proj.accumulate(parameters, to, value_weight, || matmul::column_sum(&dmixed))?;
        let dmeans = self.spread(parameters.value(self.v_proj.ids()[0]), &dmixed).layer(name)?;
        let (dscores, dtokens) = self.weights_backward(saved, &dmeans).layer(name)?;
        let ddirections = dscores.matmul(&saved.tokens).layer(name)?;
        // A key's bias moves all scores of a query alike, and softmax does not see that.
        let key_bias = || parameters.value(self.k_proj.ids()[1]).zeros_like();
        self.k_proj.accumulate(parameters, to, || self.outer(&saved.queries, &ddirections), key_bias)?;
        let dqueries = self.by_heads(parameters.value(self.k_proj.ids()[0]), &ddirections).layer(name)?;
        let dfirst = self.q_proj.backward(parameters, &saved.first, &dqueries, to)?;
        let dtokens = add_to_first(&dtokens, &dfirst).layer(name)?;
        if parameters.trainable(self.positional_embedding) {
            let positions = dtokens.dim(1).and_then(|length| positions_gradient(&dtokens, length)).layer(name)?;
            to.accumulate(self.positional_embedding, positions).layer(name)?;
        }
        pixels_gradient(&dtokens, saved.grid).layer(name)
    }

    /// Gradients of the scores `[B, heads, 1 + N]` and, so far as attention reads them, of the tokens.
    fn weights_backward(&self, saved: &AttentionPoolSaved, dmeans: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let weights = &saved.weights;
        let dweights = dmeans.matmul(&saved.tokens.t()?)?;
        let along = weights.mul(&dweights)?.sum_keepdim(D::Minus1)?;
        let dscores = (weights.mul(&dweights.broadcast_sub(&along)?)? * self.scale(&saved.queries)?)?;
        let by_means = weights.t()?.contiguous()?.matmul(dmeans)?;
        let by_scores = dscores.t()?.contiguous()?.matmul(&saved.directions)?;
        Ok((dscores, (by_means + by_scores)?))
    }

    /// Its parameters.
    pub fn ids(&self) -> Vec<ParameterId> {
        let projections = [self.k_proj, self.q_proj, self.v_proj, self.c_proj];
        std::iter::once(self.positional_embedding).chain(projections.iter().flat_map(Linear::ids)).collect()
    }
}

fn add_to_first(dtokens: &Tensor, dfirst: &Tensor) -> candle_core::Result<Tensor> {
    let length = dtokens.dim(1)?;
    let first = (dtokens.narrow(1, 0, 1)? + dfirst.unsqueeze(1)?)?;
    Tensor::cat(&[first, dtokens.narrow(1, 1, length - 1)?], 1)
}

/// Pixels get their own token's gradient and an equal share of the mean's.
fn pixels_gradient(dtokens: &Tensor, [height, width]: [usize; 2]) -> candle_core::Result<Tensor> {
    let (batch, _, channels) = dtokens.dims3()?;
    let pixels = height * width;
    let share = (dtokens.narrow(1, 0, 1)? / pixels as f64)?;
    dtokens.narrow(1, 1, pixels)?.broadcast_add(&share)?.reshape((batch, height, width, channels))
}
