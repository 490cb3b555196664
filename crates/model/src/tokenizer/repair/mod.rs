//! Repair of damaged text, so that the same words give the same tokens however a web page spelled them. Agrees with the
//! default configuration of the Python package ftfy 6, whose output CLIP was trained on; written from its behaviour.
//! Owns the order of the steps: references, mojibake, typography, normal form.

mod charset;
mod mojibake;
mod suspicion;
mod typography;

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::entity;

pub(super) use charset::windows_1252;

/// A text may be damaged several times over, but each round ought to shorten it: this bounds the rounds anyhow.
const ROUNDS: usize = 16;

/// Repaired text. Lines are repaired apart, because each may come from another source.
pub(super) fn repair(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut markup = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // From the first `<` on, the text may be HTML in which `&lt;` has a meaning.
        markup |= line.contains('<');
        out.push_str(&repair_line(line, if markup { References::Keep } else { References::Unescape }));
    }
    Cow::Owned(out)
}

#[derive(Clone, Copy, PartialEq)]
enum References {
    Keep,
    Unescape,
}

fn repair_line(line: &str, references: References) -> String {
    let mut text = line.to_owned();
    for _ in 0..ROUNDS {
        let repaired = round(&text, references);
        if repaired == text {
            break;
        }
        text = repaired;
    }
    text
}

fn round(text: &str, references: References) -> String {
    let text = match references {
        References::Keep => Cow::Borrowed(text),
        References::Unescape => entity::unescape_strict(text),
    };
    let text = mojibake::redecode(&text);
    typography::plain(&text).nfc().collect()
}

/// Whether no step can change the text: most captions.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n') && byte != b'&')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(repair("it's <fine>\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn damage_in_layers_is_undone() {
        assert_eq!(repair("&amp;eacute; Ã&#x192;Â¶"), "é ö");
        assert_eq!(repair("e\u{301}"), "é");
    }

    #[test]
    fn references_stay_from_the_first_markup_on() {
        assert_eq!(repair("&eacute;\n<b>&eacute;\n&eacute;"), "é\n<b>&eacute;\n&eacute;");
    }
}
