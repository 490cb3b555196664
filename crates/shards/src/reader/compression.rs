//! Shards that are compressed as a whole, told by their first bytes.

use std::io::{self, BufReader, Cursor, Read};

/// What an xz stream may ask for to be unpacked. `xz -9` needs 65 MiB; one that asks for gigabytes is no shard.
const XZ_MEMORY: u64 = 256 << 20;

/// As many bytes as the longest mark has.
const MARK_BYTES: u64 = 6;

const BUFFER_BYTES: usize = 1 << 17;

/// `source` itself, or what is within where it begins as gzip, bzip2, xz or zstd do; streams that were joined are read to
/// the end of the last. A stream that is cut is an error of the last read.
pub(super) fn unpacked(mut source: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::with_capacity(MARK_BYTES as usize);
    (&mut source).take(MARK_BYTES).read_to_end(&mut start)?;
    let mark = start.clone();
    let whole = Cursor::new(start).chain(source);
    let buffered = |whole| BufReader::with_capacity(BUFFER_BYTES, whole);
    Ok(match mark[..] {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(whole))?),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => {
            Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(whole)))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(buffered(whole), stream))
        }
        // The reader of blocks has a buffer of its own.
        _ => Box::new(whole),
    })
}
