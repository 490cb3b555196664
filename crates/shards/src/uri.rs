//! The place of one shard, as text and taken apart.

mod command;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where the bytes of one shard are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShardUri {
    /// A file on this machine: a bare path, or `file:`.
    Local(PathBuf),
    /// `http://` or `https://`, kept whole.
    Http(String),
    /// `s3://bucket/key`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key, without a leading slash.
        key: String,
    },
    /// `pipe:`: what this command writes on its standard output.
    Pipe(String),
}

impl ShardUri {
    /// Takes one address apart.
    ///
    /// # Errors
    /// When it is empty, names a scheme that is not known, or an `s3://` without bucket or key.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::Spec { spec: text.into(), reason: reason.into() };
        if let Some(command) = text.strip_prefix("pipe:") {
            return if command.trim().is_empty() { Err(wrong("no command")) } else { Ok(Self::Pipe(command.into())) };
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(wrong("no path")) } else { Ok(Self::Local(path.into())) };
        }
        match text.split_once("://") {
            Some(("http" | "https", rest)) if !rest.is_empty() => Ok(Self::Http(text.into())),
            Some(("s3", rest)) => match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Self::S3 { bucket: bucket.into(), key: key.into() })
                }
                _ => Err(wrong("expected s3://bucket/key")),
            },
            Some((scheme, _)) if is_scheme(scheme) => {
                Err(wrong(&format!("unknown scheme `{scheme}` (known: file, http, https, s3, pipe)")))
            }
            _ if text.is_empty() => Err(wrong("empty address")),
            _ => Ok(Self::Local(text.into())),
        }
    }

    /// The same place without a command, where the command does no more than fetch it: `pipe:aws s3 cp s3://b/0.tar -` is
    /// `s3://b/0.tar`.
    ///
    /// # Errors
    /// As [`ShardUri::parse`], of the address in the command.
    pub fn without_command(self) -> Result<Self> {
        match &self {
            Self::Pipe(command) => command::address(command).map_or_else(|| Ok(self.clone()), Self::parse),
            _ => Ok(self),
        }
    }

    /// The path of a local shard.
    pub fn local_path(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            _ => None,
        }
    }
}

/// The address as [`ShardUri::parse`] takes it.
impl fmt::Display for ShardUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Http(url) => f.write_str(url),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Pipe(command) => write!(f, "pipe:{command}"),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_told_apart_and_shown_again() {
        let s3 = ShardUri::S3 { bucket: "b".into(), key: "k/0.tar".into() };
        let cases = [
            ("a/000.tar", ShardUri::Local("a/000.tar".into())),
            ("http://h/0.tar?x=1", ShardUri::Http("http://h/0.tar?x=1".into())),
            ("s3://b/k/0.tar", s3),
            ("pipe:cat 'a b' | x://", ShardUri::Pipe("cat 'a b' | x://".into())),
        ];
        for (text, uri) in cases {
            assert_eq!(ShardUri::parse(text).unwrap(), uri);
            assert_eq!(uri.to_string(), text);
        }
        assert_eq!(ShardUri::parse("file:///d/0.tar").unwrap(), ShardUri::Local("/d/0.tar".into()));
        assert_eq!(ShardUri::parse("file:d/0.tar").unwrap(), ShardUri::Local("d/0.tar".into()));
    }

    #[test]
    fn what_cannot_be_opened_is_refused_by_name() {
        for text in ["", "pipe: ", "file:", "s3://bucket", "s3:///key", "gs://b/0.tar"] {
            let message = ShardUri::parse(text).unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")), "{message}");
        }
    }
}
