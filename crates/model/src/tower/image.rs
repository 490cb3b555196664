//! The image tower, whichever kind a configuration asks for.

use candle_core::Tensor;

use super::resnet::{ModifiedResNet, ResNetSaved};
use super::trunk::Keep;
use super::vision_transformer::{VisionSaved, VisionTransformer};
use crate::config::{ClipConfig, Layers};
use crate::error::Result;
use crate::layer::batch_norm::Seen;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};
use crate::random::Mode;

/// From pixels to features that are not yet of length 1.
#[derive(Clone, Debug)]
pub enum ImageTower {
    /// A vision transformer.
    Transformer(VisionTransformer),
    /// A residual network.
    ResNet(Box<ModifiedResNet>),
}

/// What backward needs.
#[derive(Debug)]
pub enum ImageTowerSaved {
    /// Of a vision transformer.
    Transformer(VisionSaved),
    /// Of a residual network.
    ResNet(ResNetSaved),
}

impl ImageTower {
    /// Declares the tower's parameters under `prefix`, in open_clip's order.
    pub fn declare(declaration: &mut Declaration, prefix: &str, config: &ClipConfig) -> Self {
        match config.vision_cfg.layers {
            Layers::Blocks(layers) => {
                Self::Transformer(VisionTransformer::declare(declaration, prefix, config, layers))
            }
            Layers::Stages(stages) => {
                Self::ResNet(Box::new(ModifiedResNet::declare(declaration, prefix, config, stages)))
            }
        }
    }

    /// Sets what is kept of each block until backward; a residual network keeps everything.
    pub fn set_keep(&mut self, keep: Keep) {
        match self {
            Self::Transformer(tower) => tower.set_keep(keep),
            Self::ResNet(_) => {}
        }
    }

    /// `pixel_values` `[B, 3, S, S]` to `[B, embed_dim]`.
    ///
    /// # Errors
    /// For pictures of another size.
    pub fn forward(
        &self,
        parameters: &Parameters,
        pixel_values: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, ImageTowerSaved)> {
        Ok(match self {
            Self::Transformer(tower) => {
                let (features, saved) = tower.forward(parameters, pixel_values, mode)?;
                (features, ImageTowerSaved::Transformer(saved))
            }
            Self::ResNet(tower) => {
                let (features, saved) = tower.forward(parameters, pixel_values, mode)?;
                (features, ImageTowerSaved::ResNet(saved))
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
        saved: ImageTowerSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<()> {
        match (self, saved) {
            (Self::Transformer(tower), ImageTowerSaved::Transformer(saved)) => {
                tower.backward(parameters, saved, dy, to)
            }
            (Self::ResNet(tower), ImageTowerSaved::ResNet(saved)) => tower.backward(parameters, saved, dy, to),
            _ => Err(crate::Error::Foreign { what: "what a forward pass of the image tower saved" }),
        }
    }

    /// The parameters that `--lock-image` holds when the last `unlocked` groups stay trainable.
    ///
    /// # Errors
    /// For a residual network of which a part shall stay trainable.
    pub fn locked_ids(&self, unlocked: usize) -> Result<Vec<ParameterId>> {
        match self {
            Self::Transformer(tower) => Ok(tower.locked_ids(unlocked)),
            Self::ResNet(tower) if unlocked == 0 => Ok(tower.ids().collect()),
            Self::ResNet(_) => Err(crate::Error::Config {
                reason: format!("a residual network can be locked as a whole only, got {unlocked} unlocked groups"),
            }),
        }
    }
}

impl ImageTowerSaved {
    /// What running statistics have to learn of this batch; nothing in evaluation.
    pub fn seen(&self) -> Vec<Seen> {
        match self {
            Self::Transformer(_) => Vec::new(),
            Self::ResNet(saved) => saved.seen().cloned().collect(),
        }
    }
}
