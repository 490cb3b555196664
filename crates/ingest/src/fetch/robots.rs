//! The rules of a `robots.txt` for one crawler (RFC 9309).

/// As much of the file as is read; the RFC asks for no less.
pub const MAX_BYTES: usize = 500 << 10;

/// What a crawler may ask a host for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// Percent-encoded in one way, `*` for anything.
    pattern: Vec<u8>,
    /// Whether the pattern ended in `$`.
    whole: bool,
}

impl Rules {
    /// Rules that forbid everything, as for a host whose rules cannot be had.
    pub fn disallow_all() -> Self {
        Self(vec![Rule::new(false, "/")])
    }

    /// The rules of `text` for the crawler named `product`: those of all groups that name it, or else of all for `*`.
    pub fn parse(text: &[u8], product: &str) -> Self {
        let text = &text[..text.len().min(MAX_BYTES)];
        let text = String::from_utf8_lossy(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
        let (mut own, mut general) = (None::<Vec<Rule>>, Vec::new());
        let (mut addresses_own, mut addresses_all, mut in_names) = (false, false, false);
        for (key, value) in text.split(['\n', '\r']).filter_map(key_value) {
            match key.as_str() {
                "user-agent" => {
                    if !in_names {
                        (addresses_own, addresses_all, in_names) = (false, false, true);
                    }
                    addresses_all |= value == "*";
                    addresses_own |= product_token(value).eq_ignore_ascii_case(product);
                    if addresses_own {
                        own.get_or_insert_default();
                    }
                }
                "allow" | "disallow" => {
                    in_names = false;
                    let rule = Rule::new(key == "allow", value);
                    if !value.is_empty() && addresses_all {
                        general.push(rule.clone());
                    }
                    if let Some(own) = own.as_mut().filter(|_| addresses_own && !value.is_empty()) {
                        own.push(rule);
                    }
                }
                _ => {}
            }
        }
        Self(own.unwrap_or(general))
    }

    /// Whether `path`, a URL's path and query, may be asked for: the longest rule that fits decides, and of two as long
    /// the one that allows.
    pub fn allow(&self, path: &str) -> bool {
        let path = normalized(path);
        if path == b"/robots.txt" {
            return true;
        }
        let fitting = self.0.iter().filter(|rule| rule.fits(&path));
        fitting
            .max_by_key(|rule| (rule.pattern.len() + usize::from(rule.whole), rule.allow))
            .is_none_or(|rule| rule.allow)
    }

    /// Roughly the bytes in memory.
    pub fn size(&self) -> usize {
        self.0.iter().map(|rule| size_of::<Rule>() + rule.pattern.len()).sum()
    }
}

impl Rule {
    fn new(allow: bool, value: &str) -> Self {
        let (value, whole) = value.strip_suffix('$').map_or((value, false), |value| (value, true));
        Self { allow, pattern: normalized(value), whole }
    }

    fn fits(&self, path: &[u8]) -> bool {
        let mut parts = self.pattern.split(|byte| *byte == b'*');
        let Some(mut rest) = parts.next().and_then(|start| path.strip_prefix(start)) else { return false };
        let mut last: &[u8] = b"";
        let mut starred = false;
        for part in parts {
            if starred {
                let Some(at) = find(rest, last) else { return false };
                rest = &rest[at + last.len()..];
            }
            (last, starred) = (part, true);
        }
        match (self.whole, starred) {
            (true, true) => rest.ends_with(last),
            (true, false) => rest.is_empty(),
            (false, _) => find(rest, last).is_some(),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { Some(0) } else { text.windows(part.len()).position(|window| window == part) }
}

fn key_value(line: &str) -> Option<(String, &str)> {
    let line = line.split('#').next().unwrap_or_default();
    let (key, value) = line.split_once(':')?;
    Some((key.trim().to_ascii_lowercase(), value.trim()))
}

/// `clipdata` of `clipdata/1.0`.
fn product_token(value: &str) -> &str {
    value.split(|c: char| !(c.is_ascii_alphabetic() || matches!(c, '-' | '_'))).next().unwrap_or_default()
}

/// One spelling of what can be percent-encoded in several: unreserved characters plain, others as `%XX`.
fn normalized(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = if byte == b'%' { bytes.get(at + 1..at + 3).and_then(hex) } else { None };
        match escaped {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => plain.push(byte),
            Some(byte) => push_escaped(&mut plain, byte),
            None if byte.is_ascii_graphic() => plain.push(byte),
            None => push_escaped(&mut plain, byte),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    plain
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

fn push_escaped(text: &mut Vec<u8>, byte: u8) {
    text.extend_from_slice(format!("%{byte:02X}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, path: &str) -> bool {
        Rules::parse(text.as_bytes(), "clipdata").allow(path)
    }

    #[test]
    fn the_longest_rule_decides_and_allows_at_a_tie() {
        let text = "User-agent: *\nDisallow: /a\nAllow: /a/open\nDisallow: /a/open/not\nAllow: /tie\nDisallow: /tie\n";
        for (path, expected) in [
            ("/", true),
            ("/a.jpg", false),
            ("/a/b", false),
            ("/a/open/b", true),
            ("/a/open/not/b", false),
            ("/A/b", true),
            ("/tie", true),
            ("/robots.txt", true),
        ] {
            assert_eq!(allowed(text, path), expected, "{path}");
        }
        assert!(!allowed("user-agent: *\ndisallow: /\n", "/x"));
        assert!(allowed("user-agent: *\ndisallow: /\n", "/robots.txt"));
    }

    #[test]
    fn stars_stand_for_anything_and_a_dollar_for_the_end() {
        for (pattern, path, fits) in [
            ("/*.jpg$", "/a/b.jpg", true),
            ("/*.jpg$", "/a/b.jpg?size=1", false),
            ("/*.jpg", "/a/b.jpg?size=1", true),
            ("/a*b*c", "/a-b-c-d", true),
            ("/a*b*c", "/a-c-b", false),
            ("/a*b$", "/abab", true),
            ("/a$", "/ab", false),
            ("*", "/anything", true),
            ("/fish*", "/fish.html", true),
            ("/a**b", "/a/b", true),
            ("$", "/", false),
        ] {
            let text = format!("user-agent: *\ndisallow: {pattern}\n");
            assert_eq!(!allowed(&text, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn the_group_that_names_the_crawler_counts_alone() {
        let text = "User-agent: *\nDisallow: /\n\nUser-agent: other\nUser-Agent: ClipData/1.0\nDisallow: /private\n\
                    \nuser-agent: clipdata\nDisallow: /more # with a reason\n";
        for (path, expected) in [("/x", true), ("/private/x", false), ("/more", false)] {
            assert_eq!(allowed(text, path), expected, "{path}");
        }
        assert!(!Rules::parse(text.as_bytes(), "clip").allow("/x"));
        assert!(allowed("User-agent: *\nDisallow: /\nUser-agent: clipdata\nDisallow:\n", "/x"));
    }

    #[test]
    fn spellings_of_one_path_are_the_same() {
        for (pattern, path) in [("/caf\u{e9}", "/caf%C3%A9"), ("/%7ejoe", "/~joe"), ("/a%2fb", "/a%2Fb")] {
            assert!(!allowed(&format!("user-agent: *\ndisallow: {pattern}"), path), "{pattern}");
        }
        assert!(allowed("user-agent: *\ndisallow: /a%2fb", "/a/b"));
    }

    #[test]
    fn whatever_stands_there_is_read() {
        for text in ["", "\u{feff}", "disallow: /", "user-agent", "<html>: no", "user-agent: *\ncrawl-delay: 10"] {
            assert!(allowed(text, "/x"), "{text}");
        }
        assert!(!allowed("\u{feff}User-Agent : *\r\nDISALLOW : /x\r", "/x"));
        assert!(!Rules::parse(b"user-agent: *\ndisallow: /\xff\ndisallow: /x", "clipdata").allow("/x"));
        assert!(!allowed("user-agent: *\nsitemap: /s.xml\ndisallow: /x", "/x"));
        let large = format!("user-agent: *\n{}disallow: /x\n", "#".repeat(MAX_BYTES));
        assert!(allowed(&large, "/x"), "what is beyond the limit is not read");
        assert!(!Rules::disallow_all().allow("/x"));
    }
}
