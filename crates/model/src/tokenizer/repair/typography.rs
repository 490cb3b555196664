//! Characters that are the same to a reader: typographic quotes, ligatures, full-width forms, line breaks; and those
//! that no reader sees: control characters, terminal colours.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

static TERMINAL_ESCAPE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("\x1b\\[[0-9;]*[a-zA-Z]").expect("a constant pattern that the tests compile"));

/// The text in its plainest spelling.
pub(super) fn plain(text: &str) -> String {
    let text = if text.contains('\x1b') { TERMINAL_ESCAPE.replace_all(text, "") } else { Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // The line feed of the pair follows.
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\u{2bc}' | '‘'..='‛' => out.push('\''),
            '“'..='‟' => out.push('"'),
            '\u{3000}' | '\u{ff01}'..='\u{ffef}' => out.extend(character.nfkc().filter(|part| !is_unseen(*part))),
            _ if is_unseen(character) => {}
            _ => push_split(character, &mut out),
        }
    }
    out
}

/// Appends the letters of a ligature of the Latin script, or the character itself.
fn push_split(character: char, out: &mut String) {
    match character {
        'Ĳ' | 'ĳ' | 'Ǆ'..='ǌ' | 'Ǳ'..='ǳ' | 'ﬀ'..='ﬄ' | 'ﬆ' => out.extend(character.nfkc()),
        'ŉ' => out.push_str("'n"),
        // The compatible form would also turn the long s into a round one.
        'ﬅ' => out.push_str("ſt"),
        _ => out.push(character),
    }
}

/// Control characters without effect on the text: ASCII's, deprecated formatting, byte order mark, annotations.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_become_straight() {
        assert_eq!(plain("‘a’ ‚b‛ “c” „d‟ ʼ «e»"), "'a' 'b' \"c\" \"d\" ' «e»");
    }

    #[test]
    fn ligatures_are_split() {
        assert_eq!(plain("ﬁ ﬀ ﬃ ﬅ ﬆ Ĳ ĳ ŉ ǅ ǲ æ œ"), "fi ff ffi ſt st IJ ij 'n D\u{17e} Dz æ œ");
    }

    #[test]
    fn full_and_half_width_become_normal() {
        assert_eq!(plain("１ＡＢ！\u{3000}ｱ￥"), "1AB! ア¥");
    }

    #[test]
    fn line_breaks_are_line_feeds() {
        assert_eq!(plain("a\r\nb\rc\u{2028}d\u{2029}e\nf"), "a\nb\nc\nd\ne\nf");
    }

    #[test]
    fn unseen_characters_go() {
        assert_eq!(plain("\u{feff}a\0\x07b\x7f\u{206a}\u{fffc}\tc\u{200b}"), "ab\tc\u{200b}");
    }

    #[test]
    fn terminal_colours_go() {
        assert_eq!(plain("\x1b[36;44mblue\x1b[0m \x1b"), "blue ");
    }
}
