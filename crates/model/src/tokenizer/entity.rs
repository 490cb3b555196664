//! HTML character references. [`unescape`] follows the HTML standard as Python's `html.unescape` does;
//! [`unescape_strict`] is the careful form that text repair applies: only what ends with `;`.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Names that the standard also knows without their `;`.
const LEGACY: &str = "\
    AElig AMP Aacute Acirc Agrave Aring Atilde Auml COPY Ccedil ETH Eacute Ecirc Egrave Euml GT Iacute Icirc Igrave \
    Iuml LT Ntilde Oacute Ocirc Ograve Oslash Otilde Ouml QUOT REG THORN Uacute Ucirc Ugrave Uuml Yacute aacute \
    acirc acute aelig agrave amp aring atilde auml brvbar ccedil cedil cent copy curren deg divide eacute ecirc \
    egrave eth euml frac12 frac14 frac34 gt iacute icirc iexcl igrave iquest iuml laquo lt macr micro middot nbsp \
    not ntilde oacute ocirc ograve ordf ordm oslash otilde ouml para plusmn pound quot raquo reg sect shy sup1 sup2 \
    sup3 szlig thorn times uacute ucirc ugrave uml uuml yacute yen yuml";

/// Longest name that can be a reference, without its `;`.
const LONGEST_NAME: usize = 32;

static STRICT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("&#?[0-9A-Za-z]{1,24};").expect("a constant pattern that the tests compile"));

/// Replaces references that end with `;`. Beyond the standard, a name in capitals stands for the capital of its character
/// (`&EACUTE;`).
pub(super) fn unescape_strict(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    STRICT.replace_all(text, |found: &Captures<'_>| {
        let whole = &found[0];
        let inner = &whole[1..whole.len() - 1];
        strict_value(whole, inner).unwrap_or_else(|| whole.to_owned())
    })
}

fn strict_value(whole: &str, inner: &str) -> Option<String> {
    if inner.starts_with('#') {
        return Some(unescape(whole).into_owned()).filter(|value| !value.contains(';'));
    }
    named(inner).map(str::to_owned).or_else(|| capital(inner))
}

/// The capital form of a reference that is defined in small letters only.
fn capital(name: &str) -> Option<String> {
    let small = name.to_ascii_lowercase();
    let shouted = name.bytes().all(|byte| !byte.is_ascii_lowercase()) && small != name;
    if shouted { named(&small).map(str::to_uppercase) } else { None }
}

/// Replaces every reference, also those that the standard tolerates without `;`.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (value, used) = reference(after).unwrap_or((Cow::Borrowed("&"), 0));
        out.push_str(&value);
        rest = &after[used..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The reference at the start of `text`, which follows an `&`: its value and how many bytes it takes.
fn reference(text: &str) -> Option<(Cow<'static, str>, usize)> {
    match text.strip_prefix('#') {
        Some(number) => numeric(number).map(|(value, used)| (value, used + 1)),
        None => by_name(text),
    }
}

fn numeric(text: &str) -> Option<(Cow<'static, str>, usize)> {
    let hexadecimal = text.starts_with(['x', 'X']);
    let (radix, start) = if hexadecimal { (16, 1) } else { (10, 0) };
    let digits = text[start..].bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if digits == 0 {
        return None;
    }
    let end = start + digits;
    // A number too large for `u32` is no character either.
    let number = u32::from_str_radix(&text[start..end], radix).unwrap_or(u32::MAX);
    let used = end + usize::from(text[end..].starts_with(';'));
    Some((code_point(number).map_or(Cow::Borrowed(""), |value| Cow::Owned(value.to_string())), used))
}

/// The character that a number stands for, `None` where it stands for nothing.
fn code_point(number: u32) -> Option<char> {
    match number {
        0 => Some('\u{fffd}'),
        0x0d => Some('\r'),
        0x80..=0x9f => Some(super::repair::windows_1252(number as u8)),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if number <= 0x10_ffff && number & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(number).unwrap_or('\u{fffd}')),
    }
}

fn by_name(text: &str) -> Option<(Cow<'static, str>, usize)> {
    let ends = |character: char| matches!(character, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let name: &str = text.split(ends).next().unwrap_or_default();
    let name = name.char_indices().nth(LONGEST_NAME).map_or(name, |(at, _)| &name[..at]);
    if text[name.len()..].starts_with(';')
        && let Some(value) = named(name)
    {
        return Some((Cow::Borrowed(value), name.len() + 1));
    }
    let longest = LEGACY.split(' ').filter(|legacy| name.starts_with(legacy)).max_by_key(|legacy| legacy.len())?;
    named(longest).map(|value| (Cow::Borrowed(value), longest.len()))
}

/// The value of a name, without `&` and `;`.
fn named(name: &str) -> Option<&'static str> {
    let table = &html_escape::NAMED_ENTITIES;
    let at = table.binary_search_by(|(known, _)| (*known).cmp(name.as_bytes())).ok()?;
    Some(table[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_table_is_sorted_and_knows_every_legacy_name() {
        assert!(html_escape::NAMED_ENTITIES.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(LEGACY.split(' ').filter(|name| named(name).is_none()).count(), 0);
        assert_eq!(LEGACY.split(' ').count(), 106);
    }

    #[test]
    fn names_and_numbers_are_replaced() {
        assert_eq!(unescape("&lt;b&gt; &eacute;&nbsp;&#39;&#x27;&hearts;"), "<b> é\u{a0}''♥");
        assert_eq!(unescape("&#128;&#150;&#0;&#xD800;&#99999999999;"), "€–\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(unescape("a&#7;b&#xfffe;c"), "abc");
    }

    #[test]
    fn legacy_names_need_no_semicolon() {
        assert_eq!(unescape("&copy 2020 &notit; AT&T &ampx &#65 &unknown;"), "© 2020 ¬it; AT&T &x A &unknown;");
    }

    #[test]
    fn lone_ampersands_stay() {
        assert_eq!(unescape("a & b && &; &# &#x;"), "a & b && &; &# &#x;");
    }

    #[test]
    fn strict_form_wants_the_semicolon_and_knows_capitals() {
        assert_eq!(unescape_strict("&copy 2020 &EACUTE;&ntilde;&AMP;&nosuch;&#233;"), "&copy 2020 Éñ&&nosuch;é");
    }
}
