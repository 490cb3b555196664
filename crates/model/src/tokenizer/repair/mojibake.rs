//! Text in UTF-8 that was read in a single-byte character set (`schÃ¶n`) is read again as UTF-8, the whole text where all
//! of it was misread, otherwise the parts that were. Whether a text looks misread is [`super::suspicion`]'s matter.

use std::borrow::Cow;

use super::charset::{CHARSETS, Charset, Family, LOST, windows_1252};
use super::suspicion::is_suspicious;

/// Text may have been misread more than once: each pass undoes one.
const PASSES: usize = 8;
/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
/// What follows `à` in Portuguese without a space.
const JOINED_TO_A_GRAVE: [&[u8]; 4] = [b"quele", b"quela", b"quilo", b"s "];

/// The text as it was meant.
pub(super) fn redecode(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..PASSES {
        if text.is_ascii() || !is_suspicious(&text) {
            break;
        }
        match whole(&text).or_else(|| in_part(&text)).or_else(|| controls(&text)) {
            Some(meant) if meant != text => text = Cow::Owned(meant),
            _ => break,
        }
    }
    text
}

/// Reads the whole text again, by the first character set in which it turns out to be UTF-8.
fn whole(text: &str) -> Option<String> {
    CHARSETS.iter().find_map(|set| {
        let bytes = set.encode(text)?;
        let bytes = match set.family {
            Family::Windows => mark_lost(&restore_spaces(&bytes)),
            Family::Iso => restore_spaces(&bytes),
            Family::Bygone => bytes,
        };
        String::from_utf8(join_surrogates(bytes)).ok()
    })
}

/// Reads again those runs of characters that are UTF-8 sequences and look misread.
fn in_part(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(first) = rest.chars().next() {
        let length = misread_run(rest);
        let run = &rest[..length];
        if length > 0 && length < text.len() && is_suspicious(run) {
            out.push_str(&redecode(run));
            changed = true;
            rest = &rest[length..];
        } else {
            let step = length.max(first.len_utf8());
            out.push_str(&rest[..step]);
            rest = &rest[step..];
        }
    }
    changed.then_some(out)
}

/// Bytes of `text` that its longest run of UTF-8 sequences takes, from its start, in any set that is recognised in part.
fn misread_run(text: &str) -> usize {
    if text.starts_with(|first: char| first.is_ascii()) {
        return 0;
    }
    CHARSETS.iter().filter(|set| set.family != Family::Bygone).map(|set| sequences(set, text)).max().unwrap_or(0)
}

/// Bytes of `text` that whole UTF-8 sequences in `set` take, from its start.
fn sequences(set: &Charset, text: &str) -> usize {
    let mut taken = 0;
    let mut characters = text.chars();
    while let Some(lead) = characters.next() {
        let Some(count) = set.byte(lead).and_then(continuations) else { break };
        let mut length = lead.len_utf8();
        for _ in 0..count {
            match characters.next() {
                Some(next) if set.byte(next).is_some_and(is_continuation) => length += next.len_utf8(),
                _ => return taken,
            }
        }
        taken += length;
    }
    taken
}

/// Reads control characters of the C1 range, which text does not use, as Windows-1252.
fn controls(text: &str) -> Option<String> {
    let is_control = |character: char| matches!(character, '\u{80}'..='\u{9f}');
    let read = |character: char| if is_control(character) { windows_1252(character as u8) } else { character };
    text.contains(is_control).then(|| text.chars().map(read).collect())
}

/// How many bytes follow a lead byte of UTF-8.
fn continuations(byte: u8) -> Option<usize> {
    match byte {
        0xc2..=0xdf => Some(1),
        0xe0..=0xef => Some(2),
        0xf0..=0xf4 => Some(3),
        _ => None,
    }
}

fn is_continuation(byte: u8) -> bool {
    matches!(byte, 0x80..=0xbf)
}

/// Puts the byte 0xa0 back where it was taken for a no-break space and became a plain one.
fn restore_spaces(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let length = spaced_sequence(rest).unwrap_or(1);
        if length == 1 {
            out.push(*first);
        } else {
            out.extend(rest[..length].iter().map(|byte| if *byte == b' ' { 0xa0 } else { *byte }));
        }
        rest = &rest[length..];
        if length == 2 && *first == 0xc3 && !follows_closely(rest) {
            out.push(b' ');
        }
    }
    out
}

/// Whether what comes after a restored `à` needs no space of its own: it has one, or belongs to the same word.
fn follows_closely(rest: &[u8]) -> bool {
    rest.first().is_none_or(|next| *next == b' ') || JOINED_TO_A_GRAVE.iter().any(|word| rest.starts_with(word))
}

/// Length of the sequence at the start in which one continuation is a space. Only leads of common letters and symbols:
/// after the others a space is more likely to be one.
fn spaced_sequence(bytes: &[u8]) -> Option<usize> {
    let count = match bytes.first()? {
        0xc2 | 0xc3 | 0xc5 | 0xce | 0xd0 | 0xd9 => 1,
        0xe0..=0xe3 => 2,
        0xf0 => 3,
        _ => return None,
    };
    let following = bytes.get(1..=count)?;
    let spaces = following.iter().filter(|byte| **byte == b' ').count();
    let sound = following.iter().all(|byte| *byte == b' ' || is_continuation(*byte) && *byte != 0x85);
    (spaces == 1 && sound).then_some(count + 1)
}

/// Replaces sequences that miss a byte (now [`LOST`], or `?` within a longer sequence) by U+FFFD.
fn mark_lost(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (known, length) = match lossy_sequence(rest) {
            Some(length) => (REPLACEMENT, length),
            None => (std::slice::from_ref(first), 1),
        };
        out.extend_from_slice(known);
        rest = &rest[length..];
    }
    out
}

fn lossy_sequence(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    if first == LOST {
        return Some(1);
    }
    let count = continuations(first)?;
    let following = bytes.get(1..=count)?;
    let questions_count = count > 1 || first <= 0xc3;
    let lost = |byte: &u8| *byte == LOST || *byte == b'?' && questions_count;
    let missing = following.iter().filter(|byte| lost(byte)).count();
    let sound = following.iter().all(|byte| lost(byte) || is_continuation(*byte));
    (sound && missing == 1).then_some(count + 1)
}

/// Joins surrogate pairs that were encoded one by one (CESU-8) into a sequence of four bytes.
fn join_surrogates(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.contains(&0xed) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some(first) = rest.first() {
        match surrogate_pair(rest) {
            Some(character) => {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[6..];
            }
            None => {
                out.push(*first);
                rest = &rest[1..];
            }
        }
    }
    out
}

fn surrogate_pair(bytes: &[u8]) -> Option<char> {
    let [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf, ..] = bytes else {
        return None;
    };
    let half = |middle: u8, last: u8| u32::from(middle & 0x0f) << 6 | u32::from(last & 0x3f);
    char::from_u32(0x1_0000 + (half(*a, *b) << 10) + half(c & 0x0f, *d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wholly_misread_text_is_read_again() {
        assert_eq!(redecode("schÃ¶n â€“ naÃ¯ve"), "schön – naïve");
        assert_eq!(redecode("ðŸ˜€"), "😀");
        assert_eq!(redecode("РџСЂРёРІРµС‚"), "Привет");
        assert_eq!(redecode("caf√©"), "café");
    }

    #[test]
    fn twice_misread_text_is_read_twice() {
        assert_eq!(redecode("ÃƒÂ¶"), "ö");
    }

    #[test]
    fn misread_parts_are_read_again_in_sound_text() {
        assert_eq!(redecode("Ã©tÃ© été"), "été été");
        assert_eq!(redecode("schÃ¶n â€œquotedâ€"), "schön “quotedâ€");
    }

    #[test]
    fn sound_text_stays() {
        for text in ["CAFÉ™", "SÃO PAULO", "«СССР»", "ни Р»", "à la carte", "日本語", "5’8½", "L’ÎLE"]
        {
            assert_eq!(redecode(text), text);
        }
    }

    #[test]
    fn lost_no_break_spaces_are_restored() {
        assert_eq!(redecode("voilÃ le"), "voilà le");
        assert_eq!(redecode("Ã  la carte, Ã quele"), "à la carte, àquele");
        assert_eq!(redecode("a Â b"), "a \u{a0}b");
        assert_eq!(redecode("ðŸ˜ hi"), "😠hi");
    }

    #[test]
    fn sequences_with_lost_bytes_become_replacement_characters() {
        assert_eq!(redecode("caf\u{fffd} â€\u{fffd} x"), "caf\u{fffd} \u{fffd} x");
        assert_eq!(redecode("â€œhi â€?"), "“hi \u{fffd}");
    }

    #[test]
    fn control_characters_are_windows_1252() {
        assert_eq!(redecode("a\u{92}b\u{85}"), "a’b…");
    }

    #[test]
    fn surrogates_encoded_one_by_one_are_joined() {
        assert_eq!(redecode("í\u{a0}½í¸\u{80}"), "😀");
    }
}
