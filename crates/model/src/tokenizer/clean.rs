//! What happens to a caption before it is split into words: repair, HTML character references, white space, case.

use super::{entity, repair};

/// Repaired text without HTML character references, with single spaces and in lower case.
pub fn clean(text: &str) -> String {
    clean_keeping_case(text).to_lowercase()
}

/// What is behind so much of a text has no effect on the first few hundred tokens, and a single word of megabytes would take
/// gigabytes.
const MOST_BYTES: usize = 1 << 18;

/// As [`clean`], with upper case kept: what tokenizers other than CLIP's own are fed.
pub fn clean_keeping_case(text: &str) -> String {
    let repaired = repair::repair(&text[..text.floor_char_boundary(MOST_BYTES)]);
    // Twice, because captions are often escaped twice; this also reaches text whose `<` kept repair from unescaping.
    let unescaped = entity::unescape(&entity::unescape(&repaired)).into_owned();
    let mut words = unescaped.split(is_space).filter(|word| !word.is_empty());
    let mut joined = String::with_capacity(unescaped.len());
    joined.extend(words.next());
    for word in words {
        joined.push(' ');
        joined.push_str(word);
    }
    joined
}

/// White space as Python's `str.split` sees it: Unicode's, and the four separators of ASCII.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_collapses_and_case_falls() {
        assert_eq!(clean("  A\tB\r\n\u{a0}C\u{3000}\u{2028} d "), "a b c d");
        assert_eq!(clean_keeping_case(" A  B "), "A B");
    }

    #[test]
    fn lower_case_follows_unicode() {
        assert_eq!(clean("İ"), "i\u{307}");
        assert_eq!(clean("ΟΔΟΣ"), "οδος");
        assert_eq!(clean("ẞ"), "ß");
    }

    #[test]
    fn references_are_unescaped_also_where_markup_is() {
        assert_eq!(clean("<b>&amp;amp;</b>"), "<b>&</b>");
        assert_eq!(clean("&amp;amp;amp;amp;eacute;"), "é");
    }
}
