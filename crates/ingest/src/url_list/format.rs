//! How a list is written, told by its name.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::compression::Compression;
use crate::error::{Error, Result};

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// One URL a line.
    Txt,
    /// Commas separate, quotes protect.
    Csv,
    /// Tabs separate, quotes are text.
    Tsv,
    /// One JSON text: a list of records, or columns.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl InputFormat {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Txt, Self::Csv, Self::Tsv, Self::Json, Self::Jsonl, Self::Parquet];

    /// The extension of such files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }

    /// The format that the name of `path` says, an extension of compression not looked at.
    ///
    /// # Errors
    /// When the extension is none of the known ones.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.to_string_lossy();
        let (stem, _) = Compression::of_name(&name);
        let extension = Path::new(stem).extension().map_or_else(String::new, |e| e.to_string_lossy().into_owned());
        extension.parse().map_err(|reason| Error::List { path: path.to_path_buf(), reason })
    }
}

impl FromStr for InputFormat {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let text = text.to_ascii_lowercase();
        // The other name of JSON Lines.
        let named = if text == "ndjson" { "jsonl" } else { text.as_str() };
        let known = Self::ALL.into_iter().find(|format| format.as_str() == named);
        known.ok_or_else(|| {
            format!("unknown input format `{text}` (expected txt, csv, tsv, json, jsonl or parquet, by name or option)")
        })
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format_whatever_the_compression() {
        let of = |name: &str| InputFormat::of(Path::new(name)).unwrap();
        assert_eq!(of("a/list.TXT"), InputFormat::Txt);
        assert_eq!(of("list.jsonl.zst"), InputFormat::Jsonl);
        assert_eq!(of("list.ndjson.xz"), InputFormat::Jsonl);
        assert_eq!(of("part-0.c000.snappy.parquet"), InputFormat::Parquet);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let refused = |name: &str| InputFormat::of(Path::new(name)).unwrap_err().to_string();
        assert!(refused("list.xml").contains("unknown input format `xml`"));
        assert!(refused("list").contains("url list `list`"));
    }
}
