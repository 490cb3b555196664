//! Towers: from pixels or token ids to features that are not yet normalised, and back.

pub mod text_transformer;
mod trunk;
pub mod vision_transformer;
