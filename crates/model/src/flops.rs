//! How much arithmetic a model's forward pass takes: twice the multiplications of all products, attention included. That is
//! how open_clip counts, and PyTorch's counters.

use crate::config::{ClipConfig, Layers, VisionConfig, mlp_width};
use crate::error::Result;

/// Operations of one picture and of one text of the full context length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flops {
    /// Of the image tower.
    pub image: u64,
    /// Of the text tower.
    pub text: u64,
}

impl Flops {
    /// Of one pair.
    pub fn pair(self) -> u64 {
        self.image + self.text
    }
}

/// Operations of a model.
///
/// # Errors
/// For a text tower that is not known.
pub fn of(config: &ClipConfig) -> Result<Flops> {
    let text = &config.text_cfg;
    let tower = match text.hf()? {
        Some(hf) => blocks(hf.num_hidden_layers, text.context_length, hf.hidden_size, hf.intermediate_size),
        None => {
            let hidden = mlp_width(text.width, text.mlp_ratio);
            blocks(text.layers, text.context_length, text.width, hidden) + 2 * product(&[text.width, config.embed_dim])
        }
    };
    Ok(Flops { image: image(&config.vision_cfg, config.embed_dim), text: tower })
}

fn product(sizes: &[usize]) -> u64 {
    sizes.iter().map(|size| *size as u64).product()
}

/// Packed projections, scores, mixing and perceptron of a stack of blocks.
fn blocks(layers: usize, length: usize, width: usize, hidden: usize) -> u64 {
    let attention = product(&[4, length, width, width]) + product(&[2, length, length, width]);
    layers as u64 * 2 * (attention + product(&[2, length, width, hidden]))
}

fn image(vision: &VisionConfig, embed_dim: usize) -> u64 {
    match vision.layers {
        Layers::Blocks(layers) => {
            let patches = (vision.image_size / vision.patch_size).pow(2);
            let embedding = 2 * product(&[patches, 3, vision.patch_size, vision.patch_size, vision.width]);
            let hidden = mlp_width(vision.width, vision.mlp_ratio);
            embedding + blocks(layers, patches + 1, vision.width, hidden) + 2 * product(&[vision.width, embed_dim])
        }
        Layers::Stages(stages) => residual(vision, stages, embed_dim),
    }
}

fn residual(vision: &VisionConfig, stages: [usize; 4], embed_dim: usize) -> u64 {
    let (width, half) = (vision.width, vision.width / 2);
    let stem = (vision.image_size / 2).pow(2);
    let mut total = product(&[stem, 27, half]) + product(&[stem, 9, half, half]) + product(&[stem, 9, half, width]);
    let (mut side, mut inputs) = (vision.image_size / 4, width);
    for (stage, count) in stages.into_iter().enumerate() {
        let middle = width << stage;
        for block in 0..count {
            let before = side * side;
            if stage > 0 && block == 0 {
                side /= 2;
            }
            let pixels = side * side;
            total += product(&[before, inputs, middle]) + product(&[before, 9, middle, middle]);
            total += product(&[pixels, middle, 4 * middle]);
            if block == 0 {
                total += product(&[pixels, inputs, 4 * middle]);
            }
            inputs = 4 * middle;
        }
    }
    // Queries, keys, values and output of the pool, counted as they stand in its definition.
    let tokens = side * side + 1;
    total += product(&[tokens, inputs, inputs, 3]) + product(&[tokens, inputs, embed_dim]);
    2 * total
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::presets;

    #[test]
    fn counts_are_those_that_open_clip_publishes() {
        let published = [
            ("ViT-B-32", 8.82, 5.96),
            ("ViT-B-16", 35.13, 5.96),
            ("ViT-L-14", 162.03, 13.30),
            ("ViT-H-14", 334.59, 47.09),
            ("ViT-g-14", 534.06, 47.09),
            ("RN50", 12.22, 5.96),
            ("RN101", 19.54, 5.96),
            ("RN50x4", 42.56, 9.27),
        ];
        for (name, image, text) in published {
            let flops = of(&presets::config(name).unwrap()).unwrap();
            let near = |got: u64, expected: f64| (got as f64 / 1e9 / expected - 1.0).abs() < 0.02;
            assert!(near(flops.image, image) && near(flops.text, text), "{name}: {flops:?}");
        }
    }
}
