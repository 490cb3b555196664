//! A prompt template: text with a place for the class name.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The spellings of the place for the class name: OpenCLIP's and CLIP_benchmark's.
const PLACES: [&str; 2] = ["{}", "{c}"];

/// A text with at least one place for the class name, `{}` or `{c}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
}

impl Template {
    /// Takes `text` as a template.
    ///
    /// # Errors
    /// When it has no place for the class name: it would give every class the same features.
    pub fn parse(text: &str) -> Result<Self> {
        if PLACES.iter().any(|place| text.contains(place)) {
            return Ok(Self { text: text.to_owned() });
        }
        Err(Error::Tokenizer {
            reason: format!("template `{text}` has no place for the class name (`{{}}` or `{{c}}`)"),
        })
    }

    /// The template with `class` in its places. Braces in the class name stay what they are.
    pub fn fill(&self, class: &str) -> String {
        let mut filled = String::with_capacity(self.text.len() + class.len());
        let mut rest = self.text.as_str();
        while let Some((at, place)) = first_place(rest) {
            filled.push_str(&rest[..at]);
            filled.push_str(class);
            rest = &rest[at + place.len()..];
        }
        filled.push_str(rest);
        filled
    }
}

fn first_place(text: &str) -> Option<(usize, &'static str)> {
    PLACES.iter().filter_map(|place| text.find(place).map(|at| (at, *place))).min()
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled() {
        let template: Template = "a {} beside a {c}, {d}".parse().unwrap();
        assert_eq!(template.fill("cat"), "a cat beside a cat, {d}");
        assert_eq!(template.fill("{c}"), "a {c} beside a {c}, {d}");
        assert_eq!(template.to_string(), "a {} beside a {c}, {d}");
    }

    #[test]
    fn template_without_a_place_is_named() {
        let told = Template::parse("a photo").unwrap_err().to_string();
        assert_eq!(told, "template `a photo` has no place for the class name (`{}` or `{c}`)");
    }
}
