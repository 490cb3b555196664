//! Pixels to other sizes. Shrinking averages over the area of a target pixel (`Area`, a box
//! filter, close to OpenCV's INTER_AREA); enlarging uses Lanczos with three lobes by default.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shards::image::{Channels, Picture};

use crate::failure::{FailureKind, SampleFailure};
use crate::resize_mode::{Placement, Size};

/// How new pixels are computed from old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// A triangle.
    Linear,
    /// Catmull and Rom's cubic.
    Cubic,
    /// The mean over the area.
    Area,
    /// A windowed sinc of three lobes.
    Lanczos,
}

impl Interpolation {
    /// img2dataset's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Linear => "linear",
            Self::Cubic => "cubic",
            Self::Area => "area",
            Self::Lanczos => "lanczos",
        }
    }

    fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Linear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::Cubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Area => ResizeAlg::Convolution(FilterType::Box),
            Self::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}

impl FromStr for Interpolation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "nearest" => Ok(Self::Nearest),
            "linear" | "bilinear" => Ok(Self::Linear),
            "cubic" | "bicubic" => Ok(Self::Cubic),
            "area" => Ok(Self::Area),
            "lanczos" | "lanczos4" => Ok(Self::Lanczos),
            _ => Err(format!("unknown interpolation `{text}` (expected nearest, linear, cubic, area or lanczos)")),
        }
    }
}

impl std::fmt::Display for Interpolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Brings `picture` (gray or RGB) to `size`.
///
/// # Errors
/// An internal failure when the pixels do not fill the picture.
pub fn resize(picture: &Picture, size: Size, interpolation: Interpolation) -> Result<Picture, SampleFailure> {
    if (picture.width, picture.height) == (size.width, size.height) {
        return Ok(picture.clone());
    }
    let kind = match picture.channels {
        Channels::Luma => PixelType::U8,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba => PixelType::U8x4,
    };
    let source = ImageRef::new(picture.width, picture.height, &picture.pixels, kind).map_err(internal)?;
    let mut target = Image::new(size.width, size.height, kind);
    let options = ResizeOptions::new().resize_alg(interpolation.algorithm());
    Resizer::new().resize(&source, &mut target, &options).map_err(internal)?;
    let pixels = target.into_vec();
    Ok(Picture { width: size.width, height: size.height, channels: picture.channels, pixels })
}

/// Cuts the rectangle of `placement` out of `picture`, which must contain it.
///
/// # Errors
/// An internal failure when the rectangle leaves the picture.
pub fn crop(picture: &Picture, placement: Placement) -> Result<Picture, SampleFailure> {
    let Placement { size, left, top } = placement;
    let depth = picture.channels.count();
    let (stride, length) = (picture.width as usize * depth, size.width as usize * depth);
    let mut pixels = Vec::with_capacity(length * size.height as usize);
    for row in 0..size.height as usize {
        let start = (top as usize + row) * stride + left as usize * depth;
        let line = picture.pixels.get(start..start + length).filter(|_| left + size.width <= picture.width);
        pixels.extend_from_slice(line.ok_or_else(|| internal("crop outside of the picture"))?);
    }
    Ok(Picture { width: size.width, height: size.height, channels: picture.channels, pixels })
}

/// Puts `picture` on white, `placement.left` and `placement.top` from the corner.
///
/// # Errors
/// An internal failure when the picture is larger than the white.
pub fn pad(picture: &Picture, placement: Placement) -> Result<Picture, SampleFailure> {
    let Placement { size, left, top } = placement;
    if left + picture.width > size.width || top + picture.height > size.height {
        return Err(internal("picture larger than its border"));
    }
    let depth = picture.channels.count();
    let (stride, length) = (size.width as usize * depth, picture.width as usize * depth);
    let mut pixels = vec![255; stride * size.height as usize];
    for (row, line) in picture.pixels.chunks_exact(length).enumerate() {
        let start = (top as usize + row) * stride + left as usize * depth;
        pixels[start..start + length].copy_from_slice(line);
    }
    Ok(Picture { width: size.width, height: size.height, channels: picture.channels, pixels })
}

fn internal(reason: impl std::fmt::Display) -> SampleFailure {
    SampleFailure::new(FailureKind::Internal, format!("cannot resize: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: u32, height: u32, pixel: impl Fn(u32, u32) -> u8) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
        Picture { width, height, channels: Channels::Luma, pixels }
    }

    #[test]
    fn shrinking_by_two_is_the_mean_of_four() {
        let picture = gray(4, 2, |x, y| (x * 40 + y * 20) as u8);
        let half = resize(&picture, Size::new(2, 1), Interpolation::Area).unwrap();
        assert_eq!(half.pixels, [30, 110]);
    }

    /// The mean over the area of each target pixel, parts of source pixels weighed by their part.
    fn exact_area(picture: &Picture, size: Size) -> Vec<f64> {
        let span = |target: u32, from: u32, to: u32| {
            let scale = f64::from(from) / f64::from(to);
            let (start, end) = (f64::from(target) * scale, f64::from(target + 1) * scale);
            (start as u32..(end.ceil() as u32).min(from))
                .map(move |i| (i, (end.min(f64::from(i + 1)) - start.max(f64::from(i))) / scale))
        };
        let place = |x: u32, y: u32| {
            let rows = span(y, picture.height, size.height);
            rows.flat_map(|(row, part)| span(x, picture.width, size.width).map(move |(c, p)| (row, c, part * p)))
                .map(|(row, column, part)| part * f64::from(picture.pixels[(row * picture.width + column) as usize]))
                .sum()
        };
        (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y))).map(|(x, y)| place(x, y)).collect()
    }

    #[test]
    fn area_is_close_to_the_exact_mean() {
        let wave = |x: u32, y: u32| {
            let (x, y) = (f64::from(x), f64::from(y));
            (128.0 + 60.0 * (x / 7.0).sin() * (y / 5.0).cos() + 60.0 * (x * y / 900.0).sin()) as u8
        };
        let picture = gray(300, 225, wave);
        for width in [256, 192, 128, 100, 64, 41] {
            let size = Size::new(width, width * 3 / 4);
            let found = resize(&picture, size, Interpolation::Area).unwrap();
            let exact = exact_area(&picture, size);
            let sum: f64 = exact.iter().zip(&found.pixels).map(|(a, b)| (a - f64::from(*b)).abs()).sum();
            let mean = sum / exact.len() as f64;
            // At 256 of 300 a box filter takes one pixel or two, where the exact mean takes parts of them.
            assert!(mean < 2.5, "{width}: {mean}");
        }
    }

    #[test]
    fn a_flat_picture_stays_flat() {
        for interpolation in
            [Interpolation::Nearest, Interpolation::Linear, Interpolation::Area, Interpolation::Lanczos]
        {
            let larger = resize(&gray(5, 3, |_, _| 77), Size::new(31, 17), interpolation).unwrap();
            assert!(larger.pixels.iter().all(|pixel| *pixel == 77), "{interpolation}");
        }
    }

    #[test]
    fn crop_and_pad_are_inverse() {
        let picture = gray(3, 2, |x, y| (x + 10 * y) as u8);
        let placement = Placement { size: Size::new(6, 5), left: 1, top: 2 };
        let padded = pad(&picture, placement).unwrap();
        assert_eq!(padded.pixels.iter().filter(|pixel| **pixel == 255).count(), 24);
        let back = crop(&padded, Placement { size: Size::new(3, 2), left: 1, top: 2 }).unwrap();
        assert_eq!(back.pixels, picture.pixels);
    }

    #[test]
    fn a_crop_outside_is_a_failure() {
        let placement = Placement { size: Size::new(3, 2), left: 1, top: 0 };
        assert_eq!(crop(&gray(3, 2, |_, _| 0), placement).unwrap_err().kind, FailureKind::Internal);
        let placement = Placement { size: Size::new(2, 2), left: 1, top: 0 };
        assert_eq!(pad(&gray(2, 2, |_, _| 0), placement).unwrap_err().kind, FailureKind::Internal);
    }
}
