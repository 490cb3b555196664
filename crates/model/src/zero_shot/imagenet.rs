//! The 1,000 class names of ImageNet and the 80 templates that open_clip evaluates with, in the order of the labels.
//!
//! The names are not distinct: `missile` and `sunglasses` stand for two classes each.

use super::Template;
use crate::error::Result;

static CLASS_NAMES: &str = include_str!("imagenet_classes.txt");
static TEMPLATES: &str = include_str!("imagenet_templates.txt");

/// The class names.
pub fn class_names() -> Vec<String> {
    CLASS_NAMES.lines().map(str::to_owned).collect()
}

/// The templates.
///
/// # Errors
/// When the list within this library is damaged.
pub fn templates() -> Result<Vec<Template>> {
    TEMPLATES.lines().map(Template::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{class_names, templates};

    #[test]
    fn lists_are_whole() {
        let names = class_names();
        assert_eq!((names.len(), names[0].as_str(), names[999].as_str()), (1000, "tench", "toilet paper"));
        let templates = templates().unwrap();
        assert_eq!(templates.len(), 80);
        assert_eq!(templates[0].fill("tench"), "a bad photo of a tench.");
    }
}
