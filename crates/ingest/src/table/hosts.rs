//! Where URLs lead: hosts (lower case, without `www.`), schemes and extensions.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Extensions longer than this are no extensions, but the end of a name with a dot.
const MAX_EXTENSION: usize = 4;

/// How often something occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The thing.
    pub name: String,
    /// Rows that have it.
    pub count: u64,
    /// Of all rows with a URL, from 0 to 1.
    pub share: f64,
}

/// Where the URLs of a table lead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostStats {
    /// Different hosts.
    pub distinct: u64,
    /// The most frequent hosts, the most frequent first, equal ones by name.
    pub top: Vec<Share>,
    /// All schemes; `none` where a URL has none.
    pub schemes: Vec<Share>,
    /// Extensions of the paths, in lower case; `none` where there is none.
    pub extensions: Vec<Share>,
}

/// The parts of a URL that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// Before `://`.
    pub scheme: Option<&'a str>,
    /// Without user, port and `www.`, as written.
    pub host: &'a str,
    /// Behind the last dot of the path, without the dot.
    pub extension: Option<&'a str>,
}

/// Takes a URL apart, whatever it is; nothing is checked.
pub fn parts(url: &str) -> UrlParts<'_> {
    let url = url.trim();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let host = host.get(..4).filter(|start| start.eq_ignore_ascii_case("www.")).map_or(host, |_| &host[4..]);
    UrlParts { scheme, host, extension: extension(rest) }
}

fn extension(rest: &str) -> Option<&str> {
    let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let name = path.rsplit('/').next()?;
    let (_, extension) = name.rsplit_once('.')?;
    let plausible =
        (1..=MAX_EXTENSION).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then_some(extension)
}

/// Counts URLs one after another.
#[derive(Debug, Default)]
pub struct HostCounter {
    hosts: HashMap<String, u64>,
    schemes: HashMap<String, u64>,
    extensions: HashMap<String, u64>,
    rows: u64,
}

impl HostCounter {
    /// Counts one URL.
    pub fn add(&mut self, url: &str) {
        let parts = parts(url);
        self.rows += 1;
        count(&mut self.hosts, parts.host);
        count(&mut self.schemes, parts.scheme.unwrap_or("none"));
        count(&mut self.extensions, parts.extension.unwrap_or("none"));
    }

    /// The counts, with the `top` most frequent hosts.
    pub fn finish(self, top: usize) -> HostStats {
        let (distinct, rows) = (self.hosts.len() as u64, self.rows);
        HostStats {
            distinct,
            top: shares(self.hosts, rows, top),
            schemes: shares(self.schemes, rows, usize::MAX),
            extensions: shares(self.extensions, rows, usize::MAX),
        }
    }
}

fn count(counts: &mut HashMap<String, u64>, name: &str) {
    let lower = name.to_lowercase();
    *counts.entry(lower).or_default() += 1;
}

fn shares(counts: HashMap<String, u64>, rows: u64, top: usize) -> Vec<Share> {
    let mut shares: Vec<_> = counts
        .into_iter()
        .map(|(name, count)| Share { name, count, share: count as f64 / rows.max(1) as f64 })
        .collect();
    shares.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    shares.truncate(top);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("http://WWW.Example.com:80/a/b.JPG?x=.png#y", (Some("http"), "Example.com", Some("JPG"))),
            ("https://user:pw@a.b/", (Some("https"), "a.b", None)),
            ("https://a.b", (Some("https"), "a.b", None)),
            ("https://a.b?c=d.jpg", (Some("https"), "a.b", None)),
            ("https://a.b/v1.2345/photo", (Some("https"), "a.b", None)),
            ("https://a.b/x.jpg:large", (Some("https"), "a.b", None)),
            ("http://[::1]:80/x.gif", (Some("http"), "[::1]", Some("gif"))),
            ("nonsense", (None, "nonsense", None)),
            ("", (None, "", None)),
            ("ééé", (None, "ééé", None)),
        ];
        for (url, (scheme, host, extension)) in cases {
            assert_eq!(parts(url), UrlParts { scheme, host, extension }, "{url}");
        }
    }

    #[test]
    fn the_most_frequent_come_first_and_ties_by_name() {
        let mut counter = HostCounter::default();
        for url in ["http://b/", "http://a/1.jpg", "https://www.c/", "http://C/2.JPG"] {
            counter.add(url);
        }
        let stats = counter.finish(2);
        assert_eq!(stats.distinct, 3);
        let top: Vec<_> = stats.top.iter().map(|share| (share.name.as_str(), share.count, share.share)).collect();
        assert_eq!(top, [("c", 2, 0.5), ("a", 1, 0.25)]);
        assert_eq!(stats.extensions[0].name, "jpg");
        assert_eq!(stats.schemes[0].count, 3);
    }
}
