//! Pixels to the bytes that a shard stores.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use shards::image::{Channels, Format, Picture, encode_jpeg};

use crate::failure::{FailureKind, SampleFailure};

/// The format of stored pictures; also the extension of their members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodeFormat {
    /// JPEG; quality 1 to 100.
    Jpg,
    /// PNG; "quality" is the compression level, 0 to 9.
    Png,
    /// WebP; quality 0 to 100, above 100 lossless.
    Webp,
}

impl EncodeFormat {
    /// The extension, and img2dataset's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }

    /// Whether a body of `format` is already in this format.
    pub fn is(self, format: Format) -> bool {
        matches!((self, format), (Self::Jpg, Format::Jpeg) | (Self::Png, Format::Png) | (Self::Webp, Format::WebP))
    }

    /// The quality where none is asked for: img2dataset's, and the usual effort of PNG encoders.
    pub fn default_quality(self) -> u8 {
        match self {
            Self::Jpg | Self::Webp => 95,
            Self::Png => 6,
        }
    }

    /// The qualities that the format knows.
    pub fn qualities(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Jpg => 1..=100,
            Self::Png => 0..=9,
            Self::Webp => 0..=u8::MAX,
        }
    }
}

impl FromStr for EncodeFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" => Ok(Self::Jpg),
            "png" => Ok(Self::Png),
            "webp" => Ok(Self::Webp),
            _ => Err(format!("unknown format `{text}` (expected jpg, png or webp)")),
        }
    }
}

impl std::fmt::Display for EncodeFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Encodes `picture`, which is gray or RGB. A PNG level above 9 means 9.
///
/// # Errors
/// A failure of kind `encode` when the format cannot hold the picture (WebP ends at 16383
/// pixels a side).
pub fn encode(picture: Picture, format: EncodeFormat, quality: u8) -> Result<Vec<u8>, SampleFailure> {
    match format {
        EncodeFormat::Jpg => encode_jpeg(&picture, quality).map_err(failure),
        EncodeFormat::Png => png(&picture, quality),
        EncodeFormat::Webp => webp(picture, quality),
    }
}

fn png(picture: &Picture, level: u8) -> Result<Vec<u8>, SampleFailure> {
    let color = match picture.channels {
        Channels::Luma => ExtendedColorType::L8,
        Channels::Rgb => ExtendedColorType::Rgb8,
        Channels::Rgba => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(
        &mut bytes,
        CompressionType::Level(level.min(*EncodeFormat::Png.qualities().end())),
        FilterType::Adaptive,
    );
    encoder.write_image(&picture.pixels, picture.width, picture.height, color).map_err(failure)?;
    Ok(bytes)
}

fn webp(picture: Picture, quality: u8) -> Result<Vec<u8>, SampleFailure> {
    let picture = picture.into_rgb();
    let encoder = webp::Encoder::from_rgb(&picture.pixels, picture.width, picture.height);
    let lossless = quality > 100;
    let encoded = encoder.encode_simple(lossless, f32::from(quality.min(100)));
    encoded.map(|memory| memory.to_vec()).map_err(|e| failure(format!("{e:?}")))
}

fn failure(reason: impl std::fmt::Display) -> SampleFailure {
    SampleFailure::new(FailureKind::Encode, reason.to_string())
}

#[cfg(test)]
mod tests {
    use shards::image::{JpegScale, Limits, decode_rgb, sniff};

    use super::*;

    fn picture() -> Picture {
        let pixels = (0..16 * 8).flat_map(|i: u32| [(i % 16 * 16) as u8, (i / 16 * 30) as u8, 128]).collect();
        Picture { width: 16, height: 8, channels: Channels::Rgb, pixels }
    }

    #[test]
    fn each_format_encodes_what_it_says() {
        for (format, quality) in [(EncodeFormat::Jpg, 95), (EncodeFormat::Png, 9), (EncodeFormat::Webp, 95)] {
            let bytes = encode(picture(), format, quality).unwrap();
            assert!(format.is(sniff(&bytes).unwrap()), "{format}");
            let back = decode_rgb(&bytes, &Limits::default(), JpegScale::Full).unwrap();
            assert_eq!((back.width, back.height), (16, 8));
            let distance: u32 = back.pixels.iter().zip(&picture().pixels).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            assert!(distance / 384 < 12, "{format}: {distance}");
        }
    }

    #[test]
    fn png_and_high_webp_qualities_are_lossless() {
        for (format, quality) in [(EncodeFormat::Png, 0), (EncodeFormat::Png, 6), (EncodeFormat::Webp, 101)] {
            let bytes = encode(picture(), format, quality).unwrap();
            assert_eq!(decode_rgb(&bytes, &Limits::default(), JpegScale::Full).unwrap().pixels, picture().pixels);
        }
    }
}
