//! The text tower, whichever kind a configuration asks for.

use candle_core::{DType, Tensor};

use super::hf_text::{HfText, HfTextSaved};
use super::text_transformer::{TextSaved, TextTransformer};
use super::trunk::Keep;
use crate::error::Result;
use crate::parameters::{Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// From token ids to features that are not yet of length 1.
#[derive(Clone, Debug)]
pub enum TextTower {
    /// CLIP's causal transformer.
    Transformer(TextTransformer),
    /// A tower of transformers.
    Hf(HfText),
}

/// What backward needs.
#[derive(Debug)]
pub enum TextTowerSaved {
    /// Of CLIP's transformer.
    Transformer(TextSaved),
    /// Of a tower of transformers.
    Hf(HfTextSaved),
}

impl TextTower {
    /// Sets what is kept of each block until backward.
    pub fn set_keep(&mut self, keep: Keep) {
        match self {
            Self::Transformer(tower) => tower.set_keep(keep),
            Self::Hf(tower) => tower.set_keep(keep),
        }
    }

    /// Whether its normalisations can stay trainable where the rest is held.
    pub fn can_free_norms(&self) -> bool {
        matches!(self, Self::Hf(_))
    }

    /// `input_ids` `[B, L]` (u32 or i64) to `[B, embed_dim]`, computed in `dtype`.
    ///
    /// # Errors
    /// For an id outside the vocabulary or texts that are too long.
    pub fn forward(
        &self,
        parameters: &Parameters,
        input_ids: &Tensor,
        dtype: DType,
        mode: Mode,
    ) -> Result<(Tensor, TextTowerSaved)> {
        Ok(match self {
            Self::Transformer(tower) => {
                let (features, saved) = tower.forward(parameters, input_ids, dtype)?;
                (features, TextTowerSaved::Transformer(saved))
            }
            Self::Hf(tower) => {
                let (features, saved) = tower.forward(parameters, input_ids, dtype, mode)?;
                (features, TextTowerSaved::Hf(saved))
            }
        })
    }

    /// Accumulates gradients from that of the features; stops below the lowest trainable parameter.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: TextTowerSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<()> {
        match (self, saved) {
            (Self::Transformer(tower), TextTowerSaved::Transformer(saved)) => tower.backward(parameters, saved, dy, to),
            (Self::Hf(tower), TextTowerSaved::Hf(saved)) => tower.backward(parameters, saved, dy, to),
            _ => Err(crate::Error::Foreign { what: "what a forward pass of the text tower saved" }),
        }
    }

    /// The parameters that `--lock-text` holds when the last `unlocked` layers stay trainable.
    pub fn locked_ids(&self, unlocked: usize) -> Vec<ParameterId> {
        match self {
            Self::Transformer(tower) => tower.locked_ids(unlocked),
            Self::Hf(tower) => tower.locked_ids(unlocked),
        }
    }
}
