//! The causal text transformer.

use candle_core::{DType, Tensor};

use super::trunk::{self, Depth, Keep, Output, TrunkSaved};
use crate::config::{ClipConfig, TextConfig, mlp_width};
use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::attention::Mask;
use crate::layer::attention::AttentionSpec;
use crate::layer::block::{Block, BlockSpec};
use crate::layer::embedding::Embedding;
use crate::layer::layer_norm::LayerNorm;
use crate::layer::mlp::MlpSpec;
use crate::layer::projection::Projection;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// Embedding, blocks, the row at the largest token id, `ln_final`, projection.
#[derive(Clone, Debug)]
pub struct TextTransformer {
    embedding: Embedding,
    blocks: Vec<Block>,
    ln_final: LayerNorm,
    text_projection: Projection,
    context_length: usize,
    keep: Keep,
}

/// What backward needs.
#[derive(Debug)]
pub struct TextSaved {
    input_ids: Tensor,
    trunk: TrunkSaved,
    /// Input of `ln_final`, `[B, C]`.
    before_norm: Tensor,
    /// Input of the projection, `[B, C]`.
    pooled: Tensor,
}

/// The parameters that open_clip's `state_dict` lists before all modules.
#[derive(Clone, Copy, Debug)]
pub struct TextRoots {
    positional_embedding: ParameterId,
    text_projection: ParameterId,
}

/// Where the token embedding stands among the tower's modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleOrder {
    /// After the blocks: models whose text tower is spread over the root.
    BlocksFirst,
    /// Before the blocks: models whose text tower is a module of its own.
    EmbeddingFirst,
}

impl TextRoots {
    /// Declares `positional_embedding` and `text_projection`.
    pub fn declare(declaration: &mut Declaration, prefix: &str, config: &ClipConfig) -> Self {
        let text = &config.text_cfg;
        let (positions, std) = ([text.context_length, text.width], (text.width as f64).powf(-0.5));
        let init = Initialisation::Normal { std: 0.01 };
        let positional_embedding = declaration.add(format!("{prefix}positional_embedding"), &positions, init);
        let (shape, init) = ([text.width, config.embed_dim], Initialisation::Normal { std });
        let text_projection = declaration.add(format!("{prefix}text_projection"), &shape, init);
        Self { positional_embedding, text_projection }
    }
}

impl TextTransformer {
    /// Declares the tower's modules under `prefix`, in open_clip's order.
    pub fn declare(
        declaration: &mut Declaration,
        prefix: &str,
        config: &ClipConfig,
        roots: TextRoots,
        order: ModuleOrder,
    ) -> Self {
        let text = &config.text_cfg;
        let table = |declaration: &mut Declaration| {
            let (shape, init) = ([text.vocab_size, text.width], Initialisation::Normal { std: 0.02 });
            declaration.add(format!("{prefix}token_embedding.weight"), &shape, init)
        };
        let stack = |declaration: &mut Declaration| {
            let name = |i| format!("{prefix}transformer.resblocks.{i}");
            let spec = block_spec(config, text);
            (0..text.layers).map(|i| Block::declare(declaration, &name(i), &spec)).collect()
        };
        let (table, blocks) = match order {
            ModuleOrder::EmbeddingFirst => (table(declaration), stack(declaration)),
            ModuleOrder::BlocksFirst => {
                let blocks = stack(declaration);
                (table(declaration), blocks)
            }
        };
        Self {
            embedding: Embedding { table, positions: roots.positional_embedding },
            blocks,
            ln_final: LayerNorm::declare(declaration, &format!("{prefix}ln_final"), text.width),
            text_projection: Projection { matrix: roots.text_projection },
            context_length: text.context_length,
            keep: Keep::default(),
        }
    }

    /// Sets what is kept of each block until backward.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// `input_ids` `[B, L]` (u32 or i64, `L` at most the context) to `[B, embed_dim]`, not yet of length 1.
    ///
    /// # Errors
    /// For an id outside the vocabulary or texts that are too long.
    pub fn forward(&self, parameters: &Parameters, input_ids: &Tensor, dtype: DType) -> Result<(Tensor, TextSaved)> {
        let (input_ids, ends) = self.trim(input_ids).layer("input_ids")?;
        let x = self.embedding.forward(parameters, &input_ids)?.to_dtype(dtype)?;
        let (before_norm, trunk) = trunk::forward(&self.blocks, parameters, x, Output::Rows(&ends), self.keep)?;
        let pooled = self.ln_final.forward(parameters, &before_norm)?;
        let features = self.text_projection.forward(parameters, &pooled)?;
        Ok((features, TextSaved { input_ids, trunk, before_norm, pooled }))
    }

    /// Where each text ends (its largest id), and the ids up to the last end: no token sees what comes after it, and only
    /// the ends are read, so that what lies behind the last of them changes nothing.
    fn trim(&self, input_ids: &Tensor) -> candle_core::Result<(Tensor, Vec<u32>)> {
        let (_, length) = input_ids.dims2()?;
        if length == 0 || length > self.context_length {
            candle_core::bail!("texts have {length} tokens, expected 1 to {}", self.context_length);
        }
        let ids = input_ids.to_dtype(DType::U32)?;
        let ends: Vec<u32> = ids.to_vec2::<u32>()?.iter().map(|text| largest(text)).collect();
        let used = ends.iter().max().map_or(1, |end| *end as usize + 1);
        Ok((ids.narrow(1, 0, used)?.contiguous()?, ends))
    }

    /// Accumulates gradients from that of the features, `[B, embed_dim]`; stops below the lowest trainable parameter.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, saved: TextSaved, dy: &Tensor, to: &mut Gradients) -> Result<()> {
        let stem = [self.embedding.table, self.embedding.positions];
        let depth = Depth::of(parameters, &stem, self.blocks.iter().map(Block::ids), &self.head_ids());
        if depth == Depth::Nowhere {
            return Ok(());
        }
        let dpooled = self.text_projection.backward(parameters, &saved.pooled, dy, to)?;
        let dtrunk = self.ln_final.backward(parameters, &saved.before_norm, &dpooled, None, to)?;
        let lowest = depth.lowest_block(self.blocks.len());
        let dx = trunk::backward(&self.blocks, lowest, parameters, saved.trunk, dtrunk, to)?;
        if depth == Depth::Stem {
            self.embedding.backward(parameters, &saved.input_ids, &dx, to)?;
        }
        Ok(())
    }

    fn head_ids(&self) -> Vec<ParameterId> {
        self.ln_final.ids().into_iter().chain([self.text_projection.matrix]).collect()
    }

    /// All parameters but those of the last `unlocked` groups, as open_clip counts them: embeddings, each block but the last,
    /// the last block with `ln_final`, the projection.
    pub fn locked_ids(&self, unlocked: usize) -> Vec<ParameterId> {
        let mut groups = vec![vec![self.embedding.table, self.embedding.positions]];
        groups.extend(self.blocks.iter().map(Block::ids));
        if let Some(last) = groups.last_mut() {
            last.extend(self.ln_final.ids());
        }
        groups.push(vec![self.text_projection.matrix]);
        let held = groups.len().saturating_sub(unlocked);
        groups.into_iter().take(held).flatten().collect()
    }
}

/// Position of the largest id, the first of equal ones.
fn largest(text: &[u32]) -> u32 {
    let mut best = 0;
    for (i, id) in text.iter().enumerate() {
        if *id > text[best] {
            best = i;
        }
    }
    best as u32
}

/// Blocks of the text tower start narrower the more of them there are.
fn block_spec(config: &ClipConfig, text: &TextConfig) -> BlockSpec {
    let width = text.width;
    let std = (width as f64).powf(-0.5);
    let narrow = Initialisation::Normal { std: std * (2.0 * text.layers as f64).powf(-0.5) };
    let attn = AttentionSpec {
        width,
        heads: text.heads,
        mask: Mask::Causal,
        in_proj: Initialisation::Normal { std },
        out_proj: narrow,
    };
    let c_fc = Initialisation::Normal { std: (2.0 * width as f64).powf(-0.5) };
    let hidden = mlp_width(width, text.mlp_ratio);
    let mlp = MlpSpec { width, hidden, activation: config.activation(), c_fc, c_proj: narrow };
    BlockSpec { attn, mlp, layer_scale: text.ls_init_value }
}
