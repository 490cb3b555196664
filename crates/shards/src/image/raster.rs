//! The formats other than JPEG and PNG, decoded by the `image` crate.

use std::io::Cursor;

use ::image::codecs::{bmp::BmpDecoder, gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use ::image::error::ImageError as DecoderError;
use ::image::{ColorType, ImageDecoder, ImageResult};

use super::cost::DecodeMemory;
use super::{Channels, Format, Grey16, ImageError, Limits, Picture, webp_frame};

/// Tables and rows of a decoder, beside its pixels.
const INTERNAL_BYTES: u64 = 1 << 20;

/// Width, height and memory by the header.
pub(super) fn read_header(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
) -> Result<(u32, u32, DecodeMemory), ImageError> {
    let opened = open(bytes, format, limits)?;
    let (width, height) = opened.decoder.dimensions();
    Ok((width, height, opened.memory))
}

/// Decodes the first frame.
pub(super) fn decode(bytes: &[u8], format: Format, limits: &Limits, grey: Grey16) -> Result<Picture, ImageError> {
    let Opened { mut decoder, memory } = open(bytes, format, limits)?;
    let (width, height) = decoder.dimensions();
    let colour = decoder.color_type();
    let mut allocation = ::image::Limits::no_limits();
    // Some decoders allocate before they compare a frame with its canvas.
    let pixels = u64::from(width) * u64::from(height);
    allocation.max_alloc = Some(pixels.saturating_mul(memory.per_pixel).saturating_add(INTERNAL_BYTES));
    decoder.set_limits(allocation).map_err(|e| refused(format, &e))?;
    let mut raw = vec![0; usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX)];
    decoder.read_image(&mut raw).map_err(|e| refused(format, &e))?;
    let (channels, pixels) = to_eight_bits(format, colour, raw, grey)?;
    Ok(Picture { width, height, channels, pixels })
}

/// A decoder that has read its header, and nothing that is larger.
struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    memory: DecodeMemory,
}

fn open<'a>(bytes: &'a [u8], format: Format, limits: &Limits) -> Result<Opened<'a>, ImageError> {
    let decoder = decoder(Cursor::new(bytes), format).map_err(|e| refused(format, &e))?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let colour = decoder.color_type();
    if !is_known(colour) {
        return Err(malformed(format, format!("pixels of type {colour:?}")));
    }
    let memory = match format {
        Format::WebP => webp_memory(bytes, (width, height))?,
        _ => memory(format, colour),
    };
    Ok(Opened { decoder, memory })
}

/// A lossy bitstream is decoded whole before its size is compared with that of the canvas, so it is compared here.
fn webp_memory(bytes: &[u8], (width, height): (u32, u32)) -> Result<DecodeMemory, ImageError> {
    let frame = webp_frame::Frame::read(bytes);
    match frame.lossy_size {
        Some((inner_width, inner_height)) if inner_width > width || inner_height > height => {
            let reason = format!("a frame of {inner_width}x{inner_height} on a canvas of {width}x{height}");
            Err(malformed(Format::WebP, reason))
        }
        _ => Ok(frame.memory()),
    }
}

fn memory(format: Format, colour: ColorType) -> DecodeMemory {
    let stored = u64::from(colour.bytes_per_pixel());
    DecodeMemory::per_pixel(match format {
        // The canvas, a frame that does not fill it, and its indices.
        Format::Gif => 4 + 4 + 1,
        // What was stored (CMYK has a channel more), a strip on its way there, the copy that leaves, and its 8 bits.
        Format::Tiff => stored * 4 + 4,
        _ => stored,
    })
}

fn is_known(colour: ColorType) -> bool {
    use ColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    matches!(colour, L8 | L16 | La8 | La16 | Rgb8 | Rgb16 | Rgba8 | Rgba16)
}

fn decoder<'a>(source: Cursor<&'a [u8]>, format: Format) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(match format {
        Format::Png => Box::new(::image::codecs::png::PngDecoder::new(source)?),
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
        _ => malformed(format, error.to_string()),
    }
}

fn malformed(format: Format, reason: String) -> ImageError {
    ImageError::Malformed { format, reason }
}

fn to_eight_bits(
    format: Format,
    colour: ColorType,
    raw: Vec<u8>,
    grey: Grey16,
) -> Result<(Channels, Vec<u8>), ImageError> {
    let wide = |raw: &[u8], narrow: fn(u16) -> u8| {
        raw.chunks_exact(2).map(|two| narrow(u16::from_ne_bytes([two[0], two[1]]))).collect::<Vec<_>>()
    };
    let high = |raw: &[u8]| wide(raw, |value| (value >> 8) as u8);
    Ok(match colour {
        ColorType::L8 => (Channels::Luma, raw),
        ColorType::Rgb8 => (Channels::Rgb, raw),
        ColorType::Rgba8 => (Channels::Rgba, raw),
        ColorType::La8 => (Channels::Rgba, spread_grey(&raw)),
        ColorType::L16 if grey == Grey16::Clipped => (Channels::Luma, wide(&raw, |value| value.min(255) as u8)),
        ColorType::L16 => (Channels::Luma, high(&raw)),
        ColorType::La16 => (Channels::Rgba, spread_grey(&high(&raw))),
        ColorType::Rgb16 => (Channels::Rgb, high(&raw)),
        ColorType::Rgba16 => (Channels::Rgba, high(&raw)),
        other => return Err(malformed(format, format!("pixels of type {other:?}"))),
    })
}

/// Brightness and opacity as red, green, blue and opacity.
pub(super) fn spread_grey(luma_alpha: &[u8]) -> Vec<u8> {
    luma_alpha.chunks_exact(2).flat_map(|two| [two[0], two[0], two[0], two[1]]).collect()
}
