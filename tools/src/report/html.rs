//! Text and pictures inside HTML and SVG.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text with the characters that mean something in HTML replaced; fit for content and attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Controls are forbidden in HTML, except for white space.
            control if control.is_control() && !matches!(control, '\n' | '\t') => escaped.push('\u{FFFD}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// A JPEG or PNG file as an image element; `description` is for those who do not see it.
pub fn picture(encoded: &[u8], description: &str) -> String {
    let kind = if encoded.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
    format!("<img alt=\"{}\" src=\"data:image/{kind};base64,{}\">", escape(description), STANDARD.encode(encoded))
}

/// Parts one after the other.
pub fn join<T>(parts: impl IntoIterator<Item = T>, markup: impl FnMut(T) -> String) -> String {
    parts.into_iter().map(markup).collect()
}

/// A share as a percentage with one decimal, `100%` without.
pub fn percent(share: f64) -> String {
    match share {
        share if !share.is_finite() => "–".to_owned(),
        share if share > 0.9995 => "100%".to_owned(),
        share => format!("{:.1}%", share * 100.0),
    }
}

/// A share as a CSS length, kept within `0%..=100%`.
pub fn width(share: f64) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    format!("{:.2}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_markup_survives_escaping() {
        assert_eq!(escape("<b title=\"x\" a='y'>&\u{7}é"), "&lt;b title=&quot;x&quot; a=&#39;y&#39;&gt;&amp;\u{FFFD}é");
    }

    #[test]
    fn shares_are_shown_within_bounds() {
        assert_eq!((percent(0.5).as_str(), percent(1.0).as_str(), percent(f64::NAN).as_str()), ("50.0%", "100%", "–"));
        assert_eq!((width(2.0).as_str(), width(f64::NAN).as_str()), ("100.00%", "0.00%"));
    }
}
