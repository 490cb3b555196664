//! The tags of open_clip: which repository holds the weights, how pictures are normalised, which activation they need.

use model::config::{ClipConfig, OPENAI_MEAN, OPENAI_STD, ResizeMode};
use model::presets;

use crate::error::{Error, Result};

/// Behind a preset's name: the same model with QuickGELU.
const QUICK: &str = "-quickgelu";
/// Mean and deviation of some weights; those of all others are OpenAI's.
const HALF: [f64; 3] = [0.5; 3];

/// Weights for a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tag {
    /// The preset, without `-quickgelu`.
    pub model: &'static str,
    /// The tag.
    pub tag: &'static str,
    /// The repository on the hub.
    pub repository: &'static str,
    /// Whether they were trained with QuickGELU.
    pub quick_gelu: bool,
    /// Mean of R, G, B in 0..1.
    pub mean: [f64; 3],
    /// Standard deviation of R, G, B.
    pub std: [f64; 3],
    /// What becomes of pictures that are not square.
    pub resize_mode: ResizeMode,
}

const fn gelu(model: &'static str, tag: &'static str, repository: &'static str) -> Tag {
    Tag {
        model,
        tag,
        repository,
        quick_gelu: false,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
        resize_mode: ResizeMode::Shortest,
    }
}

const fn quick(model: &'static str, tag: &'static str, repository: &'static str) -> Tag {
    Tag { quick_gelu: true, ..gelu(model, tag, repository) }
}

const fn squash(tag: Tag) -> Tag {
    Tag { resize_mode: ResizeMode::Squash, ..tag }
}

/// All tags that are known.
pub const TAGS: [Tag; 39] = [
    quick("RN50", "openai", "timm/resnet50_clip.openai"),
    quick("RN50", "yfcc15m", "timm/resnet50_clip.yfcc15m"),
    quick("RN50", "cc12m", "timm/resnet50_clip.cc12m"),
    quick("RN101", "openai", "timm/resnet101_clip.openai"),
    quick("RN101", "yfcc15m", "timm/resnet101_clip.yfcc15m"),
    quick("RN50x4", "openai", "timm/resnet50x4_clip.openai"),
    quick("RN50x16", "openai", "timm/resnet50x16_clip.openai"),
    quick("RN50x64", "openai", "timm/resnet50x64_clip.openai"),
    quick("ViT-B-32", "openai", "timm/vit_base_patch32_clip_224.openai"),
    quick("ViT-B-32", "laion400m_e31", "timm/vit_base_patch32_clip_224.laion400m_e31"),
    quick("ViT-B-32", "laion400m_e32", "timm/vit_base_patch32_clip_224.laion400m_e32"),
    gelu("ViT-B-32", "laion2b_e16", "timm/vit_base_patch32_clip_224.laion2b_e16"),
    gelu("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    gelu("ViT-B-32", "datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"),
    gelu("ViT-B-32-256", "datacomp_s34b_b86k", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K"),
    quick("ViT-B-16", "openai", "timm/vit_base_patch16_clip_224.openai"),
    gelu("ViT-B-16", "laion400m_e31", "timm/vit_base_patch16_clip_224.laion400m_e31"),
    gelu("ViT-B-16", "laion400m_e32", "timm/vit_base_patch16_clip_224.laion400m_e32"),
    gelu("ViT-B-16", "laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
    gelu("ViT-B-16", "datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K"),
    gelu("ViT-B-16-plus-240", "laion400m_e31", "timm/vit_base_patch16_plus_clip_240.laion400m_e31"),
    gelu("ViT-B-16-plus-240", "laion400m_e32", "timm/vit_base_patch16_plus_clip_240.laion400m_e32"),
    quick("ViT-L-14", "openai", "timm/vit_large_patch14_clip_224.openai"),
    gelu("ViT-L-14", "laion400m_e31", "timm/vit_large_patch14_clip_224.laion400m_e31"),
    gelu("ViT-L-14", "laion400m_e32", "timm/vit_large_patch14_clip_224.laion400m_e32"),
    Tag { mean: HALF, std: HALF, ..gelu("ViT-L-14", "laion2b_s32b_b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K") },
    gelu("ViT-L-14", "datacomp_xl_s13b_b90k", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"),
    quick("ViT-L-14-336", "openai", "timm/vit_large_patch14_clip_336.openai"),
    gelu("ViT-H-14", "laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
    squash(quick("ViT-H-14", "dfn5b", "apple/DFN5B-CLIP-ViT-H-14")),
    squash(quick("ViT-H-14-378", "dfn5b", "apple/DFN5B-CLIP-ViT-H-14-378")),
    gelu("ViT-g-14", "laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K"),
    gelu("ViT-g-14", "laion2b_s34b_b88k", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K"),
    gelu("ViT-bigG-14", "laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
    quick("ViT-bigG-14", "metaclip_fullcc", "timm/vit_gigantic_patch14_clip_224.metaclip_2pt5b"),
    quick("ViT-H-14", "metaclip_fullcc", "timm/vit_huge_patch14_clip_224.metaclip_2pt5b"),
    quick("roberta-ViT-B-32", "laion2b_s12b_b32k", "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"),
    gelu("xlm-roberta-base-ViT-B-32", "laion5b_s13b_b90k", "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k"),
    gelu(
        "xlm-roberta-large-ViT-H-14",
        "frozen_laion5b_s13b_b90k",
        "laion/CLIP-ViT-H-14-frozen-xlm-roberta-large-laion5B-s13B-b90k",
    ),
];

/// The tags of a preset; a name that ends in `-quickgelu` has those that were trained so.
pub fn tags_of(name: &str) -> impl Iterator<Item = &'static Tag> {
    let (base, wants_quick) = match name.strip_suffix(QUICK) {
        Some(base) => (base.to_owned(), true),
        None => (name.to_owned(), false),
    };
    TAGS.iter().filter(move |tag| tag.model == base && (tag.quick_gelu || !wants_quick))
}

/// The tag of a preset; `-` and capitals are as good as `_` and small letters.
pub(super) fn find(name: &str, tag: &str) -> Result<&'static Tag> {
    let wanted = tag.to_lowercase().replace('-', "_");
    tags_of(name).find(|known| known.tag == wanted).ok_or_else(|| {
        let known: Vec<&str> = tags_of(name).map(|known| known.tag).collect();
        let rest = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        let reason = format!("`{tag}` is neither a path nor a tag of {name}; {rest}");
        Error::Config { option: "--pretrained", reason }
    })
}

impl Tag {
    /// Refuses an activation that the weights were not trained with: everything would load, and be wrong by a few points.
    ///
    /// # Errors
    /// Says which model takes the weights.
    pub fn check_activation(&self, name: &str, config: &ClipConfig) -> Result<()> {
        if config.quick_gelu == self.quick_gelu {
            return Ok(());
        }
        let (trained, remedy) = if self.quick_gelu {
            let preset = format!("{}{QUICK}", self.model);
            let preset =
                if presets::NAMES.contains(&preset.as_str()) { format!("--model {preset} or ") } else { String::new() };
            ("QuickGELU", format!("{preset}--force-quick-gelu"))
        } else {
            ("GELU", format!("--model {} without --force-quick-gelu", self.model))
        };
        let reason = format!("`{}` was trained with {trained}, which `{name}` does not use; take {remedy}", self.tag);
        Err(Error::Config { option: "--pretrained", reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs that open_clip had when it was first written of: each has its model, its tag and its activation.
    #[test]
    fn every_pair_of_the_first_zoo_is_known() {
        let pairs = [
            ("RN50", "openai yfcc15m cc12m"),
            ("RN50-quickgelu", "openai yfcc15m cc12m"),
            ("RN101", "openai yfcc15m"),
            ("RN101-quickgelu", "openai yfcc15m"),
            ("RN50x4", "openai"),
            ("RN50x16", "openai"),
            ("RN50x64", "openai"),
            ("ViT-B-32", "openai laion400m_e31 laion400m_e32 laion2b_e16 laion2b_s34b_b79k"),
            ("ViT-B-32-quickgelu", "openai laion400m_e31 laion400m_e32"),
            ("ViT-B-16", "openai laion400m_e31 laion400m_e32"),
            ("ViT-B-16-plus-240", "laion400m_e31 laion400m_e32"),
            ("ViT-L-14", "openai laion400m_e31 laion400m_e32 laion2b_s32b_b82k"),
            ("ViT-L-14-336", "openai"),
            ("ViT-H-14", "laion2b_s32b_b79k"),
            ("ViT-g-14", "laion2b_s12b_b42k"),
            ("roberta-ViT-B-32", "laion2b_s12b_b32k"),
            ("xlm-roberta-base-ViT-B-32", "laion5b_s13b_b90k"),
            ("xlm-roberta-large-ViT-H-14", "frozen_laion5b_s13b_b90k"),
        ];
        let mut count = 0;
        for (name, tag) in pairs.iter().flat_map(|(name, tags)| tags.split(' ').map(move |tag| (name, tag))) {
            find(name, tag).unwrap();
            count += 1;
        }
        assert_eq!(count, 36);
        assert!(TAGS.iter().all(|tag| presets::NAMES.contains(&tag.model)));
    }

    #[test]
    fn other_activation_is_refused_with_the_model_to_take() {
        let message = |name: &str, tag: &str| {
            let config = presets::config(name).unwrap();
            find(name, tag).unwrap().check_activation(name, &config).map_err(|error| error.to_string())
        };
        let told = message("ViT-B-32", "openai").unwrap_err();
        assert!(told.ends_with("take --model ViT-B-32-quickgelu or --force-quick-gelu"), "{told}");
        assert!(message("ViT-B-32-quickgelu", "openai").is_ok() && message("ViT-B-32", "laion2b_e16").is_ok());
        assert!(message("roberta-ViT-B-32", "laion2b_s12b_b32k").is_ok());
        let told = find("ViT-B-32-quickgelu", "laion2b_e16").unwrap_err().to_string();
        assert!(told.contains("it has openai, laion400m_e31"), "{told}");
    }
}
