//! PNG by the `png` crate, row by row: 16 bits become 8 as rows are read, so that a picture is held once. Profiles and
//! texts are skipped: nobody here reads them, and a few kilobytes of them can inflate to gigabytes.

use std::io::{Cursor, ErrorKind};

use ::png::{BitDepth, ColorType, Decoder, DecodingError, Reader, Transformations};

use super::cost::DecodeMemory;
use super::{Channels, Format, Grey16, ImageError, Limits, Picture};

/// Rows, tables and chunks that are kept; the pixels are not among them.
const MAX_INTERNAL_BYTES: usize = 64 << 20;

type Source<'a> = Reader<Cursor<&'a [u8]>>;

/// Size and memory by the header.
pub(super) fn read_header(bytes: &[u8], limits: &Limits) -> Result<(u32, u32, DecodeMemory), ImageError> {
    let reader = open(bytes, limits, Grey16::Clipped)?;
    let per_pixel = match reader.output_color_type() {
        (ColorType::Grayscale, BitDepth::Sixteen) => 3,
        (ColorType::GrayscaleAlpha, _) => 6,
        (colour, _) => colour.samples() as u64,
    };
    Ok((reader.info().width, reader.info().height, DecodeMemory::per_pixel(per_pixel)))
}

/// Decodes the default picture.
pub(super) fn decode(bytes: &[u8], limits: &Limits, grey: Grey16) -> Result<Picture, ImageError> {
    let mut reader = open(bytes, limits, grey)?;
    let (width, height) = (reader.info().width, reader.info().height);
    let size = reader.output_buffer_size().ok_or_else(|| malformed("more bytes than can be addressed"))?;
    let mut raw = vec![0; size];
    reader.next_frame(&mut raw).map_err(refused)?;
    let (channels, pixels) = match reader.output_color_type() {
        (ColorType::Grayscale, BitDepth::Sixteen) => (Channels::Luma, clipped(&raw)),
        (ColorType::Grayscale, _) => (Channels::Luma, raw),
        (ColorType::GrayscaleAlpha, _) => (Channels::Rgba, super::raster::spread_grey(&raw)),
        (ColorType::Rgb, _) => (Channels::Rgb, raw),
        (ColorType::Rgba, _) => (Channels::Rgba, raw),
        (other, _) => return Err(malformed(&format!("pixels of type {other:?}"))),
    };
    Ok(Picture { width, height, channels, pixels })
}

fn open<'a>(bytes: &'a [u8], limits: &Limits, grey: Grey16) -> Result<Source<'a>, ImageError> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), ::png::Limits { bytes: MAX_INTERNAL_BYTES });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refused)?;
    limits.check(header.width, header.height)?;
    let is_wide_grey = header.bit_depth == BitDepth::Sixteen && header.color_type == ColorType::Grayscale;
    let keeps_depth = is_wide_grey && grey == Grey16::Clipped;
    let strip = if keeps_depth { Transformations::IDENTITY } else { Transformations::STRIP_16 };
    decoder.set_transformations(Transformations::EXPAND | strip);
    decoder.read_info().map_err(refused)
}

fn clipped(raw: &[u8]) -> Vec<u8> {
    raw.chunks_exact(2).map(|two| if two[0] > 0 { u8::MAX } else { two[1] }).collect()
}

fn refused(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated { format: Format::Png }
        }
        error => malformed(&error.to_string()),
    }
}

fn malformed(reason: &str) -> ImageError {
    ImageError::Malformed { format: Format::Png, reason: reason.into() }
}
