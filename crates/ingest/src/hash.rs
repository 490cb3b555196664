//! The hash of a downloaded body.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::str::FromStr;

use sha2::Digest;

/// Which hash is kept of the bytes as they were downloaded; also the column's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashKind {
    /// MD5, for comparison with LAION's tables.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HashKind {
    /// The column's name: `md5`, `sha256` or `sha512`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The hash of `bytes` in lower-case hexadecimal.
    pub fn hex(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&md5::Md5::digest(bytes)),
            Self::Sha256 => hex(&sha2::Sha256::digest(bytes)),
            Self::Sha512 => hex(&sha2::Sha512::digest(bytes)),
        }
    }
}

impl FromStr for HashKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "md5" => Ok(Self::Md5),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(format!("unknown hash `{text}` (expected md5, sha256 or sha512)")),
        }
    }
}

impl std::fmt::Display for HashKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_test_vectors_hold() {
        assert_eq!(HashKind::Md5.hex(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(HashKind::Sha256.hex(b"abc"), expected);
        let expected = concat!(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        assert_eq!(HashKind::Sha512.hex(b"abc"), expected);
    }
}
