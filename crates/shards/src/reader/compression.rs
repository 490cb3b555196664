//! Shards that are compressed as a whole, told by their first bytes.

use std::io::{self, BufRead, BufReader, Cursor, Read};

/// What an xz stream may ask for to be unpacked. `xz -9` needs 65 MiB; one that asks for gigabytes is no shard.
const XZ_MEMORY: u64 = 256 << 20;

/// As many bytes as the longest mark has.
const MARK_BYTES: u64 = 6;

const BUFFER_BYTES: usize = 1 << 17;

/// Compressed bytes.
type Packed = BufReader<Box<dyn Read + Send>>;

/// `source` itself, or what is within where it begins as gzip, bzip2, xz or zstd do; streams that were joined are read to
/// the end of the last, and zeros behind it are padding, as for gzip and tar. A stream that is cut is an error of the last
/// read.
pub(super) fn unpacked(mut source: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::with_capacity(MARK_BYTES as usize);
    (&mut source).take(MARK_BYTES).read_to_end(&mut start)?;
    let mark = start.clone();
    let whole: Box<dyn Read + Send> = Box::new(Cursor::new(start).chain(source));
    let packed = |whole| BufReader::with_capacity(BUFFER_BYTES, whole);
    Ok(match mark[..] {
        [0x1f, 0x8b, ..] => Box::new(Streams::<flate2::bufread::GzDecoder<Packed>>::new(packed(whole))),
        // A frame of zstd, or one that is skipped.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Streams::<zstd::Decoder<'static, Packed>>::new(packed(whole)))
        }
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => {
            Box::new(Streams::<bzip2::bufread::BzDecoder<Packed>>::new(packed(whole)))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(Streams::<liblzma::bufread::XzDecoder<Packed>>::new(packed(whole)))
        }
        // The reader of blocks has a buffer of its own.
        _ => whole,
    })
}

/// What unpacks one stream.
trait Decoder: Read + Sized {
    fn begin(packed: Packed) -> io::Result<Self>;

    /// What lies behind the stream, once it was read to its end.
    fn end(self) -> Packed;
}

impl Decoder for flate2::bufread::GzDecoder<Packed> {
    fn begin(packed: Packed) -> io::Result<Self> {
        Ok(Self::new(packed))
    }

    fn end(self) -> Packed {
        self.into_inner()
    }
}

impl Decoder for bzip2::bufread::BzDecoder<Packed> {
    fn begin(packed: Packed) -> io::Result<Self> {
        Ok(Self::new(packed))
    }

    fn end(self) -> Packed {
        self.into_inner()
    }
}

impl Decoder for zstd::Decoder<'static, Packed> {
    fn begin(packed: Packed) -> io::Result<Self> {
        Ok(Self::with_buffer(packed)?.single_frame())
    }

    fn end(self) -> Packed {
        self.finish()
    }
}

impl Decoder for liblzma::bufread::XzDecoder<Packed> {
    fn begin(packed: Packed) -> io::Result<Self> {
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
        Ok(Self::new_stream(packed, stream))
    }

    fn end(self) -> Packed {
        self.into_inner()
    }
}

/// Streams one behind the other.
struct Streams<D> {
    state: State<D>,
    begun: u64,
    /// Whether the stream at hand has given anything.
    gave: bool,
}

enum State<D> {
    Within(D),
    Between(Packed),
    /// At the end, or behind an error, which is not told twice.
    Over,
}

impl<D: Decoder> Streams<D> {
    fn new(packed: Packed) -> Self {
        Self { state: State::Between(packed), begun: 0, gave: false }
    }
}

impl<D: Decoder> Read for Streams<D> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Between(mut packed) => {
                    if skip_zeros(&mut packed)? {
                        self.state = State::Within(D::begin(packed)?);
                        (self.begun, self.gave) = (self.begun + 1, false);
                    }
                }
                State::Within(mut stream) => match stream.read(into) {
                    Ok(0) => self.state = State::Between(stream.end()),
                    Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                        let is_garbage = self.begun > 1 && !self.gave;
                        let told = || format!("what follows the packed data cannot be unpacked: {e}");
                        return Err(if is_garbage { io::Error::new(e.kind(), told()) } else { e });
                    }
                    read => {
                        self.state = State::Within(stream);
                        self.gave |= read.is_ok();
                        return read;
                    }
                },
            }
        }
    }
}

/// Whether anything but zeros is left, of which the first byte comes next.
fn skip_zeros(packed: &mut Packed) -> io::Result<bool> {
    loop {
        let buffer = match packed.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let is_all = zeros == buffer.len();
        packed.consume(zeros);
        if !is_all {
            return Ok(true);
        }
    }
}
