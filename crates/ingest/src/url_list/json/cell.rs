//! JSON values as the cells of a row.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

use super::scanner::Extent;

/// Wrong in what way.
pub(super) type Cell<T> = Result<T, String>;

/// The text of a value: of a string its characters, of `null` nothing, of any other value its JSON text.
/// `NaN`, which Python writes for what is missing, is nothing too.
pub(super) fn text(raw: &str) -> Cell<Option<String>> {
    match raw {
        "null" | "NaN" => Ok(None),
        "Infinity" | "-Infinity" => Ok(Some(raw.to_owned())),
        _ if raw.starts_with('"') => string(raw).map(Some),
        _ => match serde_json::from_str::<IgnoredAny>(raw) {
            Ok(_) => Ok(Some(raw.to_owned())),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// The characters of a JSON string. Halves of surrogate pairs, which scraped texts have, become U+FFFD.
pub(super) fn string(raw: &str) -> Cell<String> {
    serde_json::from_str::<Characters>(raw).map(|text| text.0).map_err(|error| error.to_string())
}

/// The names of an object's members and their values, as they stand in `object`.
pub(super) fn members(object: &str) -> Cell<Vec<(String, &str)>> {
    let expected = |what: &str, rest: &str| match rest.chars().next() {
        Some(found) => format!("expected {what} at byte {}, got `{found}`", object.len() - rest.len()),
        None => format!("expected {what}, and the record ends"),
    };
    let mut members = Vec::new();
    let mut rest = object.trim_ascii().strip_prefix('{').ok_or_else(|| expected("an object in braces", object))?;
    loop {
        rest = rest.trim_ascii_start();
        if members.is_empty() && rest.starts_with('}') {
            break;
        }
        if !rest.starts_with('"') {
            return Err(expected("a name in quotes", rest));
        }
        let (name, behind) = split(rest);
        rest = behind.trim_ascii_start();
        rest = rest.strip_prefix(':').ok_or_else(|| expected("`:`", rest))?.trim_ascii_start();
        let (value, behind) = split(rest);
        if value.is_empty() {
            return Err(expected("a value", rest));
        }
        members.push((string(name)?, value));
        rest = behind.trim_ascii_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    match rest.strip_prefix('}') {
        Some("") => Ok(members),
        Some(behind) => Err(expected("the end of the record", behind)),
        None => Err(expected("`,` or `}`", rest)),
    }
}

/// The value at the start of `text`, and what is behind it.
fn split(text: &str) -> (&str, &str) {
    // A value ends at or behind a character of one byte, or with the text.
    text.split_at(Extent::default().advance(text.as_bytes()).0)
}

/// A string read as bytes: only so are halves of surrogate pairs let through.
struct Characters(String);

impl<'de> Deserialize<'de> for Characters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(OfBytes)
    }
}

struct OfBytes;

impl Visitor<'_> for OfBytes {
    type Value = Characters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Characters, E> {
        Ok(Characters(String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_strings_stay_as_they_stand() {
        let nested = r#"[1, {"a": "]"}]"#;
        for raw in ["12345678901234567890123", "-1.50", "true", nested] {
            assert_eq!(text(raw), Ok(Some(raw.to_owned())));
        }
        assert_eq!((text("null"), text("NaN")), (Ok(None), Ok(None)));
        assert_eq!(text(r#""a\n\u00e9\"""#), Ok(Some("a\né\"".into())));
        assert!(text("12abc").is_err() && text("").is_err());
    }

    #[test]
    fn half_a_surrogate_pair_costs_its_character() {
        assert_eq!(text(r#""\ud83d\ude00""#), Ok(Some("\u{1f600}".into())));
        assert!(text(r#""cat \ud83d!""#).unwrap().unwrap().starts_with("cat \u{fffd}"));
    }

    #[test]
    fn members_are_split_and_not_looked_into() {
        let split = members(r#" { "a" : [1,{"b":"}"}] ,"c\"":"x,y" , "d": NaN} "#).unwrap();
        assert_eq!(split, [("a".into(), r#"[1,{"b":"}"}]"#), ("c\"".into(), r#""x,y""#), ("d".into(), "NaN")]);
        assert_eq!(members("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_object_says_where() {
        for (text, expected) in [
            ("[1]", "an object in braces at byte 0"),
            (r#"{"a" 1}"#, "`:` at byte 5"),
            (r#"{"a":1 "b":2}"#, "`,` or `}` at byte 7"),
            (r#"{"a":}"#, "a value at byte 5"),
            (r#"{"a":1,}"#, "a name in quotes at byte 7"),
            (r#"{"a":1"#, "`,` or `}`, and the record ends"),
            (r#"{"a":1} x"#, "the end of the record"),
        ] {
            let reason = members(text).unwrap_err();
            assert!(reason.contains(expected), "{text}: {reason}");
        }
    }
}
