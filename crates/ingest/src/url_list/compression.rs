//! Compressed lists: which compression it is, and what is within.

use std::io::{self, BufRead, BufReader};

use super::source::Bytes;

/// What an xz file may ask for to be unpacked. `xz -9` needs 65 MiB; one that asks for gigabytes is no list.
const XZ_MEMORY: u64 = 256 << 20;

/// A compression that lists may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// A name without its extension of compression, and the compression that it says.
    pub(super) fn of_name(name: &str) -> (&str, Option<Self>) {
        let Some((stem, extension)) = name.rsplit_once('.') else { return (name, None) };
        let compression = match extension.to_ascii_lowercase().as_str() {
            "gz" => Self::Gzip,
            "zst" | "zstd" => Self::Zstd,
            "bz2" => Self::Bzip2,
            "xz" => Self::Xz,
            _ => return (name, None),
        };
        (stem, Some(compression))
    }

    /// The compression that the first bytes of a file are the mark of.
    pub(super) fn of_bytes(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // Behind the level comes the first block's mark, or that of the end: no text begins so.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// What `bytes` are, unpacked as they are read; files that were joined are read to the end of the last.
    pub(super) fn unpacked(self, bytes: Bytes) -> io::Result<Bytes> {
        Ok(match self {
            Self::Gzip => buffered(flate2::bufread::MultiGzDecoder::new(bytes)),
            Self::Zstd => buffered(zstd::stream::read::Decoder::with_buffer(bytes)?),
            Self::Bzip2 => buffered(bzip2::bufread::MultiBzDecoder::new(bytes)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                buffered(liblzma::bufread::XzDecoder::new_stream(bytes, stream))
            }
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

fn buffered(unpacked: impl io::Read + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(BufReader::with_capacity(1 << 16, unpacked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_marks_say_the_compression() {
        assert_eq!(Compression::of_name("a.tsv.GZ"), ("a.tsv", Some(Compression::Gzip)));
        assert_eq!(Compression::of_name("a.b/list"), ("a.b/list", None));
        assert_eq!(Compression::of_bytes(b"BZh is no bzip2"), None);
        assert_eq!(Compression::of_bytes(b"BZh91AY&SY"), Some(Compression::Bzip2));
        assert_eq!(Compression::of_bytes(b""), None);
    }
}
