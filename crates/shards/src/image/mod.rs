//! Pictures as the downloader and the loader both need them: recognised by their first bytes,
//! measured before they are decoded, decoded to 8 bits, encoded as JPEG.
//!
//! Each side resizes by rules of its own; the mean over areas is here, with the other loops that go over every pixel.
//! Orientation tags and colour profiles are ignored, as open_clip ignores them.

mod area;
mod cost;
mod decoder;
mod error;
mod jpeg;
mod jpeg_frame;
mod png;
mod raster;
mod webp_frame;

use std::fmt;

pub use area::resize_by_area;
pub use cost::DecodeMemory;
pub use decoder::{Decoder, RgbView};
pub use error::ImageError;
pub use jpeg_frame::before_scan;

/// The formats that are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG.
    Png,
    /// WebP; of an animation the first frame.
    WebP,
    /// GIF; of an animation the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF; of several pages the first.
    Tiff,
}

impl Format {
    /// The usual file extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

/// What a header may announce; checked before anything is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width times height.
    pub max_pixels: u64,
    /// Largest width and largest height.
    pub max_side: u32,
}

impl Default for Limits {
    /// The pixels at which Pillow refuses, and JPEG's longest side.
    fn default() -> Self {
        Self { max_pixels: 178_956_970, max_side: 65_535 }
    }
}

impl Limits {
    fn check(&self, width: u32, height: u32) -> Result<(), ImageError> {
        let fits = u64::from(width) * u64::from(height) <= self.max_pixels && width.max(height) <= self.max_side;
        let too_large = ImageError::TooLarge { width, height, max_pixels: self.max_pixels, max_side: self.max_side };
        if fits { Ok(()) } else { Err(too_large) }
    }
}

/// What a picture says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// The format by its first bytes, whatever it is called.
    pub format: Format,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What decoding it takes.
    pub memory: DecodeMemory,
}

/// Reduction of a JPEG while it is decoded; other formats ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JpegScale {
    /// As it is.
    Full,
    /// 1/2 of each side.
    Half,
    /// 1/4 of each side.
    Quarter,
    /// 1/8 of each side.
    Eighth,
}

impl JpegScale {
    /// The length of a side after the reduction, rounded up.
    pub fn apply(self, side: u32) -> u32 {
        side.div_ceil(self.denominator())
    }

    fn denominator(self) -> u32 {
        match self {
            Self::Full => 1,
            Self::Half => 2,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }
}

/// What the bytes of one pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One byte of brightness.
    Luma,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, opacity.
    Rgba,
}

impl Channels {
    /// Bytes per pixel.
    pub fn count(self) -> usize {
        match self {
            Self::Luma => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// A decoded picture, 8 bits a channel, rows from the top, channels interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What the bytes of a pixel are.
    pub channels: Channels,
    /// `width * height * channels.count()` bytes.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// As Pillow's `convert("RGB")`: brightness repeated, opacity dropped without compositing.
    pub fn into_rgb(self) -> RgbImage {
        let pixels = match self.channels {
            Channels::Luma => self.pixels.iter().flat_map(|luma| [*luma; 3]).collect(),
            Channels::Rgb => self.pixels,
            Channels::Rgba => self.pixels.chunks_exact(4).flat_map(|rgba| [rgba[0], rgba[1], rgba[2]]).collect(),
        };
        RgbImage { width: self.width, height: self.height, pixels }
    }
}

/// A picture of three channels, `[height, width, 3]`, 8 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub pixels: Vec<u8>,
}

impl RgbImage {
    /// The picture where it is.
    pub fn view(&self) -> RgbView<'_> {
        RgbView { width: self.width, height: self.height, pixels: &self.pixels }
    }
}

impl From<RgbImage> for Picture {
    fn from(rgb: RgbImage) -> Self {
        Self { width: rgb.width, height: rgb.height, channels: Channels::Rgb, pixels: rgb.pixels }
    }
}

/// The format of `bytes` by how they begin.
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    let is_webp = bytes.len() >= 12 && bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WEBP";
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'B', b'M', ..] => Some(Format::Bmp),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Format::Tiff),
        _ if is_webp => Some(Format::WebP),
        _ => None,
    }
}

/// Format and size, read without decoding.
///
/// # Errors
/// When the format is unknown, the header is broken, or the size is beyond `limits`.
pub fn read_header(bytes: &[u8], limits: &Limits) -> Result<ImageHeader, ImageError> {
    let format = recognise(bytes)?;
    let (width, height, memory) = match format {
        Format::Jpeg => jpeg::read_header(bytes)?,
        Format::Png => png::read_header(bytes, limits)?,
        _ => raster::read_header(bytes, format, limits)?,
    };
    limits.check(width, height)?;
    Ok(ImageHeader { format, width, height, memory })
}

/// Decodes to 8 bits. Grey stays [`Channels::Luma`] and opacity stays [`Channels::Rgba`]; CMYK
/// becomes RGB as Pillow converts it. Pictures of 16 bits keep their high bytes.
///
/// # Errors
/// Those of [`read_header`], and when Pillow would not decode the bytes either: a JPEG with
/// damage in its scan decodes with a warning only, one that is cut short does not.
pub fn decode(bytes: &[u8], limits: &Limits, scale: JpegScale) -> Result<Picture, ImageError> {
    decode_as(bytes, limits, scale, Grey16::Scaled)
}

/// Decodes as Pillow's `convert("RGB")`: [`decode`], then [`Picture::into_rgb`], but for 16-bit grey, which is clipped at
/// 255.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_rgb(bytes: &[u8], limits: &Limits, scale: JpegScale) -> Result<RgbImage, ImageError> {
    decode_as(bytes, limits, scale, Grey16::Clipped).map(Picture::into_rgb)
}

/// What becomes of grey values above 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grey16 {
    /// The largest is white.
    Scaled,
    /// They are white, as Pillow has them.
    Clipped,
}

fn decode_as(bytes: &[u8], limits: &Limits, scale: JpegScale, grey: Grey16) -> Result<Picture, ImageError> {
    match recognise(bytes)? {
        Format::Jpeg => jpeg::decode(bytes, limits, scale, &mut Vec::new()),
        Format::Png => png::decode(bytes, limits, grey),
        format => raster::decode(bytes, format, limits, grey),
    }
}

/// Encodes as baseline JPEG: brightness as one component, colour as 4:2:0; opacity is dropped.
/// `quality` is libjpeg's, 1 to 100.
///
/// # Errors
/// When the picture has no pixels, too many for JPEG, or fewer bytes than its size asks for.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, ImageError> {
    jpeg::encode(picture, quality)
}

fn recognise(bytes: &[u8]) -> Result<Format, ImageError> {
    let unknown = || match sniff_unsupported(bytes) {
        Some(name) => ImageError::Unsupported { name },
        None => ImageError::UnknownFormat { start: bytes[..bytes.len().min(12)].escape_ascii().to_string() },
    };
    sniff(bytes).ok_or_else(unknown)
}

/// The name of a picture format that is known and not decoded.
fn sniff_unsupported(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.first_chunk::<4>()? {
            b"avif" | b"avis" => Some("AVIF"),
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => Some("HEIF"),
            _ => None,
        },
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => Some("JPEG 2000"),
        [0, 0, 1, 0, _, 0, ..] => Some("ICO"),
        [b'8', b'B', b'P', b'S', ..] => Some("PSD"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(channels: Channels) -> Picture {
        let pixels = (0..16 * 8 * channels.count()).map(|i| (i * 7 % 251) as u8).collect();
        Picture { width: 16, height: 8, channels, pixels }
    }

    fn jpeg(channels: Channels) -> Vec<u8> {
        encode_jpeg(&picture(channels), 95).unwrap()
    }

    fn png(picture: &Picture, colour: ::image::ExtendedColorType) -> Vec<u8> {
        use ::image::ImageEncoder;
        let mut bytes = Vec::new();
        let encoder = ::image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.write_image(&picture.pixels, picture.width, picture.height, colour).unwrap();
        bytes
    }

    #[test]
    fn jpegs_keep_size_and_channels() {
        for channels in [Channels::Luma, Channels::Rgb] {
            let bytes = jpeg(channels);
            let header = read_header(&bytes, &Limits::default()).unwrap();
            assert_eq!((header.format, header.width, header.height), (Format::Jpeg, 16, 8));
            let decoded = decode(&bytes, &Limits::default(), JpegScale::Full).unwrap();
            assert_eq!((decoded.width, decoded.height, decoded.channels), (16, 8, channels));
        }
        let dropped = decode(&jpeg(Channels::Rgba), &Limits::default(), JpegScale::Full).unwrap();
        assert_eq!(dropped.channels, Channels::Rgb);
    }

    #[test]
    fn a_reduced_jpeg_has_sides_rounded_up() {
        let mut odd = picture(Channels::Rgb);
        (odd.width, odd.pixels) = (15, odd.pixels[..15 * 8 * 3].to_vec());
        let bytes = encode_jpeg(&odd, 90).unwrap();
        for (scale, size) in [(JpegScale::Half, (8, 4)), (JpegScale::Quarter, (4, 2)), (JpegScale::Eighth, (2, 1))] {
            let reduced = decode_rgb(&bytes, &Limits::default(), scale).unwrap();
            assert_eq!((reduced.width, reduced.height), size);
            assert_eq!((scale.apply(15), scale.apply(8)), size);
        }
    }

    #[test]
    fn a_jpeg_without_its_end_is_refused() {
        let bytes = jpeg(Channels::Rgb);
        for kept in [bytes.len() * 7 / 10, bytes.len() - 2] {
            let error = decode(&bytes[..kept], &Limits::default(), JpegScale::Full).unwrap_err();
            assert_eq!(error.kind(), "truncated", "{error}");
        }
    }

    #[test]
    fn damage_in_the_scan_and_trailing_bytes_are_accepted() {
        let mut large = picture(Channels::Rgb);
        (large.width, large.height) = (160, 160);
        large.pixels = (0..160 * 160 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut bytes = encode_jpeg(&large, 95).unwrap();
        bytes.extend_from_slice(b"trailing");
        assert!(decode(&bytes, &Limits::default(), JpegScale::Full).is_ok());
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        assert!(decode(&bytes, &Limits::default(), JpegScale::Full).is_ok());
    }

    #[test]
    fn a_header_beyond_the_limits_is_refused_before_decoding() {
        for bytes in [jpeg(Channels::Rgb), png(&picture(Channels::Rgb), ::image::ExtendedColorType::Rgb8)] {
            for limits in
                [Limits { max_pixels: 100, ..Limits::default() }, Limits { max_side: 15, ..Limits::default() }]
            {
                assert_eq!(decode(&bytes, &limits, JpegScale::Full).unwrap_err().kind(), "too_large");
                assert_eq!(read_header(&bytes, &limits).unwrap_err().kind(), "too_large");
            }
        }
    }

    #[test]
    fn png_keeps_opacity_and_rgb_drops_it() {
        let original = picture(Channels::Rgba);
        let bytes = png(&original, ::image::ExtendedColorType::Rgba8);
        assert_eq!(decode(&bytes, &Limits::default(), JpegScale::Full).unwrap(), original);
        let rgb = decode_rgb(&bytes, &Limits::default(), JpegScale::Eighth).unwrap();
        assert_eq!(rgb.pixels[..3], original.pixels[..3]);
        assert_eq!(rgb.pixels[3..6], original.pixels[4..7]);
    }

    #[test]
    fn sixteen_bit_grey_is_scaled_and_clipped_where_pillow_clips_it() {
        let wide = [100u16, 300, 65_535, 0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        let wide = Picture { width: 2, height: 2, channels: Channels::Luma, pixels: wide };
        let bytes = png(&wide, ::image::ExtendedColorType::L16);
        assert_eq!(decode(&bytes, &Limits::default(), JpegScale::Full).unwrap().pixels, [0, 1, 255, 0]);
        let clipped = decode_rgb(&bytes, &Limits::default(), JpegScale::Full).unwrap();
        assert_eq!(clipped.pixels, [[100; 3], [255; 3], [255; 3], [0; 3]].concat());
    }

    #[test]
    fn orientation_and_colour_profile_are_left_to_the_caller() {
        let plain = jpeg(Channels::Rgb);
        let mut exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0".to_vec();
        // One entry: orientation (0x112), a short, 6: turned by a quarter.
        exif.extend(b"\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        let profile = b"\xff\xe2\0\x14ICC_PROFILE\0\x01\x01none";
        let bytes = [&plain[..2], &exif, profile, &plain[2..]].concat();
        let picture = decode(&bytes, &Limits::default(), JpegScale::Full).unwrap();
        assert_eq!(picture, decode(&plain, &Limits::default(), JpegScale::Full).unwrap());
    }

    #[test]
    fn a_profile_that_inflates_is_skipped() {
        let original = picture(Channels::Rgb);
        let mut bytes = png(&original, ::image::ExtendedColorType::Rgb8);
        let mut inflating = b"iCCPicc\0\0".to_vec();
        let mut writer = flate2::write::ZlibEncoder::new(&mut inflating, flate2::Compression::best());
        std::io::Write::write_all(&mut writer, &vec![0; 80 << 20]).unwrap();
        drop(writer);
        let length = (inflating.len() as u32 - 4).to_be_bytes();
        let mut crc = flate2::Crc::new();
        crc.update(&inflating);
        let chunk = [&length[..], &inflating, &crc.sum().to_be_bytes()].concat();
        bytes.splice(33..33, chunk);
        assert_eq!(decode(&bytes, &Limits::default(), JpegScale::Full).unwrap(), original);
    }

    #[test]
    fn formats_that_are_not_decoded_are_named() {
        let avif = b"\0\0\0\x20ftypavif\0\0\0\0";
        assert_eq!(read_header(avif, &Limits::default()), Err(ImageError::Unsupported { name: "AVIF" }));
    }

    #[test]
    fn text_is_no_picture() {
        let error = decode(b"<html><body>", &Limits::default(), JpegScale::Full).unwrap_err();
        assert_eq!(error.kind(), "unknown_format");
        assert!(error.to_string().contains("<html>"), "{error}");
        assert_eq!(sniff(b""), None);
    }
}
