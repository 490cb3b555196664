//! Configurations known by name: open_clip's vision-transformer models, and a small one of this project.

use crate::config::{ClipConfig, PoolType, TextConfig, VisionConfig};
use crate::error::{Error, Result};

/// Every preset's name.
pub const NAMES: [&str; 10] = [
    "ViT-B-32",
    "ViT-B-32-quickgelu",
    "ViT-B-16",
    "ViT-B-16-plus-240",
    "ViT-L-14",
    "ViT-L-14-336",
    "ViT-H-14",
    "ViT-g-14",
    "ViT-bigG-14",
    "tiny-32",
];

/// The configuration of a named model.
///
/// # Errors
/// [`Error::UnknownModel`] with the nearest names.
pub fn config(name: &str) -> Result<ClipConfig> {
    let config = match name {
        "ViT-B-32" => model(512, vision(224, 32, 12, 768), text(512, 12)),
        "ViT-B-32-quickgelu" => ClipConfig { quick_gelu: true, ..model(512, vision(224, 32, 12, 768), text(512, 12)) },
        "ViT-B-16" => model(512, vision(224, 16, 12, 768), text(512, 12)),
        "ViT-B-16-plus-240" => model(640, vision(240, 16, 12, 896), text(640, 12)),
        "ViT-L-14" => model(768, vision(224, 14, 24, 1024), text(768, 12)),
        "ViT-L-14-336" => model(768, vision(336, 14, 24, 1024), text(768, 12)),
        "ViT-H-14" => model(1024, VisionConfig { head_width: 80, ..vision(224, 14, 32, 1280) }, text(1024, 24)),
        "ViT-g-14" => {
            let vision = VisionConfig { head_width: 88, mlp_ratio: 4.3637, ..vision(224, 14, 40, 1408) };
            model(1024, vision, text(1024, 24))
        }
        "ViT-bigG-14" => {
            let vision = VisionConfig { head_width: 104, mlp_ratio: 4.9231, ..vision(224, 14, 48, 1664) };
            model(1280, vision, text(1280, 32))
        }
        "tiny-32" => {
            let vision = VisionConfig { head_width: 32, ..vision(32, 4, 4, 96) };
            model(64, vision, TextConfig { context_length: 32, heads: 3, ..text(96, 2) })
        }
        _ => return Err(Error::UnknownModel { name: name.to_owned(), nearest: nearest(name) }),
    };
    Ok(config)
}

fn model(embed_dim: usize, vision_cfg: VisionConfig, text_cfg: TextConfig) -> ClipConfig {
    ClipConfig {
        embed_dim,
        quick_gelu: false,
        custom_text: false,
        init_logit_scale: None,
        init_logit_bias: None,
        vision_cfg,
        text_cfg,
    }
}

fn vision(image_size: usize, patch_size: usize, layers: usize, width: usize) -> VisionConfig {
    VisionConfig {
        image_size,
        layers,
        width,
        head_width: 64,
        mlp_ratio: 4.0,
        patch_size,
        ls_init_value: None,
        pool_type: PoolType::Tok,
    }
}

fn text(width: usize, layers: usize) -> TextConfig {
    TextConfig {
        context_length: 77,
        vocab_size: 49408,
        width,
        heads: width / 64,
        layers,
        mlp_ratio: 4.0,
        ls_init_value: None,
    }
}

/// The three names that take the fewest edits.
fn nearest(name: &str) -> Vec<String> {
    let mut names = NAMES;
    names.sort_by_key(|known| edits(&name.to_lowercase(), &known.to_lowercase()));
    names.into_iter().take(3).map(str::to_owned).collect()
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{NAMES, config};

    #[test]
    fn every_preset_is_valid() {
        for name in NAMES {
            config(name).unwrap().validate().unwrap();
        }
    }

    #[test]
    fn unknown_name_gives_the_nearest() {
        let message = config("vit-b32").unwrap_err().to_string();
        assert!(message.starts_with("unknown model `vit-b32`; nearest: ViT-B-32, "), "{message}");
    }
}
