//! The residual network of CLIP: three convolutions at the entrance, means instead of strides, an attention pool at the end.
//!
//! Pictures lie as `[B, H, W, C]` inside, so that channels are the columns of every product.

use candle_core::{Tensor, bail};

use crate::config::{ClipConfig, VisionConfig};
use crate::error::{InLayer, Result};
use crate::kernel::patches::Window;
use crate::kernel::pool;
use crate::layer::attention_pool::{AttentionPool, AttentionPoolSaved, AttentionPoolSpec};
use crate::layer::batch_norm::{BatchNorm, Seen};
use crate::layer::bottleneck::{Bottleneck, BottleneckSaved, EXPANSION, NEIGHBOURS, Unit, UnitSaved};
use crate::layer::convolution::Convolution;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// The first convolution halves the picture.
const HALVING: Window = Window { kernel: 3, stride: 2, padding: 1 };
/// Sides of a picture are divided by this much before the pool.
const REDUCTION: usize = 32;

/// Stem, four stages, attention pool.
#[derive(Clone, Debug)]
pub struct ModifiedResNet {
    stem: [Unit; 3],
    blocks: Vec<Bottleneck>,
    attnpool: AttentionPool,
    image_size: usize,
}

/// What backward needs.
#[derive(Debug)]
pub struct ResNetSaved {
    stem: [UnitSaved; 3],
    /// Height and width before the stem's mean.
    grid: [usize; 2],
    blocks: Vec<BottleneckSaved>,
    attnpool: AttentionPoolSaved,
}

impl ModifiedResNet {
    /// Declares the tower's parameters under `prefix`, in open_clip's order; `stages` are blocks a stage.
    pub fn declare(declaration: &mut Declaration, prefix: &str, config: &ClipConfig, stages: [usize; 4]) -> Self {
        let vision = &config.vision_cfg;
        let width = vision.width;
        let mut unit = |i: usize, sizes: [usize; 2], window: Window| {
            let conv = Convolution::declare(declaration, &format!("{prefix}conv{i}"), sizes, window);
            Unit::new(conv, BatchNorm::declare(declaration, &format!("{prefix}bn{i}"), sizes[1], 1.0))
        };
        let half = width / 2;
        let stem = [unit(1, [3, half], HALVING), unit(2, [half, half], NEIGHBOURS), unit(3, [half, width], NEIGHBOURS)];
        let mut blocks = Vec::new();
        let mut inputs = width;
        for (stage, count) in stages.into_iter().enumerate() {
            let middle = width << stage;
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let name = format!("{prefix}layer{}.{i}", stage + 1);
                blocks.push(Bottleneck::declare(declaration, &name, [inputs, middle], stride));
                inputs = EXPANSION * middle;
            }
        }
        let grid = vision.image_size / REDUCTION;
        let spec = AttentionPoolSpec { grid, width: inputs, heads: pool_heads(vision), outputs: config.embed_dim };
        let attnpool = AttentionPool::declare(declaration, &format!("{prefix}attnpool"), &spec);
        Self { stem, blocks, attnpool, image_size: vision.image_size }
    }

    /// `pixel_values` `[B, 3, S, S]` to `[B, embed_dim]`, not yet of length 1.
    ///
    /// # Errors
    /// For pictures of another size.
    pub fn forward(&self, parameters: &Parameters, pixel_values: &Tensor, mode: Mode) -> Result<(Tensor, ResNetSaved)> {
        let x = self.pixels(pixel_values).layer("visual.conv1")?;
        let [first, second, third] = self.stem;
        let (x, saved_1) = first.forward(parameters, x, mode)?;
        let (x, saved_2) = second.forward(parameters, x, mode)?;
        let (x, saved_3) = third.forward(parameters, x, mode)?;
        let (_, height, width, _) = x.dims4()?;
        let mut x = pool::forward(&x, 2).layer("visual.avgpool")?;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (y, saved) = block.forward(parameters, x, mode)?;
            blocks.push(saved);
            x = y;
        }
        let (features, attnpool) = self.attnpool.forward(parameters, &x)?;
        let stem = [saved_1, saved_2, saved_3];
        Ok((features, ResNetSaved { stem, grid: [height, width], blocks, attnpool }))
    }

    fn pixels(&self, pixel_values: &Tensor) -> candle_core::Result<Tensor> {
        let (_, channels, height, width) = pixel_values.dims4()?;
        let size = self.image_size;
        if [channels, height, width] != [3, size, size] {
            bail!("pixel_values have shape {:?}, expected [B, 3, {size}, {size}]", pixel_values.dims());
        }
        pixel_values.permute((0, 2, 3, 1))?.contiguous()
    }

    /// Accumulates gradients from that of the features, `[B, embed_dim]`; does nothing where no parameter is trainable.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(&self, parameters: &Parameters, saved: ResNetSaved, dy: &Tensor, to: &mut Gradients) -> Result<()> {
        if !self.ids().any(|id| parameters.trainable(id)) {
            return Ok(());
        }
        let ResNetSaved { stem, grid: [height, width], blocks, attnpool } = saved;
        let mut dx = self.attnpool.backward(parameters, &attnpool, dy, to)?;
        drop(attnpool);
        for (block, saved) in self.blocks.iter().zip(blocks).rev() {
            dx = block.backward(parameters, saved, &dx, to)?;
        }
        let dx = pool::backward(&dx, 2, height, width).layer("visual.avgpool")?;
        let [saved_1, saved_2, saved_3] = stem;
        let dx = self.stem[2].backward(parameters, saved_3, &dx, to)?;
        let dx = self.stem[1].backward(parameters, saved_2, &dx, to)?;
        self.stem[0].backward_parameters(parameters, saved_1, &dx, to)
    }

    /// Its parameters, buffers left out.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> {
        let stem = self.stem.iter().flat_map(Unit::ids);
        stem.chain(self.blocks.iter().flat_map(Bottleneck::ids)).chain(self.attnpool.ids())
    }
}

impl ResNetSaved {
    /// What the running statistics have to learn of this batch; nothing in evaluation.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        let stem = self.stem.iter().map(UnitSaved::norm);
        stem.chain(self.blocks.iter().flat_map(BottleneckSaved::norms)).filter_map(|norm| norm.seen())
    }
}

/// Heads of the pool: open_clip derives them from the width.
pub fn pool_heads(vision: &VisionConfig) -> usize {
    vision.width * REDUCTION / vision.head_width
}
