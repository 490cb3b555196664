//! Many shards named by one line: sources separated by `::`, each with braces as the shell
//! expands them, `s3://b/{00000..00099}.tar::local/{a,b}.tar`.

mod braces;

use crate::error::{Error, Result};
use crate::uri::ShardUri;

/// A list of shards longer than this is a slip of the pen.
const MAX_SHARDS: usize = 2_000_000;

/// The shards that a specification names, source by source, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSpec {
    sources: Vec<Vec<ShardUri>>,
}

impl ShardSpec {
    /// Splits at `::`, then expands the braces of each source, a `pipe:` command's included.
    ///
    /// # Errors
    /// When a source is empty, its braces do not balance, it names more than two million shards, or one of
    /// its shards has no known scheme.
    pub fn parse(spec: &str) -> Result<Self> {
        let sources = sources(spec).into_iter().map(parse_source).collect::<Result<_>>()?;
        Ok(Self { sources })
    }

    /// The same shards, read without the commands that do no more than fetch one; see [`ShardUri::without_command`].
    ///
    /// # Errors
    /// When a command fetches what is no shard's address.
    pub fn without_commands(self) -> Result<Self> {
        let source = |source: Vec<ShardUri>| source.into_iter().map(ShardUri::without_command).collect();
        Ok(Self { sources: self.sources.into_iter().map(source).collect::<Result<_>>()? })
    }

    /// The shards of each source.
    pub fn sources(&self) -> &[Vec<ShardUri>] {
        &self.sources
    }

    /// All shards, one source after the other.
    pub fn uris(&self) -> impl Iterator<Item = &ShardUri> {
        self.sources.iter().flatten()
    }
}

/// The parts between `::`, those within brackets left out: `http://[::1]/0.tar` is one.
fn sources(spec: &str) -> Vec<&str> {
    let (mut parts, mut start, mut within, mut from) = (Vec::new(), 0, false, 0);
    while let Some(found) = spec[from..].find(['[', ']', ':']) {
        let at = from + found;
        from = at + 1;
        match spec.as_bytes()[at] {
            b'[' => within = spec[..at].ends_with("://"),
            b']' => within = false,
            _ if !within && spec[at..].starts_with("::") => {
                parts.push(&spec[start..at]);
                (start, from) = (at + 2, at + 2);
            }
            _ => {}
        }
    }
    parts.push(&spec[start..]);
    parts
}

/// As much of a specification as a message can quote.
fn shortened(source: &str) -> String {
    const MOST: usize = 200;
    match source.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &source[..end]),
        None => source.to_owned(),
    }
}

fn parse_source(source: &str) -> Result<Vec<ShardUri>> {
    let wrong = |reason: String| Error::Spec { spec: shortened(source), reason };
    if source.is_empty() {
        return Err(wrong("empty source".into()));
    }
    let expanded = braces::expand(source, MAX_SHARDS).map_err(wrong)?;
    expanded.iter().map(|uri| ShardUri::parse(uri)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_keep_their_order() {
        let spec = ShardSpec::parse("x{1..2}.tar::pipe:cat {a,b}.tar").unwrap();
        let shown: Vec<_> = spec.uris().map(ToString::to_string).collect();
        assert_eq!(shown, ["x1.tar", "x2.tar", "pipe:cat a.tar", "pipe:cat b.tar"]);
        assert_eq!(spec.sources().len(), 2);
    }

    #[test]
    fn commands_that_only_fetch_can_be_done_without() {
        let spec = ShardSpec::parse("pipe:aws s3 cp s3://b/{0..1}.tar -::pipe:zcat x.tar.gz").unwrap();
        let shown: Vec<_> = spec.without_commands().unwrap().uris().map(ToString::to_string).collect();
        assert_eq!(shown, ["s3://b/0.tar", "s3://b/1.tar", "pipe:zcat x.tar.gz"]);
        assert!(ShardSpec::parse("pipe:aws s3 cp s3://bucket -").unwrap().without_commands().is_err());
    }

    #[test]
    fn colons_of_an_address_divide_nothing() {
        let spec = ShardSpec::parse("http://[::1]:80/a.tar::b.tar::http://[2001:db8::2]/c.tar").unwrap();
        assert_eq!(spec.sources().len(), 3);
        assert_eq!(sources("a::b[x]::c"), ["a", "b[x]", "c"]);
        assert_eq!(sources("a[::b"), ["a[", "b"]);
    }

    #[test]
    fn a_malformed_source_is_quoted() {
        for spec in ["", "a.tar::", "{0..3.tar", "{1..99999999}.tar"] {
            assert!(matches!(ShardSpec::parse(spec), Err(Error::Spec { .. })), "{spec}");
        }
    }
}
