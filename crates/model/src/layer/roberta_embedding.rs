//! RoBERTa's embedding: words, positions counted from the one behind padding, the first kind of token, normalised.

use candle_core::Tensor;

use crate::config::HfConfig;
use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::{embedding, matmul};
use crate::layer::dropout::{self, Dropout};
use crate::layer::embedding::positions_gradient;
use crate::layer::layer_norm::LayerNorm;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// `word_embeddings` `[V, C]`, `token_type_embeddings` `[T, C]`, `position_embeddings` `[P, C]`, `LayerNorm`.
#[derive(Clone, Debug)]
pub struct RobertaEmbedding {
    words: ParameterId,
    kinds: ParameterId,
    norm: LayerNorm,
    positions: ParameterId,
    /// Row of the first token's position.
    first: usize,
    share: f64,
}

/// What backward needs.
#[derive(Debug)]
pub struct RobertaEmbeddingSaved {
    input_ids: Tensor,
    sum: Tensor,
    dropped: Option<Dropout>,
}

impl RobertaEmbedding {
    /// Declares the parameters of `{name}`, in the order of transformers.
    pub fn declare(declaration: &mut Declaration, name: &str, config: &HfConfig) -> Self {
        let pad = config.pad_token_id as usize;
        let padded = |rows: usize| match pad < rows {
            true => Initialisation::Padded { std: 0.02, row: pad },
            false => Initialisation::Normal { std: 0.02 },
        };
        let table = |declaration: &mut Declaration, part: &str, rows: usize, init: Initialisation| {
            declaration.add(format!("{name}.{part}.weight"), &[rows, config.hidden_size], init)
        };
        let words = table(declaration, "word_embeddings", config.vocab_size, padded(config.vocab_size));
        let normal = Initialisation::Normal { std: 0.02 };
        let kinds = table(declaration, "token_type_embeddings", config.type_vocab_size, normal);
        let norm = LayerNorm::declare(declaration, &format!("{name}.LayerNorm"), config.hidden_size);
        let rows = config.max_position_embeddings;
        let positions = table(declaration, "position_embeddings", rows, padded(rows));
        Self { words, kinds, norm, positions, first: pad + 1, share: config.hidden_dropout_prob }
    }

    /// `input_ids` `[B, L]` (u32), padding at the end of each row, to `[B, L, C]`.
    ///
    /// # Errors
    /// For an id outside the vocabulary or a text that is too long.
    pub fn forward(
        &self,
        parameters: &Parameters,
        input_ids: Tensor,
        mode: Mode,
    ) -> Result<(Tensor, RobertaEmbeddingSaved)> {
        let name = parameters.name(self.words);
        let length = input_ids.dim(1).layer(name)?;
        let rows = || {
            let kind = parameters.value(self.kinds).narrow(0, 0, 1)?;
            parameters.value(self.positions).narrow(0, self.first, length)?.broadcast_add(&kind)
        };
        let positions = rows().layer(parameters.name(self.positions))?;
        let sum = embedding::forward(parameters.value(self.words), &input_ids, &positions).layer(name)?;
        let dropped = dropout::of(name, self.share, mode);
        let y = dropout::apply(self.norm.forward(parameters, &sum)?, dropped, name)?;
        Ok((y, RobertaEmbeddingSaved { input_ids, sum, dropped }))
    }

    /// Accumulates all gradients from that of the output, `[B, L, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: &RobertaEmbeddingSaved,
        dy: Tensor,
        to: &mut Gradients,
    ) -> Result<()> {
        let name = parameters.name(self.words);
        let dy = dropout::apply(dy, saved.dropped, name)?;
        let dsum = self.norm.backward(parameters, &saved.sum, &dy, None, to)?;
        let rows = |id: ParameterId| parameters.value(id).dim(0);
        if parameters.trainable(self.words) {
            let gradient = || embedding::backward(&saved.input_ids, &dsum, rows(self.words)?);
            to.accumulate(self.words, gradient().layer(name)?).layer(name)?;
        }
        if parameters.trainable(self.kinds) {
            let gradient = || matmul::column_sum(&dsum)?.unsqueeze(0)?.pad_with_zeros(0, 0, rows(self.kinds)? - 1);
            to.accumulate(self.kinds, gradient().layer(name)?).layer(name)?;
        }
        if parameters.trainable(self.positions) {
            let gradient =
                || positions_gradient(&dsum, rows(self.positions)? - self.first)?.pad_with_zeros(0, self.first, 0);
            to.accumulate(self.positions, gradient().layer(name)?).layer(name)?;
        }
        Ok(())
    }

    /// Its parameters.
    pub fn ids(&self) -> Vec<ParameterId> {
        [self.words, self.kinds, self.positions].into_iter().chain(self.norm.ids()).collect()
    }

    /// Gain and bias of its normalisation.
    pub fn norm_ids(&self) -> [ParameterId; 2] {
        self.norm.ids()
    }
}
