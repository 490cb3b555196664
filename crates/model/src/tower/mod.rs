//! Towers: from pixels or token ids to features that are not yet normalised, and back.

pub mod hf_text;
pub mod image;
pub mod resnet;
pub mod text;
pub mod text_transformer;
pub mod trunk;
pub mod vision_transformer;
