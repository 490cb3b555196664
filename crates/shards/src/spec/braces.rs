//! Brace expansion by the rules of Python's braceexpand, which open_clip and webdataset use:
//! `{a,b}`, `{0..9}`, `{000..100..10}`, `{a..e}`, nested and multiplied; a backslash takes the
//! meaning from the character behind it; braces around neither a list nor a range stay.

/// Braces within braces deeper than this are no list of shards.
const MOST_DEPTH: i64 = 32;

/// All names together may have so many bytes.
const MOST_BYTES: usize = 1 << 28;

/// All strings that `pattern` stands for, the last braces varying fastest.
///
/// # Errors
/// A reason, when the braces do not balance or there would be more than `limit` strings.
pub(super) fn expand(pattern: &str, limit: usize) -> Result<Vec<String>, String> {
    let expanded = expand_pattern(pattern, limit)?;
    Ok(expanded.iter().map(|text| unescape(text)).collect())
}

fn expand_pattern(pattern: &str, limit: usize) -> Result<Vec<String>, String> {
    let mut expanded = vec![String::new()];
    let (mut start, mut depth) = (0, 0i64);
    for (position, byte) in unescaped(pattern) {
        match byte {
            b'{' => {
                if depth == 0 {
                    append(&mut expanded, &[pattern[start..position].to_string()], limit)?;
                    start = position;
                }
                depth += 1;
                if depth > MOST_DEPTH {
                    return Err(format!("braces within braces, more than {MOST_DEPTH} deep"));
                }
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    append(&mut expanded, &expand_braces(&pattern[start..=position], limit)?, limit)?;
                    start = position + 1;
                }
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err("unbalanced braces".into());
    }
    append(&mut expanded, &[pattern[start..].to_string()], limit)?;
    Ok(expanded)
}

/// `text` is a pair of braces and what is between them.
fn expand_braces(text: &str, limit: usize) -> Result<Vec<String>, String> {
    let inner = &text[1..text.len() - 1];
    if let Some(range) = expand_integers(inner, limit)? {
        return Ok(range);
    }
    if let Some(range) = expand_letters(inner) {
        return Ok(range);
    }
    if let Some(alternatives) = alternatives(inner) {
        let (mut all, mut bytes) = (Vec::new(), 0);
        for alternative in alternatives {
            let expanded = expand_pattern(alternative, limit)?;
            bytes += expanded.iter().map(String::len).sum::<usize>();
            check(all.len() + expanded.len(), limit)?;
            check_bytes(bytes)?;
            all.extend(expanded);
        }
        return Ok(all);
    }
    Ok(expand_pattern(inner, limit)?.into_iter().map(|text| format!("{{{text}}}")).collect())
}

/// The parts between commas that stand in no inner braces; `None` without such a comma.
fn alternatives(inner: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0i64);
    for (position, byte) in unescaped(inner) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&inner[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    if depth != 0 || parts.is_empty() {
        return None;
    }
    parts.push(&inner[start..]);
    Some(parts)
}

fn expand_integers(inner: &str, limit: usize) -> Result<Option<Vec<String>>, String> {
    let Some((first, last, step)) = range_parts(inner) else { return Ok(None) };
    let (Some(start), Some(end)) = (integer(first), integer(last)) else { return Ok(None) };
    let is_padded = |end: &str| end != "0" && end != "-0" && (end.starts_with('0') || end.starts_with("-0"));
    let width = if is_padded(first) || is_padded(last) { first.len().max(last.len()) } else { 0 };
    let count = (i128::from(end) - i128::from(start)).unsigned_abs() / u128::from(step) + 1;
    check(usize::try_from(count).unwrap_or(usize::MAX), limit)?;
    check_bytes((count as usize).saturating_mul(width))?;
    // Nothing is padded further than the formatter goes.
    if width > usize::from(u16::MAX) {
        return Err(format!("numbers of {width} digits"));
    }
    let step = if start < end { i128::from(step) } else { -i128::from(step) };
    let nth = |index: i128| format!("{:0width$}", i128::from(start) + index * step);
    Ok(Some((0..count as i128).map(nth).collect()))
}

fn expand_letters(inner: &str) -> Option<Vec<String>> {
    let (first, last, step) = range_parts(inner)?;
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').collect();
    let place = |end: &str| alphabet.iter().position(|letter| end.len() == 1 && end.starts_with(*letter));
    let (start, end, step) = (place(first)?, place(last)?, usize::try_from(step).unwrap_or(usize::MAX));
    let show = |index: usize| alphabet[index].to_string();
    Some(match start < end {
        true => (start..=end).step_by(step).map(show).collect(),
        false => (end..=start).rev().step_by(step).map(show).collect(),
    })
}

/// `first..last` or `first..last..step`; the step's sign has no meaning, and 0 means 1.
fn range_parts(inner: &str) -> Option<(&str, &str, u64)> {
    let parts: Vec<_> = inner.split("..").collect();
    match parts[..] {
        [first, last] => Some((first, last, 1)),
        [first, last, step] => Some((first, last, integer(step)?.unsigned_abs().max(1))),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn append(expanded: &mut Vec<String>, endings: &[String], limit: usize) -> Result<(), String> {
    check(expanded.len().saturating_mul(endings.len()), limit)?;
    let [left, right] = [&expanded[..], endings].map(|texts| texts.iter().map(String::len).sum::<usize>());
    check_bytes(left.saturating_mul(endings.len()).saturating_add(right.saturating_mul(expanded.len())))?;
    *expanded = expanded.iter().flat_map(|text| endings.iter().map(move |ending| format!("{text}{ending}"))).collect();
    Ok(())
}

fn check(count: usize, limit: usize) -> Result<(), String> {
    if count <= limit { Ok(()) } else { Err(format!("names more than {limit} shards")) }
}

fn check_bytes(bytes: usize) -> Result<(), String> {
    if bytes <= MOST_BYTES { Ok(()) } else { Err(format!("names of {bytes} bytes together (at most {MOST_BYTES})")) }
}

/// Positions and bytes that no backslash precedes.
fn unescaped(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut escaped = false;
    text.bytes().enumerate().filter(move |(_, byte)| {
        let counts = !escaped && *byte != b'\\';
        escaped = !escaped && *byte == b'\\';
        counts
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().unwrap_or('\\')),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand_as_in_python() {
        let cases: &[(&str, &[&str])] = &[
            ("{1..003}", &["001", "002", "003"]),
            ("{3..0}", &["3", "2", "1", "0"]),
            ("{0..10..5}", &["0", "5", "10"]),
            ("{10..1..3}", &["10", "7", "4", "1"]),
            ("{0..3..-2}", &["0", "2"]),
            ("{1..3..0}", &["1", "2", "3"]),
            ("{-01..1}", &["-01", "000", "001"]),
            ("{-5..-03}", &["-05", "-04", "-03"]),
            ("{0..-0}", &["0"]),
            ("{a..e..2}", &["a", "c", "e"]),
            ("{e..a..2}", &["e", "c", "a"]),
            ("{Y..b}", &["Y", "Z", "a", "b"]),
            ("{a..b..c}", &["{a..b..c}"]),
            ("{1...3}", &["{1...3}"]),
            ("{}", &["{}"]),
            ("{x{1..2}}", &["{x1}", "{x2}"]),
            ("{{1..2},z}", &["1", "2", "z"]),
            ("{a,{b,c},d}x", &["ax", "bx", "cx", "dx"]),
            ("{,x}y", &["y", "xy"]),
            (r"\{a,b\}", &["{a,b}"]),
            (r"{a,b\,c}", &["a", "b,c"]),
            (r"a\b\", &[r"ab\"]),
            ("a}{b", &["a}{b"]),
            ("{é,日}{0..1}", &["é0", "é1", "日0", "日1"]),
            ("awk '{print}'", &["awk '{print}'"]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(expand(pattern, 100).unwrap(), *expected, "{pattern}");
        }
    }

    #[test]
    fn a_long_list_is_refused_before_it_is_made() {
        for pattern in ["{0..9223372036854775807}", "{1..60}{1..60}", "{{1..60},{1..60}}"] {
            assert!(expand(pattern, 100).unwrap_err().contains("more than 100"), "{pattern}");
        }
        for (pattern, expected) in [
            (format!("{{{}1..3}}", "0".repeat(70_000)), "numbers of 70001 digits"),
            (format!("{{{}1..99999}}", "0".repeat(60_000)), "bytes together"),
            (["{"; 60_000].concat() + &["}"; 60_000].concat(), "more than 32 deep"),
            (["{a,"; 30_000].concat() + &["}"; 30_000].concat(), "more than 32 deep"),
            (format!("{{{}}}{{1..90000}}", ["a,"; 9].concat() + &"x".repeat(9000)), "bytes together"),
        ] {
            let message = expand(&pattern, 1_000_000).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        assert!(expand("{a", 100).unwrap_err().contains("unbalanced"));
    }
}
