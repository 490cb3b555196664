//! The body of an answer: read up to a cap, decompressed up to the same cap while it is read.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use tokio::io::{AsyncBufRead, AsyncReadExt, BufReader};
use tokio::time::{Instant, timeout_at};
use tokio_util::io::StreamReader;

use super::budget::Reservation;
use super::held::{Content, Held, PIECE};
use super::trace::Trace;
use super::transport_error::{no_byte, request_failure, timed_out};
use crate::failure::{FailureKind, SampleFailure};

/// Bytes that a decoder is asked for.
const DECODED_AT_ONCE: usize = 16 << 10;

/// The share that a body starts with: as much as an ordinary picture of the web, so that most never wait halfway.
pub(super) const START_BYTES: u64 = PIECE as u64;

/// Encodings one over the other; more than two are an attack.
const MAX_ENCODINGS: usize = 4;

/// Largest window of zstd, 8 MiB as RFC 8878 advises.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Until when a body is read.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The end of the attempt.
    pub deadline: Instant,
    /// The longest time without a byte. The HTTP client's own would count the time for which nobody reads.
    pub idle: Duration,
}

/// A body as it is being read.
struct Body<'a> {
    held: Held<'a>,
    cap: u64,
    times: Times,
}

/// Reads the whole body, at most `cap` bytes, within `times`.
///
/// # Errors
/// Failures `too_large`, `timeout`, `truncated_body`, `content_encoding` and `empty`, and `internal` where the disk fails.
pub(super) async fn read(
    response: Response,
    cap: u64,
    times: Times,
    share: &mut Reservation,
    trace: &mut Trace,
) -> Result<Content, SampleFailure> {
    let announced = response.content_length();
    if let Some(length) = announced.filter(|length| *length > cap) {
        return Err(too_large(cap, &format!("announced {length} bytes")));
    }
    let encodings = encodings(&response)?;
    let mut body = Body { held: Held::new(share), cap, times };
    body.held.expect(announced.filter(|_| encodings.is_empty()));
    let filled = body.fill(response, &encodings).await;
    trace.bytes = Some(body.held.length());
    filled?;
    body.whole().await
}

impl Body<'_> {
    async fn fill(&mut self, mut response: Response, encodings: &[Encoding]) -> Result<(), SampleFailure> {
        if encodings.is_empty() {
            while let Some(chunk) = self.in_time(response.chunk()).await?.map_err(|e| broken(&e))? {
                self.push(&chunk).await?;
            }
            return Ok(());
        }
        let windows = encodings.iter().map(|encoding| encoding.window()).sum();
        let waited = timeout_at(self.times.deadline, self.held.wait_beside(windows)).await;
        waited.map_err(|_| SampleFailure::new(FailureKind::Timeout, "no memory became free for the decoder"))?;
        let stream = response.bytes_stream().map_err(io::Error::other);
        self.push_all(decoder(stream, encodings, self.cap)).await
    }

    async fn in_time<T>(&self, reading: impl Future<Output = T>) -> Result<T, SampleFailure> {
        let idle = Instant::now() + self.times.idle;
        let read = timeout_at(self.times.deadline.min(idle), reading).await;
        read.map_err(|_| if idle < self.times.deadline { no_byte() } else { timed_out() })
    }

    async fn push_all(&mut self, mut decoder: Decoder) -> Result<(), SampleFailure> {
        let mut buffer = vec![0; DECODED_AT_ONCE];
        loop {
            let count = self.in_time(decoder.read(&mut buffer)).await?.map_err(|e| undecoded(&e))?;
            if count == 0 {
                return Ok(());
            }
            self.push(&buffer[..count]).await?;
        }
    }

    async fn push(&mut self, chunk: &[u8]) -> Result<(), SampleFailure> {
        if self.held.length() + chunk.len() as u64 > self.cap {
            return Err(too_large(self.cap, "got more"));
        }
        self.held.push(chunk).await.map_err(|e| not_held(&e))
    }

    async fn whole(self) -> Result<Content, SampleFailure> {
        if self.held.length() == 0 {
            return Err(SampleFailure::new(FailureKind::Empty, "the body is empty"));
        }
        self.held.finish().await.map_err(|e| not_held(&e))
    }
}

/// There was neither memory nor disk for a body.
pub(super) fn not_held(error: &io::Error) -> SampleFailure {
    let folder = std::env::temp_dir();
    let message = format!("the body cannot be set aside in `{}` (TMPDIR): {error}", folder.display());
    SampleFailure::new(FailureKind::Internal, message)
}

/// How a body can be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    fn named(name: &str) -> Result<Self, SampleFailure> {
        match name {
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            other => {
                let message = format!("unknown content encoding `{}`", other.chars().take(40).collect::<String>());
                Err(SampleFailure::new(FailureKind::ContentEncoding, message))
            }
        }
    }

    /// The most that its decoder looks back over.
    fn window(self) -> u64 {
        match self {
            Self::Gzip | Self::Deflate => 64 << 10,
            Self::Brotli => 16 << 20,
            Self::Zstd => 1 << ZSTD_WINDOW_LOG,
        }
    }
}

/// The encodings in the order they were applied.
fn encodings(response: &Response) -> Result<Vec<Encoding>, SampleFailure> {
    let values = response.headers().get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<_> = names.filter(|name| !name.is_empty() && name != "identity").collect();
    if names.len() > MAX_ENCODINGS {
        let message = format!("expected at most {MAX_ENCODINGS} content encodings, got {}", names.len());
        return Err(SampleFailure::new(FailureKind::ContentEncoding, message));
    }
    names.iter().map(|name| Encoding::named(name)).collect()
}

type Decoder = Pin<Box<dyn AsyncBufRead + Send>>;

/// Undoes `encodings`, the last first, each up to `cap` bytes and one, which tells that there are more.
fn decoder(
    stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    encodings: &[Encoding],
    cap: u64,
) -> Decoder {
    let limit = cap.saturating_add(1);
    let mut decoder: Decoder = Box::pin(StreamReader::new(Box::pin(stream)).take(limit));
    for encoding in encodings.iter().rev() {
        decoder = match encoding {
            Encoding::Gzip => Box::pin(BufReader::new(GzipDecoder::new(decoder).take(limit))),
            Encoding::Deflate => Box::pin(BufReader::new(ZlibDecoder::new(decoder).take(limit))),
            Encoding::Brotli => Box::pin(BufReader::new(BrotliDecoder::new(decoder).take(limit))),
            Encoding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                Box::pin(BufReader::new(ZstdDecoder::with_params(decoder, &[window]).take(limit)))
            }
        };
    }
    decoder
}

/// What stopped a decoder: the connection below it, or what it was given.
fn undecoded(error: &io::Error) -> SampleFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        Some(broke) => broken(broke),
        None => SampleFailure::new(FailureKind::ContentEncoding, format!("cannot decode the body: {error}")),
    }
}

fn too_large(cap: u64, got: &str) -> SampleFailure {
    SampleFailure::new(FailureKind::TooLarge, format!("expected at most {cap} bytes, {got}"))
}

/// Once the head of an answer came, a broken connection means a truncated body.
fn broken(error: &reqwest::Error) -> SampleFailure {
    let failure = request_failure(error);
    match failure.kind {
        FailureKind::Timeout => failure,
        _ => {
            let message = format!("the body ended early: {}", failure.message);
            SampleFailure::new(FailureKind::TruncatedBody, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures::stream;

    use super::super::ByteBudget;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The bytes sent in chunks of three, decoded and joined.
    async fn decoded(bytes: Vec<u8>, encodings: &[Encoding], cap: u64) -> Result<Bytes, FailureKind> {
        let budget = ByteBudget::new(1 << 30);
        let mut share = budget.reserve().await.unwrap();
        let idle = Duration::from_secs(60);
        let times = Times { deadline: Instant::now() + idle, idle };
        let mut body = Body { held: Held::new(&mut share), cap, times };
        let chunks: Vec<_> = bytes.chunks(3).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        body.push_all(decoder(stream::iter(chunks), encodings, cap)).await.map_err(|failure| failure.kind)?;
        let content = body.whole().await.map_err(|failure| failure.kind)?;
        Ok(content.load(&mut share).await.unwrap())
    }

    #[tokio::test]
    async fn compressed_bodies_are_decoded() {
        assert_eq!(decoded(gzip(b"picture"), &[Encoding::Gzip], 100).await.unwrap(), "picture");
        assert_eq!(decoded(zlib(b"picture"), &[Encoding::Deflate], 100).await.unwrap(), "picture");
        let twice = gzip(&zlib(b"picture"));
        assert_eq!(decoded(twice, &[Encoding::Deflate, Encoding::Gzip], 100).await.unwrap(), "picture");
    }

    #[tokio::test]
    async fn a_small_body_that_unpacks_large_is_too_large() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert_eq!(decoded(bomb.clone(), &[Encoding::Gzip], 5000).await, Err(FailureKind::TooLarge));
        assert_eq!(decoded(bomb, &[Encoding::Gzip], 1 << 20).await.unwrap().len(), 1 << 20);
    }

    #[tokio::test]
    async fn damaged_and_unknown_encodings_are_told() {
        let nonsense = decoded(b"nonsense".to_vec(), &[Encoding::Gzip], 100).await;
        assert_eq!(nonsense, Err(FailureKind::ContentEncoding));
        assert_eq!(Encoding::named("rot13").unwrap_err().message, "unknown content encoding `rot13`");
    }
}
