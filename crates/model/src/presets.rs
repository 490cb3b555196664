//! Configurations known by name: those of open_clip with vision transformers and residual networks, and two small ones of
//! this project.

use crate::config::{ClipConfig, Layers, TextConfig, VisionConfig};
use crate::error::{Error, Result};

/// Every preset's name: those of open_clip, and a small model of this project.
pub const NAMES: [&str; 47] = [
    "RN50",
    "RN50-quickgelu",
    "RN101",
    "RN101-quickgelu",
    "RN50x4",
    "RN50x4-quickgelu",
    "RN50x16",
    "RN50x16-quickgelu",
    "RN50x64",
    "RN50x64-quickgelu",
    "ViT-S-32",
    "ViT-S-32-alt",
    "ViT-S-16",
    "ViT-S-16-alt",
    "ViT-M-32",
    "ViT-M-32-alt",
    "ViT-M-16",
    "ViT-M-16-alt",
    "ViT-B-32",
    "ViT-B-32-quickgelu",
    "ViT-B-32-256",
    "ViT-B-32-plus-256",
    "ViT-B-16",
    "ViT-B-16-quickgelu",
    "ViT-B-16-plus",
    "ViT-B-16-plus-240",
    "ViT-L-16",
    "ViT-L-16-320",
    "ViT-L-14",
    "ViT-L-14-quickgelu",
    "ViT-L-14-280",
    "ViT-L-14-336",
    "ViT-L-14-336-quickgelu",
    "ViT-H-16",
    "ViT-H-14",
    "ViT-H-14-quickgelu",
    "ViT-H-14-378",
    "ViT-H-14-378-quickgelu",
    "ViT-g-14",
    "ViT-bigG-14",
    "ViT-bigG-14-quickgelu",
    "ViT-e-14",
    "roberta-ViT-B-32",
    "xlm-roberta-base-ViT-B-32",
    "xlm-roberta-large-ViT-H-14",
    "tiny-32",
    "tiny-rn-64",
];

/// Behind a name: the same model with QuickGELU.
const QUICK: &str = "-quickgelu";

/// The configuration of a named model.
///
/// # Errors
/// [`Error::UnknownModel`] with the nearest names.
pub fn config(name: &str) -> Result<ClipConfig> {
    let unknown = || Error::UnknownModel { name: name.to_owned(), nearest: nearest(name) };
    if !NAMES.contains(&name) {
        return Err(unknown());
    }
    let base = name.strip_suffix(QUICK).unwrap_or(name);
    let config = residual(base).or_else(|| transformer(base)).or_else(|| own(base)).ok_or_else(unknown)?;
    Ok(ClipConfig { quick_gelu: config.quick_gelu || name.ends_with(QUICK), ..config })
}

fn residual(name: &str) -> Option<ClipConfig> {
    let (embed_dim, image_size, stages, width, text_width) = match name {
        "RN50" => (1024, 224, [3, 4, 6, 3], 64, 512),
        "RN101" => (512, 224, [3, 4, 23, 3], 64, 512),
        "RN50x4" => (640, 288, [4, 6, 10, 6], 80, 640),
        "RN50x16" => (768, 384, [6, 8, 18, 8], 96, 768),
        "RN50x64" => (1024, 448, [3, 15, 36, 10], 128, 1024),
        _ => return None,
    };
    let vision = VisionConfig { image_size, layers: Layers::Stages(stages), width, ..VisionConfig::default() };
    Some(model(embed_dim, vision, text(text_width, 12)))
}

fn transformer(name: &str) -> Option<ClipConfig> {
    let base = || vision(224, 32, 12, 768);
    let huge = |image_size, patch_size| VisionConfig { head_width: 80, ..vision(image_size, patch_size, 32, 1280) };
    Some(match name {
        "ViT-S-32" => model(384, vision(224, 32, 12, 384), text(384, 12)),
        "ViT-S-32-alt" => model(256, vision(224, 32, 12, 384), text(256, 10)),
        "ViT-S-16" => model(384, vision(224, 16, 12, 384), text(384, 12)),
        "ViT-S-16-alt" => model(256, vision(224, 16, 12, 384), text(256, 10)),
        "ViT-M-32" => model(512, vision(224, 32, 12, 512), text(512, 12)),
        "ViT-M-32-alt" => model(384, vision(224, 32, 12, 512), text(384, 12)),
        "ViT-M-16" => model(512, vision(224, 16, 12, 512), text(512, 12)),
        "ViT-M-16-alt" => {
            let vision = VisionConfig { ls_init_value: Some(1e-4), ..vision(224, 16, 12, 512) };
            model(384, vision, text(384, 12))
        }
        "ViT-B-32" => model(512, base(), text(512, 12)),
        "ViT-B-32-256" => model(512, vision(256, 32, 12, 768), text(512, 12)),
        "ViT-B-32-plus-256" => model(640, vision(256, 32, 12, 896), text(640, 12)),
        "ViT-B-16" => model(512, vision(224, 16, 12, 768), text(512, 12)),
        "ViT-B-16-plus" => model(640, vision(224, 16, 12, 896), text(640, 12)),
        "ViT-B-16-plus-240" => model(640, vision(240, 16, 12, 896), text(640, 12)),
        "ViT-L-14" => model(768, vision(224, 14, 24, 1024), text(768, 12)),
        "ViT-L-16" => model(768, vision(224, 16, 24, 1024), text(768, 12)),
        "ViT-L-16-320" => model(768, vision(320, 16, 24, 1024), text(768, 12)),
        "ViT-L-14-280" => model(768, vision(280, 14, 24, 1024), text(768, 12)),
        "ViT-L-14-336" => model(768, vision(336, 14, 24, 1024), text(768, 12)),
        "ViT-H-16" => model(1024, huge(224, 16), text(1024, 24)),
        "ViT-H-14" => model(1024, huge(224, 14), text(1024, 24)),
        "ViT-H-14-378" => model(1024, huge(378, 14), text(1024, 24)),
        "ViT-g-14" => {
            let vision = VisionConfig { head_width: 88, mlp_ratio: 4.3637, ..vision(224, 14, 40, 1408) };
            model(1024, vision, text(1024, 24))
        }
        "ViT-bigG-14" => {
            let vision = VisionConfig { head_width: 104, mlp_ratio: 4.9231, ..vision(224, 14, 48, 1664) };
            model(1280, vision, text(1280, 32))
        }
        "ViT-e-14" => {
            let vision = VisionConfig { head_width: 112, mlp_ratio: 8.5715, ..vision(224, 14, 56, 1792) };
            model(1280, vision, text(1280, 36))
        }
        "roberta-ViT-B-32" => ClipConfig { quick_gelu: true, ..model(512, base(), hub("roberta-base")) },
        "xlm-roberta-base-ViT-B-32" => model(512, base(), hub("xlm-roberta-base")),
        "xlm-roberta-large-ViT-H-14" => model(1024, huge(224, 14), hub("xlm-roberta-large")),
        _ => return None,
    })
}

/// Models of this project, small enough for a CPU.
fn own(name: &str) -> Option<ClipConfig> {
    let text = TextConfig { context_length: 32, heads: 3, ..text(96, 2) };
    Some(match name {
        "tiny-32" => model(64, VisionConfig { head_width: 32, ..vision(32, 4, 4, 96) }, text),
        "tiny-rn-64" => {
            let layers = Layers::Stages([1; 4]);
            model(64, VisionConfig { image_size: 64, layers, width: 16, ..VisionConfig::default() }, text)
        }
        _ => return None,
    })
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
    VisionConfig { image_size, layers: Layers::Blocks(layers), width, patch_size, ..VisionConfig::default() }
}

fn text(width: usize, layers: usize) -> TextConfig {
    TextConfig { width, heads: width / 64, layers, ..TextConfig::default() }
}

/// A text tower of the hub, with the mean of its tokens and a perceptron behind it.
fn hub(name: &str) -> TextConfig {
    let name = Some(name.to_owned());
    TextConfig { hf_model_name: name.clone(), hf_tokenizer_name: name, ..TextConfig::default() }
}

/// The three names that take the fewest edits.
fn nearest(name: &str) -> Vec<String> {
    let mut names = NAMES;
    names.sort_by_key(|known| edits(&name.to_lowercase(), &known.to_lowercase()));
    names.into_iter().take(3).map(str::to_owned).collect()
}

/// Levenshtein distance: letters to change, add or take away to make one word of the other.
pub fn edits(a: &str, b: &str) -> usize {
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
