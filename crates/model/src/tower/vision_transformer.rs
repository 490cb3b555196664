//! The vision transformer.

use candle_core::Tensor;

use super::trunk::{self, Depth, Keep, Output, TrunkSaved};
use crate::config::{ClipConfig, PoolType, VisionConfig, mlp_width};
use crate::error::Result;
use crate::init::Initialisation;
use crate::kernel::attention::Mask;
use crate::layer::attention::AttentionSpec;
use crate::layer::block::{Block, BlockSpec};
use crate::layer::layer_norm::LayerNorm;
use crate::layer::mlp::MlpSpec;
use crate::layer::patch_dropout::{self, PatchDropoutSaved};
use crate::layer::patch_embed::{PatchEmbed, PatchEmbedSaved};
use crate::layer::pooling;
use crate::layer::projection::Projection;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// Patches, `ln_pre`, blocks, pooling, `ln_post`, projection.
#[derive(Clone, Debug)]
pub struct VisionTransformer {
    patch_embed: PatchEmbed,
    patch_dropout: f64,
    ln_pre: LayerNorm,
    blocks: Vec<Block>,
    pool_type: PoolType,
    ln_post: LayerNorm,
    proj: Projection,
    keep: Keep,
}

/// What backward needs.
#[derive(Debug)]
pub struct VisionSaved {
    patch_embed: PatchEmbedSaved,
    dropped: Option<PatchDropoutSaved>,
    tokens: Tensor,
    trunk: TrunkSaved,
    /// Input of `ln_post`: the class token of each sample, or all tokens.
    before_norm: Tensor,
    /// Input of the projection, `[B, C]`.
    pooled: Tensor,
}

impl VisionTransformer {
    /// Declares the tower's parameters under `prefix`, in open_clip's order.
    pub fn declare(declaration: &mut Declaration, prefix: &str, config: &ClipConfig, layers: usize) -> Self {
        let vision = &config.vision_cfg;
        let sizes = [vision.width, vision.image_size, vision.patch_size];
        let tokens = PatchEmbed::declare_tokens(declaration, prefix, sizes[0], sizes[1], sizes[2]);
        let init = Initialisation::Normal { std: (vision.width as f64).powf(-0.5) };
        let matrix = declaration.add(format!("{prefix}proj"), &[vision.width, config.embed_dim], init);
        let patch_embed = PatchEmbed::declare_weight(declaration, prefix, tokens, sizes);
        let ln_pre = LayerNorm::declare(declaration, &format!("{prefix}ln_pre"), vision.width);
        let spec = block_spec(config, vision);
        let blocks = (0..layers)
            .map(|i| Block::declare(declaration, &format!("{prefix}transformer.resblocks.{i}"), &spec))
            .collect();
        let ln_post = LayerNorm::declare(declaration, &format!("{prefix}ln_post"), vision.width);
        let (pool_type, patch_dropout) = (vision.pool_type, vision.patch_dropout);
        Self {
            patch_embed,
            patch_dropout,
            ln_pre,
            blocks,
            pool_type,
            ln_post,
            proj: Projection { matrix },
            keep: Keep::default(),
        }
    }

    /// Sets what is kept of each block until backward.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// `pixel_values` `[B, 3, S, S]` to `[B, embed_dim]`, not yet of length 1.
    ///
    /// # Errors
    /// For pictures of another size.
    pub fn forward(&self, parameters: &Parameters, pixel_values: &Tensor, mode: Mode) -> Result<(Tensor, VisionSaved)> {
        let (tokens, patch_embed) = self.patch_embed.forward(parameters, pixel_values)?;
        let (tokens, dropped) = patch_dropout::forward(tokens, self.patch_dropout, mode)?;
        let x = self.ln_pre.forward(parameters, &tokens)?;
        let class = vec![0; x.dim(0)?];
        let output = match self.pool_type {
            PoolType::Tok => Output::Rows(&class),
            PoolType::Avg => Output::Tokens,
        };
        let (before_norm, trunk) = trunk::forward(&self.blocks, parameters, x, output, self.keep)?;
        let normed = self.ln_post.forward(parameters, &before_norm)?;
        let pooled = match self.pool_type {
            PoolType::Tok => normed,
            PoolType::Avg => pooling::mean_of_patches(&normed)?,
        };
        let features = self.proj.forward(parameters, &pooled)?;
        Ok((features, VisionSaved { patch_embed, dropped, tokens, trunk, before_norm, pooled }))
    }

    /// Accumulates gradients from that of the features, `[B, embed_dim]`; stops below the lowest trainable parameter.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, saved: VisionSaved, dy: &Tensor, to: &mut Gradients) -> Result<()> {
        let depth = Depth::of(parameters, &self.stem_ids(), self.blocks.iter().map(Block::ids), &self.head_ids());
        if depth == Depth::Nowhere {
            return Ok(());
        }
        let dpooled = self.proj.backward(parameters, &saved.pooled, dy, to)?;
        let dnormed = match self.pool_type {
            PoolType::Tok => dpooled,
            PoolType::Avg => pooling::mean_of_patches_backward(saved.before_norm.dim(1)?, &dpooled)?,
        };
        let dtrunk = self.ln_post.backward(parameters, &saved.before_norm, &dnormed, None, to)?;
        let lowest = depth.lowest_block(self.blocks.len());
        let dx = trunk::backward(&self.blocks, lowest, parameters, saved.trunk, dtrunk, to)?;
        if depth == Depth::Stem {
            let dtokens = self.ln_pre.backward(parameters, &saved.tokens, &dx, None, to)?;
            let dtokens = patch_dropout::backward(saved.dropped.as_ref(), dtokens)?;
            self.patch_embed.backward(parameters, &saved.patch_embed, &dtokens, to)?;
        }
        Ok(())
    }

    fn stem_ids(&self) -> Vec<ParameterId> {
        self.patch_embed.ids().into_iter().chain(self.ln_pre.ids()).collect()
    }

    fn head_ids(&self) -> Vec<ParameterId> {
        self.ln_post.ids().into_iter().chain([self.proj.matrix]).collect()
    }

    /// All parameters but those of the last `unlocked` groups, as open_clip counts them: the stem, each block but the last,
    /// the last block with `ln_post`, the projection.
    pub fn locked_ids(&self, unlocked: usize) -> Vec<ParameterId> {
        let mut groups = vec![self.stem_ids()];
        groups.extend(self.blocks.iter().map(Block::ids));
        if let Some(last) = groups.last_mut() {
            last.extend(self.ln_post.ids());
        }
        groups.push(vec![self.proj.matrix]);
        let held = groups.len().saturating_sub(unlocked);
        groups.into_iter().take(held).flatten().collect()
    }
}

/// Blocks of the image tower keep PyTorch's own first values.
fn block_spec(config: &ClipConfig, vision: &VisionConfig) -> BlockSpec {
    let (width, hidden) = (vision.width, mlp_width(vision.width, vision.mlp_ratio));
    let attn = AttentionSpec {
        width,
        heads: width / vision.head_width,
        mask: Mask::None,
        in_proj: Initialisation::xavier(width, 3 * width),
        out_proj: Initialisation::default_linear(width),
    };
    let (c_fc, c_proj) = (Initialisation::default_linear(width), Initialisation::default_linear(hidden));
    let mlp = MlpSpec { width, hidden, activation: config.activation(), c_fc, c_proj };
    BlockSpec { attn, mlp, layer_scale: vision.ls_init_value }
}
