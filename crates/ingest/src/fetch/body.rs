//! The body of an answer: read up to a cap, and decompressed up to the same cap.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::budget::Reservation;
use super::client::{request_failure, timed_out};
use crate::failure::{FailureKind, SampleFailure};

/// What is set aside at first for a body of unannounced length.
const START_CAPACITY: usize = 64 << 10;

/// Reads the whole body, at most `cap` bytes, until `deadline`. Time spent waiting for memory
/// does not count.
///
/// # Errors
/// Failures `too_large`, `timeout`, `truncated_body`, `content_encoding` and `empty`.
pub async fn read(
    mut response: Response,
    cap: u64,
    mut deadline: Instant,
    share: &mut Reservation,
) -> Result<Bytes, SampleFailure> {
    let announced = response.content_length();
    if let Some(length) = announced.filter(|length| *length > cap) {
        return Err(too_large(cap, &format!("announced {length} bytes")));
    }
    let encodings = encodings(&response);
    let capacity = announced.map_or(START_CAPACITY, |length| usize::try_from(length).unwrap_or(START_CAPACITY));
    // The announcement is only a claim: what arrives decides how much is held.
    let mut body = Vec::with_capacity(capacity.min(1 << 20));
    while let Some(chunk) = timeout_at(deadline, response.chunk()).await.map_err(|_| timed_out())?.map_err(broken)? {
        if (body.len() + chunk.len()) as u64 > cap {
            return Err(too_large(cap, "got more"));
        }
        let before = Instant::now();
        share.grow((body.len() + chunk.len()) as u64).await;
        deadline += before.elapsed();
        body.extend_from_slice(&chunk);
    }
    for encoding in encodings.iter().rev() {
        share.grow(body.len() as u64 * 2).await;
        body = timeout_at(deadline, decoded(&body, encoding, cap)).await.map_err(|_| timed_out())??;
        share.grow(body.len() as u64).await;
    }
    if body.is_empty() {
        return Err(SampleFailure::new(FailureKind::Empty, "the body is empty"));
    }
    Ok(body.into())
}

/// The encodings in the order they were applied.
fn encodings(response: &Response) -> Vec<String> {
    let values = response.headers().get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty() && name != "identity").collect()
}

async fn decoded(body: &[u8], encoding: &str, cap: u64) -> Result<Vec<u8>, SampleFailure> {
    match encoding {
        "gzip" | "x-gzip" => drained(GzipDecoder::new(body), encoding, cap).await,
        "deflate" => drained(ZlibDecoder::new(body), encoding, cap).await,
        "br" => drained(BrotliDecoder::new(body), encoding, cap).await,
        "zstd" => drained(ZstdDecoder::new(body), encoding, cap).await,
        other => {
            let message = format!("unknown content encoding `{}`", other.chars().take(40).collect::<String>());
            Err(SampleFailure::new(FailureKind::ContentEncoding, message))
        }
    }
}

async fn drained(decoder: impl AsyncRead + Unpin, encoding: &str, cap: u64) -> Result<Vec<u8>, SampleFailure> {
    let mut bytes = Vec::new();
    let read = decoder.take(cap + 1).read_to_end(&mut bytes).await;
    read.map_err(|e| SampleFailure::new(FailureKind::ContentEncoding, format!("cannot decode {encoding}: {e}")))?;
    if bytes.len() as u64 > cap { Err(too_large(cap, &format!("got more from {encoding}"))) } else { Ok(bytes) }
}

fn too_large(cap: u64, got: &str) -> SampleFailure {
    SampleFailure::new(FailureKind::TooLarge, format!("expected at most {cap} bytes, {got}"))
}

/// Once the head of an answer came, a broken connection means a truncated body.
fn broken(error: reqwest::Error) -> SampleFailure {
    if error.is_timeout() {
        return timed_out();
    }
    let failure = request_failure(&error);
    SampleFailure::new(FailureKind::TruncatedBody, format!("the body ended early: {}", failure.message))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn compressed_bodies_are_decoded() {
        assert_eq!(decoded(&gzip(b"picture"), "gzip", 100).await.unwrap(), b"picture");
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"picture").unwrap();
        assert_eq!(decoded(&zlib.finish().unwrap(), "deflate", 100).await.unwrap(), b"picture");
    }

    #[tokio::test]
    async fn a_small_body_that_unpacks_large_is_too_large() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert_eq!(decoded(&bomb, "gzip", 1000).await.unwrap_err().kind, FailureKind::TooLarge);
    }

    #[tokio::test]
    async fn damaged_and_unknown_encodings_are_told() {
        assert_eq!(decoded(b"nonsense", "gzip", 100).await.unwrap_err().kind, FailureKind::ContentEncoding);
        assert_eq!(decoded(b"x", "rot13", 100).await.unwrap_err().message, "unknown content encoding `rot13`");
    }
}
