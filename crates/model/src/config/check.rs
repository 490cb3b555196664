//! Sizes that no model can have.

use super::{ClipConfig, Layers, config, mlp_width};
use crate::error::Result;

/// Patches along a side of the picture: attention is over all pairs of them.
const MOST_PATCHES: usize = 256;
/// More than any model has of anything.
const MAX_EXTENT: usize = 1 << 20;
/// Eight times the weights of ViT-bigG-14.
const MAX_WEIGHTS: f64 = 2e10;

impl ClipConfig {
    /// Refuses sizes that no model can have.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the key, what was expected and what came.
    pub fn validate(&self) -> Result<()> {
        extents(&[("embed_dim", self.embed_dim)])?;
        self.check_vision()?;
        self.check_text()?;
        self.check_weights()
    }

    fn check_vision(&self) -> Result<()> {
        let vision = &self.vision_cfg;
        extents(&[
            ("vision_cfg.image_size", vision.image_size),
            ("vision_cfg.width", vision.width),
            ("vision_cfg.head_width", vision.head_width),
            ("vision_cfg.patch_size", vision.patch_size),
        ])?;
        let dropout = vision.patch_dropout;
        require((0.0..1.0).contains(&dropout), || {
            format!("vision_cfg.patch_dropout: expected 0 to below 1, got {dropout}")
        })?;
        match vision.layers {
            Layers::Blocks(layers) => {
                extents(&[("vision_cfg.layers", layers)])?;
                divides("vision_cfg.width", vision.width, "vision_cfg.head_width", vision.head_width)?;
                ratio("vision_cfg", vision.mlp_ratio, vision.width)?;
                require(vision.patch_size <= vision.image_size, || {
                    format!("vision_cfg.patch_size: {} exceeds image_size {}", vision.patch_size, vision.image_size)
                })?;
                let side = vision.image_size / vision.patch_size;
                require(side <= MOST_PATCHES, || {
                    format!(
                        "vision_cfg.image_size: {} pixels are {side} patches of {} (at most {MOST_PATCHES})",
                        vision.image_size, vision.patch_size
                    )
                })
            }
            Layers::Stages(stages) => {
                for blocks in stages {
                    extents(&[("vision_cfg.layers", blocks)])?;
                }
                divides("vision_cfg.width", vision.width, "the stem's", 2)?;
                divides("vision_cfg.image_size", vision.image_size, "", 32)?;
                divides("32 times vision_cfg.width", 32 * vision.width, "vision_cfg.head_width", vision.head_width)?;
                require(dropout == 0.0, || "vision_cfg.patch_dropout: a residual network has no patches".to_owned())
            }
        }
    }

    fn check_text(&self) -> Result<()> {
        let text = &self.text_cfg;
        extents(&[("text_cfg.context_length", text.context_length)])?;
        if let Some(hf) = text.hf()? {
            hf.validate().map_err(|reason| config(format!("text_cfg.hf_model_name: {reason}")))?;
            return require(text.hf_proj_type.is_some() || hf.hidden_size == self.embed_dim, || {
                let width = hf.hidden_size;
                format!("text_cfg.hf_proj_type: without one embed_dim must be the tower's width {width}")
            });
        }
        extents(&[
            ("text_cfg.vocab_size", text.vocab_size),
            ("text_cfg.width", text.width),
            ("text_cfg.heads", text.heads),
            ("text_cfg.layers", text.layers),
        ])?;
        divides("text_cfg.width", text.width, "text_cfg.heads", text.heads)?;
        ratio("text_cfg", text.mlp_ratio, text.width)
    }

    /// Whether the weights are of a size that somebody could have meant: not so many that the sums of them overflow.
    fn check_weights(&self) -> Result<()> {
        let (vision, text) = (&self.vision_cfg, &self.text_cfg);
        let blocks = |layers: usize, width: usize| 12.0 * layers as f64 * (width as f64).powi(2);
        let image = match vision.layers {
            Layers::Blocks(layers) => blocks(layers, vision.width),
            // A bottleneck of the last stage has 17 times its middle's square, which is 64 times the width's.
            Layers::Stages(stages) => blocks(stages.iter().sum(), 10 * vision.width),
        };
        let (layers, width, vocab) = match text.hf()? {
            Some(hf) => (hf.num_hidden_layers, hf.hidden_size.max(hf.intermediate_size / 4), hf.vocab_size),
            None => (text.layers, text.width, text.vocab_size),
        };
        let embedding = vocab as f64 * width as f64 + (vision.image_size as f64).powi(2);
        let weights = image + blocks(layers, width) + embedding;
        require(weights <= MAX_WEIGHTS, || {
            format!("about {weights:.1e} weights: expected at most {MAX_WEIGHTS:.0e}; are layers and widths right?")
        })
    }
}

fn extents(sizes: &[(&str, usize)]) -> Result<()> {
    for (key, value) in sizes {
        require((1..=MAX_EXTENT).contains(value), || format!("{key}: expected 1 to {MAX_EXTENT}, got {value}"))?;
    }
    Ok(())
}

fn ratio(tower: &str, ratio: f64, width: usize) -> Result<()> {
    require(mlp_width(width, ratio) > 0 && ratio < 1e3, || format!("{tower}.mlp_ratio: {ratio} is out of range"))
}

fn divides(what: &str, whole: usize, by: &str, part: usize) -> Result<()> {
    let space = if by.is_empty() { "" } else { " " };
    require(whole.is_multiple_of(part), || format!("{what}: {whole} is not a multiple of {by}{space}{part}"))
}

fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(config(reason())) }
}
