//! Pixels to other sizes, as OpenCV has it: `Area` is the mean over the area of a target pixel, the others interpolate
//! between the pixels around a place, without smoothing when they shrink.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{Filter, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shards::image::{Channels, Picture, resize_by_area};

use crate::failure::{FailureKind, SampleFailure};
use crate::resize_mode::{Placement, Size};

/// How new pixels are computed from old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The pixel at the place, OpenCV's INTER_NEAREST.
    Nearest,
    /// Between two pixels across and two down.
    Linear,
    /// Four pixels each way, Keys' cubic with OpenCV's -0.75.
    Cubic,
    /// The mean over the area.
    Area,
    /// Eight pixels each way, OpenCV's INTER_LANCZOS4.
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

/// Brings `picture` to `size`.
///
/// # Errors
/// An internal failure when the pixels do not fill the picture.
pub fn resize(picture: &Picture, size: Size, interpolation: Interpolation) -> Result<Picture, SampleFailure> {
    if (picture.width, picture.height) == (size.width, size.height) {
        return Ok(picture.clone());
    }
    let depth = picture.channels.count();
    let holds = |size: Size| size.width as usize * size.height as usize * depth;
    let source = Size::new(picture.width, picture.height);
    if holds(source) != picture.pixels.len() || holds(source) == 0 || holds(size) == 0 {
        return Err(internal("the pixels do not fill the picture"));
    }
    let pixels = match interpolation {
        Interpolation::Area => resize_by_area(picture, size.width, size.height),
        Interpolation::Nearest => nearest(picture, size),
        Interpolation::Linear => interpolated(picture, size, FilterType::Bilinear)?,
        Interpolation::Cubic => interpolated(picture, size, custom("cubic", cubic, 2.0)?)?,
        Interpolation::Lanczos => interpolated(picture, size, custom("lanczos4", lanczos4, 4.0)?)?,
    };
    Ok(Picture { width: size.width, height: size.height, channels: picture.channels, pixels })
}

/// Bytes that [`resize`] holds beside its input, its result among them.
pub fn resize_cost(from: Size, to: Size, depth: u64) -> u64 {
    let (width, height) = (u64::from(to.width), u64::from(to.height));
    // Rows of sums for `Area`, columns already resized for the others, and shares.
    let between = (u64::from(from.width) * 4).max(width * u64::from(from.height));
    (width * height + between) * depth + (width + height + u64::from(from.width) + u64::from(from.height)) * 64
}

fn nearest(picture: &Picture, size: Size) -> Vec<u8> {
    let depth = picture.channels.count();
    let place = |target: u32, from: u32, to: u32| u64::from(target) * u64::from(from) / u64::from(to);
    let columns: Vec<usize> = (0..size.width).map(|x| place(x, picture.width, size.width) as usize * depth).collect();
    let mut pixels = Vec::with_capacity(size.width as usize * size.height as usize * depth);
    for y in 0..size.height {
        let row = &picture.pixels[place(y, picture.height, size.height) as usize * picture.width as usize * depth..];
        columns.iter().for_each(|column| pixels.extend_from_slice(&row[*column..column + depth]));
    }
    pixels
}

fn interpolated(picture: &Picture, size: Size, filter: FilterType) -> Result<Vec<u8>, SampleFailure> {
    let kind = match picture.channels {
        Channels::Luma => PixelType::U8,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba => PixelType::U8x4,
    };
    let source = ImageRef::new(picture.width, picture.height, &picture.pixels, kind).map_err(internal)?;
    let mut target = Image::new(size.width, size.height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(filter)).use_alpha(false);
    Resizer::new().resize(&source, &mut target, &options).map_err(internal)?;
    Ok(target.into_vec())
}

fn custom(name: &'static str, weight: fn(f64) -> f64, support: f64) -> Result<FilterType, SampleFailure> {
    Filter::new(name, weight, support).map(FilterType::Custom).map_err(internal)
}

/// Keys' cubic convolution.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    match distance.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// A sinc of four lobes under the first lobe of a wider one.
fn lanczos4(distance: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    if distance.abs() < 4.0 { sinc(distance) * sinc(distance / 4.0) } else { 0.0 }
}

/// Cuts the rectangle of `placement` out of `picture`, which must contain it.
///
/// # Errors
/// An internal failure when the rectangle leaves the picture.
pub fn crop(picture: Picture, placement: Placement) -> Result<Picture, SampleFailure> {
    if placement == Placement::whole(&picture) {
        return Ok(picture);
    }
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
pub fn pad(picture: Picture, placement: Placement) -> Result<Picture, SampleFailure> {
    if placement == Placement::whole(&picture) {
        return Ok(picture);
    }
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

impl Placement {
    /// All of a picture, where it is.
    fn whole(picture: &Picture) -> Self {
        Self { size: Size::new(picture.width, picture.height), left: 0, top: 0 }
    }
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
    fn area_is_the_exact_mean() {
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
            // What rounding to whole values costs.
            assert!(mean < 0.3, "{width}: {mean}");
        }
    }

    #[test]
    fn a_flat_picture_stays_flat() {
        for interpolation in
            [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic, Interpolation::Lanczos]
        {
            let larger = resize(&gray(5, 3, |_, _| 77), Size::new(31, 17), interpolation).unwrap();
            assert!(larger.pixels.iter().all(|pixel| *pixel == 77), "{interpolation}");
        }
    }

    type Case = (Interpolation, ((u32, u32), (u32, u32)), &'static [u8]);

    /// cv2.resize of the same drawing, OpenCV 4.14.
    const OPENCV: &[Case] = &[
        (
            Interpolation::Nearest,
            ((5, 4), (8, 6)),
            &[
                0, 0, 37, 37, 74, 111, 111, 148, 0, 0, 37, 37, 74, 111, 111, 148, 91, 91, 135, 135, 179, 223, 223, 11,
                182, 182, 233, 233, 28, 79, 79, 130, 182, 182, 233, 233, 28, 79, 79, 130, 17, 17, 75, 75, 133, 191,
                191, 249,
            ],
        ),
        (
            Interpolation::Nearest,
            ((11, 9), (6, 4)),
            &[
                0, 37, 111, 185, 3, 77, 182, 233, 79, 181, 27, 129, 108, 173, 47, 177, 51, 181, 34, 113, 15, 173, 75,
                233,
            ],
        ),
        (
            Interpolation::Linear,
            ((5, 4), (8, 6)),
            &[
                0, 16, 39, 62, 85, 109, 132, 148, 46, 63, 88, 114, 139, 164, 118, 80, 106, 126, 151, 153, 168, 196,
                104, 31, 167, 189, 206, 104, 69, 100, 107, 110, 100, 123, 149, 103, 97, 131, 166, 190, 17, 42, 79, 115,
                151, 187, 223, 249,
            ],
        ),
        (
            Interpolation::Linear,
            ((11, 9), (6, 4)),
            &[
                74, 150, 66, 142, 122, 104, 61, 134, 220, 119, 192, 73, 115, 110, 201, 129, 63, 122, 156, 102, 156, 83,
                118, 144,
            ],
        ),
        (
            Interpolation::Cubic,
            ((5, 4), (8, 6)),
            &[
                0, 5, 32, 52, 77, 97, 138, 165, 33, 49, 82, 120, 165, 183, 120, 58, 111, 134, 162, 161, 188, 216, 102,
                0, 180, 222, 227, 96, 35, 89, 101, 101, 103, 140, 160, 91, 68, 115, 171, 208, 0, 21, 68, 115, 165, 196,
                239, 255,
            ],
        ),
        (
            Interpolation::Cubic,
            ((11, 9), (6, 4)),
            &[
                60, 180, 42, 127, 132, 100, 50, 131, 238, 107, 225, 46, 111, 108, 216, 116, 49, 120, 174, 78, 170, 65,
                114, 152,
            ],
        ),
        (
            Interpolation::Lanczos,
            ((5, 4), (8, 6)),
            &[
                0, 11, 36, 53, 65, 91, 137, 168, 25, 38, 71, 119, 178, 193, 123, 59, 113, 142, 163, 153, 190, 214, 100,
                0, 176, 232, 230, 97, 32, 88, 110, 94, 97, 142, 158, 89, 50, 104, 179, 216, 0, 18, 65, 123, 169, 203,
                237, 255,
            ],
        ),
        (
            Interpolation::Lanczos,
            ((11, 9), (6, 4)),
            &[
                49, 193, 45, 118, 138, 89, 52, 114, 246, 105, 223, 38, 105, 113, 216, 106, 56, 122, 188, 67, 178, 50,
                116, 159,
            ],
        ),
    ];

    #[test]
    fn interpolations_are_close_to_opencv() {
        for (interpolation, ((width, height), (to_width, to_height)), expected) in OPENCV {
            let drawn = gray(*width, *height, |x, y| (x * 37 + y * 91 + x * y * 7) as u8);
            let found = resize(&drawn, Size::new(*to_width, *to_height), *interpolation).unwrap().pixels;
            let sum: u32 = found.iter().zip(*expected).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            // Beyond its border OpenCV repeats the last pixel, where here the rest of the kernel counts more.
            let allowed = match interpolation {
                Interpolation::Nearest => 0.0,
                Interpolation::Linear => 1.0,
                _ => 10.0,
            };
            let mean = f64::from(sum) / expected.len() as f64;
            assert!(mean <= allowed, "{interpolation} {width}x{height}: {mean} {found:?}");
        }
    }

    #[test]
    fn crop_and_pad_are_inverse() {
        let picture = gray(3, 2, |x, y| (x + 10 * y) as u8);
        let placement = Placement { size: Size::new(6, 5), left: 1, top: 2 };
        let padded = pad(picture.clone(), placement).unwrap();
        assert_eq!(padded.pixels.iter().filter(|pixel| **pixel == 255).count(), 24);
        let back = crop(padded, Placement { size: Size::new(3, 2), left: 1, top: 2 }).unwrap();
        assert_eq!(back.pixels, picture.pixels);
    }

    #[test]
    fn a_crop_outside_is_a_failure() {
        let placement = Placement { size: Size::new(3, 2), left: 1, top: 0 };
        assert_eq!(crop(gray(3, 2, |_, _| 0), placement).unwrap_err().kind, FailureKind::Internal);
        let placement = Placement { size: Size::new(2, 2), left: 1, top: 0 };
        assert_eq!(pad(gray(2, 2, |_, _| 0), placement).unwrap_err().kind, FailureKind::Internal);
    }
}
