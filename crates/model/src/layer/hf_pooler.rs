//! One state for each text out of a tower of transformers: a mean, a largest value, or the first token.

use candle_core::{DType, Tensor};

use crate::config::HfPooler;
use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::layer::linear::{Linear, LinearSpec};
use crate::layer::pooling;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// What pools, with `pooler.dense` where the model has one.
#[derive(Clone, Copy, Debug)]
pub enum Pooler {
    /// Mean over the tokens of a text.
    Mean,
    /// Largest value over the tokens of a text.
    Max,
    /// The first token.
    First,
    /// `tanh(dense(first token))`.
    Dense(Linear),
}

/// What backward needs.
#[derive(Debug)]
pub struct PoolerSaved {
    length: usize,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Nothing,
    /// How much of a state's gradient goes to each token, `[B, L, C]`.
    Shares(Tensor),
    /// First tokens and outputs, `[B, C]`.
    Dense([Tensor; 2]),
}

impl Pooler {
    /// Declares `{name}.dense` where the kind asks for it.
    pub fn declare(declaration: &mut Declaration, name: &str, kind: HfPooler, width: usize) -> Self {
        match kind {
            HfPooler::MeanPooler => Self::Mean,
            HfPooler::MaxPooler => Self::Max,
            HfPooler::ClsLastHiddenStatePooler => Self::First,
            HfPooler::ClsPooler => {
                let (weight, bias) = (Initialisation::Normal { std: 0.02 }, Initialisation::Constant(0.0));
                let spec = LinearSpec { inputs: width, outputs: width, weight, bias };
                let names = ["weight", "bias"].map(|part| format!("{name}.dense.{part}"));
                let [weight, bias] = names;
                Self::Dense(Linear::declare(declaration, weight, bias, &spec))
            }
        }
    }

    /// `[B, L, C]`, of which `lengths[b]` tokens count, to `[B, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor, lengths: &[u32]) -> Result<(Tensor, PoolerSaved)> {
        let length = x.dim(1).layer("pooler")?;
        let (pooled, rest) = match self {
            Self::Mean => {
                let means = || x.broadcast_mul(&weights(x, lengths, Weigh::Mean)?)?.sum(1);
                (means().layer("pooler")?, Rest::Nothing)
            }
            Self::Max => {
                let (largest, shares) = largest(x, lengths).layer("pooler")?;
                (largest, Rest::Shares(shares))
            }
            Self::First => (pooling::rows(x, &vec![0; lengths.len()])?, Rest::Nothing),
            Self::Dense(dense) => {
                let first = pooling::rows(x, &vec![0; lengths.len()])?;
                let y = dense.forward(parameters, &first)?.tanh().layer(parameters.name(dense.ids()[0]))?;
                (y.clone(), Rest::Dense([first, y]))
            }
        };
        Ok((pooled, PoolerSaved { length, rest }))
    }

    /// The input's gradient `[B, L, C]` from that of the pooled states, `[B, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: &PoolerSaved,
        lengths: &[u32],
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let spread = |dy: &Tensor, shares: &Tensor| dy.unsqueeze(1)?.broadcast_mul(shares);
        let first = |dy: &Tensor| dy.unsqueeze(1)?.pad_with_zeros(1, 0, saved.length - 1);
        match (self, &saved.rest) {
            (_, Rest::Shares(shares)) => spread(dy, shares).layer("pooler"),
            (Self::Dense(dense), Rest::Dense([input, y])) => {
                let through_tanh = y.sqr().and_then(|y| dy.mul(&(1.0 - y)?));
                let dpre = through_tanh.layer(parameters.name(dense.ids()[0]))?;
                first(&dense.backward(parameters, input, &dpre, to)?).layer("pooler")
            }
            (Self::Mean, _) => {
                let shares = weights_for(dy, lengths, saved.length, Weigh::Mean);
                shares.and_then(|shares| spread(dy, &shares)).layer("pooler")
            }
            _ => first(dy).layer("pooler"),
        }
    }

    /// Its parameters.
    pub fn ids(&self) -> Vec<ParameterId> {
        if let Self::Dense(dense) = self { dense.ids().to_vec() } else { Vec::new() }
    }
}

/// How tokens count.
#[derive(Clone, Copy)]
enum Weigh {
    /// One over their number.
    Mean,
    /// 0; padding far below everything.
    Bar,
}

fn weights(x: &Tensor, lengths: &[u32], weigh: Weigh) -> candle_core::Result<Tensor> {
    weights_for(x, lengths, x.dim(1)?, weigh)
}

/// `[B, L, 1]`.
fn weights_for(like: &Tensor, lengths: &[u32], length: usize, weigh: Weigh) -> candle_core::Result<Tensor> {
    let of = |count: u32, token: u32| match (weigh, token < count) {
        (Weigh::Mean, true) => 1.0 / count as f32,
        (Weigh::Mean, false) | (Weigh::Bar, true) => 0.0,
        (Weigh::Bar, false) => f32::MIN,
    };
    let values = lengths.iter().flat_map(|count| (0..length as u32).map(move |token| of(*count, token)));
    Tensor::from_iter(values, like.device())?.reshape((lengths.len(), length, 1))?.to_dtype(like.dtype())
}

/// Largest values, and for each token 1 where it has them; the first of equal ones.
fn largest(x: &Tensor, lengths: &[u32]) -> candle_core::Result<(Tensor, Tensor)> {
    let barred = x.broadcast_add(&weights(x, lengths, Weigh::Bar)?)?;
    let at = barred.argmax_keepdim(1)?;
    let tokens = Tensor::arange(0u32, x.dim(1)? as u32, x.device())?.reshape((1, (), 1))?;
    let shares = tokens.broadcast_eq(&at)?.to_dtype(DType::F32)?.to_dtype(x.dtype())?;
    Ok((barred.max(1)?, shares))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::largest;

    #[test]
    fn largest_values_are_those_of_the_text_alone() {
        let x = Tensor::new(&[[[1f32, 5.0], [3.0, 2.0], [9.0, 9.0]]], &Device::Cpu).unwrap();
        let (values, shares) = largest(&x, &[2]).unwrap();
        assert_eq!(values.to_vec2::<f32>().unwrap(), [[3.0, 5.0]]);
        assert_eq!(shares.to_vec3::<f32>().unwrap(), [[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]);
    }
}
