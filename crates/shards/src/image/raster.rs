//! The formats other than JPEG, decoded by the `image` crate.

use std::io::Cursor;

use ::image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use ::image::error::ImageError as DecoderError;
use ::image::{ColorType, ImageDecoder, ImageResult};

use super::{Channels, Format, ImageError, Limits, Picture};

/// Width and height by the header.
pub(super) fn read_size(bytes: &[u8], format: Format, limits: &Limits) -> Result<(u32, u32), ImageError> {
    Ok(open(bytes, format, limits)?.dimensions())
}

/// Decodes the first frame.
pub(super) fn decode(bytes: &[u8], format: Format, limits: &Limits) -> Result<Picture, ImageError> {
    let decoder = open(bytes, format, limits)?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let colour = decoder.color_type();
    let mut raw = vec![0; usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX)];
    decoder.read_image(&mut raw).map_err(|e| refused(format, &e))?;
    let (channels, pixels) = to_eight_bits(format, colour, raw)?;
    Ok(Picture { width, height, channels, pixels })
}

/// Decoders that allocate before they know the size are told what they may use: eight bytes a
/// pixel, twice for a canvas behind the frame, and some for tables.
fn open<'a>(bytes: &'a [u8], format: Format, limits: &Limits) -> Result<Box<dyn ImageDecoder + 'a>, ImageError> {
    let mut allocation = ::image::Limits::no_limits();
    allocation.max_alloc = Some(limits.max_pixels.saturating_mul(16).saturating_add(1 << 20));
    let decoder = decoder(Cursor::new(bytes), format).map_err(|e| refused(format, &e))?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let mut decoder = decoder;
    decoder.set_limits(allocation).map_err(|e| refused(format, &e))?;
    Ok(decoder)
}

fn decoder<'a>(source: Cursor<&'a [u8]>, format: Format) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(match format {
        Format::Png => Box::new(PngDecoder::new(source)?),
        Format::WebP => Box::new(WebPDecoder::new(source)?),
        Format::Gif => Box::new(GifDecoder::new(source)?),
        Format::Bmp => Box::new(BmpDecoder::new(source)?),
        Format::Tiff => Box::new(TiffDecoder::new(source)?),
        Format::Jpeg => Box::new(::image::codecs::jpeg::JpegDecoder::new(source)?),
    })
}

fn refused(format: Format, error: &DecoderError) -> ImageError {
    match error {
        DecoderError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => ImageError::Truncated { format },
        _ => ImageError::Malformed { format, reason: error.to_string() },
    }
}

fn to_eight_bits(format: Format, colour: ColorType, raw: Vec<u8>) -> Result<(Channels, Vec<u8>), ImageError> {
    let wide = |raw: &[u8]| raw.chunks_exact(2).map(|two| u16::from_ne_bytes([two[0], two[1]])).collect::<Vec<_>>();
    let high = |raw: &[u8]| wide(raw).into_iter().map(|value| (value >> 8) as u8).collect::<Vec<_>>();
    Ok(match colour {
        ColorType::L8 => (Channels::Luma, raw),
        ColorType::Rgb8 => (Channels::Rgb, raw),
        ColorType::Rgba8 => (Channels::Rgba, raw),
        ColorType::La8 => (Channels::Rgba, spread_grey(&raw)),
        ColorType::L16 => (Channels::Luma, wide(&raw).into_iter().map(|value| value.min(255) as u8).collect()),
        ColorType::La16 => (Channels::Rgba, spread_grey(&high(&raw))),
        ColorType::Rgb16 => (Channels::Rgb, high(&raw)),
        ColorType::Rgba16 => (Channels::Rgba, high(&raw)),
        other => return Err(ImageError::Malformed { format, reason: format!("pixels of type {other:?}") }),
    })
}

fn spread_grey(luma_alpha: &[u8]) -> Vec<u8> {
    luma_alpha.chunks_exact(2).flat_map(|two| [two[0], two[0], two[0], two[1]]).collect()
}
