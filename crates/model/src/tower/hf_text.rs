//! A text tower of transformers: RoBERTa or XLM-RoBERTa, a pooler, a projection.
//!
//! Padding is seen by nothing and read by nothing, so that texts are moved to the left and cut where the longest of the
//! batch ends.

use candle_core::{DType, Tensor};

use super::trunk::{Depth, Keep, Kept};
use crate::config::{ClipConfig, HfConfig, HfProjection, TextConfig};
use crate::error::{InLayer, Result};
use crate::kernel::activation::{self, Activation};
use crate::layer::bias_free::BiasFree;
use crate::layer::hf_pooler::{Pooler, PoolerSaved};
use crate::layer::post_norm_block::{PostNormBlock, PostNormSaved};
use crate::layer::roberta_embedding::{RobertaEmbedding, RobertaEmbeddingSaved};
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// Embedding, blocks, pooler, projection.
#[derive(Clone, Debug)]
pub struct HfText {
    embedding: RobertaEmbedding,
    blocks: Vec<PostNormBlock>,
    pooler: Pooler,
    projection: Projection,
    pad: u32,
    /// Tokens that there are positions for.
    longest: usize,
    keep: Keep,
}

/// From the pooled state to the feature.
#[derive(Clone, Copy, Debug)]
enum Projection {
    None,
    Linear(BiasFree),
    Mlp([BiasFree; 2]),
}

/// What backward needs.
#[derive(Debug)]
pub struct HfTextSaved {
    lengths: Vec<u32>,
    embedding: RobertaEmbeddingSaved,
    blocks: Vec<Kept<PostNormSaved>>,
    mode: Mode,
    pooler: PoolerSaved,
    pooled: Tensor,
    /// Output of the projection's first matrix, before and behind GELU.
    hidden: Option<[Tensor; 2]>,
}

impl HfText {
    /// Declares the tower's parameters under `prefix`, in the order of open_clip.
    pub fn declare(declaration: &mut Declaration, prefix: &str, config: &ClipConfig, hf: &HfConfig) -> Self {
        let text = &config.text_cfg;
        let base = format!("{prefix}transformer");
        let embedding = RobertaEmbedding::declare(declaration, &format!("{base}.embeddings"), hf);
        let block = |i| PostNormBlock::declare(declaration, &format!("{base}.encoder.layer.{i}"), hf);
        let blocks = (0..hf.num_hidden_layers).map(block).collect();
        let pooler = Pooler::declare(declaration, &format!("{base}.pooler"), text.hf_pooler_type, hf.hidden_size);
        let projection = Projection::declare(declaration, prefix, text, [hf.hidden_size, config.embed_dim]);
        let longest = hf.max_position_embeddings - hf.pad_token_id as usize - 1;
        Self { embedding, blocks, pooler, projection, pad: hf.pad_token_id, longest, keep: Keep::default() }
    }

    /// Sets what is kept of each block until backward.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// `input_ids` `[B, L]` (u32 or i64) to `[B, embed_dim]`, not yet of length 1.
    ///
    /// # Errors
    /// For an id outside the vocabulary, and for texts that are too long or hold nothing but padding.
    pub fn forward(
        &self,
        parameters: &Parameters,
        input_ids: &Tensor,
        dtype: DType,
        mode: Mode,
    ) -> Result<(Tensor, HfTextSaved)> {
        let (input_ids, lengths) = self.to_the_left(input_ids).layer("input_ids")?;
        let (x, embedding) = self.embedding.forward(parameters, input_ids, mode)?;
        let mut x = x.to_dtype(dtype)?;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (y, kept) = self.keep.run(x, |x| block.forward(parameters, x, &lengths, mode))?;
            blocks.push(kept);
            x = y;
        }
        let (pooled, pooler) = self.pooler.forward(parameters, &x, &lengths)?;
        let (features, hidden) = self.projection.forward(parameters, &pooled)?;
        Ok((features, HfTextSaved { lengths, embedding, blocks, mode, pooler, pooled, hidden }))
    }

    /// The ids that are no padding, moved to the left, and how many there are of each text.
    fn to_the_left(&self, input_ids: &Tensor) -> candle_core::Result<(Tensor, Vec<u32>)> {
        let (batch, _) = input_ids.dims2()?;
        let rows = input_ids.to_dtype(DType::U32)?.to_vec2::<u32>()?;
        let mut texts: Vec<Vec<u32>> = rows.into_iter().map(|row| self.without_padding(row)).collect();
        let lengths: Vec<u32> = texts.iter().map(|text| text.len() as u32).collect();
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        if lengths.contains(&0) || longest > self.longest || longest == 0 {
            candle_core::bail!("texts have {lengths:?} tokens, expected 1 to {}", self.longest);
        }
        texts.iter_mut().for_each(|text| text.resize(longest, self.pad));
        Ok((Tensor::from_vec(texts.concat(), (batch, longest), input_ids.device())?, lengths))
    }

    fn without_padding(&self, mut row: Vec<u32>) -> Vec<u32> {
        row.retain(|id| *id != self.pad);
        row
    }

    /// Accumulates gradients from that of the features, `[B, embed_dim]`; stops below the lowest trainable parameter.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, saved: HfTextSaved, dy: &Tensor, to: &mut Gradients) -> Result<()> {
        let blocks = self.blocks.iter().map(PostNormBlock::ids);
        let depth = Depth::of(parameters, &self.embedding.ids(), blocks, &self.head_ids());
        if depth == Depth::Nowhere {
            return Ok(());
        }
        let HfTextSaved { lengths, embedding, mut blocks, mode, pooler, pooled, hidden } = saved;
        let dpooled = self.projection.backward(parameters, &pooled, hidden, dy, to)?;
        let mut dx = self.pooler.backward(parameters, &pooler, &lengths, &dpooled, to)?;
        for block in self.blocks[depth.lowest_block(self.blocks.len())..].iter().rev() {
            if let Some(kept) = blocks.pop() {
                let saved = kept.saved(|x| block.forward(parameters, x, &lengths, mode))?;
                dx = block.backward(parameters, saved, &lengths, &dx, to)?;
            }
        }
        if depth == Depth::Stem {
            self.embedding.backward(parameters, &embedding, dx.to_dtype(DType::F32)?, to)?;
        }
        Ok(())
    }

    fn head_ids(&self) -> Vec<ParameterId> {
        self.pooler.ids().into_iter().chain(self.projection.ids()).collect()
    }

    /// The parameters that `--lock-text` holds: embedding and all blocks but the last `unlocked`, or with none unlocked the
    /// whole of the transformer.
    pub fn locked_ids(&self, unlocked: usize) -> Vec<ParameterId> {
        let mut groups = vec![self.embedding.ids()];
        groups.extend(self.blocks.iter().map(PostNormBlock::ids));
        let held = groups.len().saturating_sub(unlocked);
        let pooler = if unlocked == 0 { self.pooler.ids() } else { Vec::new() };
        groups.into_iter().take(held).flatten().chain(pooler).collect()
    }
}

impl Projection {
    fn declare(declaration: &mut Declaration, prefix: &str, text: &TextConfig, [width, outputs]: [usize; 2]) -> Self {
        match text.hf_proj_type {
            None => Self::None,
            Some(HfProjection::Linear) => {
                Self::Linear(BiasFree::declare(declaration, &format!("{prefix}proj"), [width, outputs]))
            }
            Some(HfProjection::Mlp) => {
                let hidden = (width + outputs) / 2;
                Self::Mlp([
                    BiasFree::declare(declaration, &format!("{prefix}proj.0"), [width, hidden]),
                    BiasFree::declare(declaration, &format!("{prefix}proj.2"), [hidden, outputs]),
                ])
            }
        }
    }

    fn forward(&self, parameters: &Parameters, pooled: &Tensor) -> Result<(Tensor, Option<[Tensor; 2]>)> {
        match self {
            Self::None => Ok((pooled.clone(), None)),
            Self::Linear(linear) => Ok((linear.forward(parameters, pooled)?, None)),
            Self::Mlp([first, second]) => {
                let widened = first.forward(parameters, pooled)?;
                let activated = activation::forward(&widened, Activation::Gelu).layer(parameters.name(first.id()))?;
                Ok((second.forward(parameters, &activated)?, Some([widened, activated])))
            }
        }
    }

    fn backward(
        &self,
        parameters: &Parameters,
        pooled: &Tensor,
        hidden: Option<[Tensor; 2]>,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        match (self, hidden) {
            (Self::Linear(linear), _) => linear.backward(parameters, pooled, dy, to),
            (Self::Mlp([first, second]), Some([widened, activated])) => {
                let dactivated = second.backward(parameters, &activated, dy, to)?;
                let dwidened = activation::backward(&widened, &dactivated, Activation::Gelu);
                first.backward(parameters, pooled, &dwidened.layer(parameters.name(first.id()))?, to)
            }
            _ => Ok(dy.clone()),
        }
    }

    fn ids(&self) -> Vec<ParameterId> {
        match self {
            Self::None => Vec::new(),
            Self::Linear(linear) => vec![linear.id()],
            Self::Mlp(both) => both.iter().map(BiasFree::id).collect(),
        }
    }
}
