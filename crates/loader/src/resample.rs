//! Pixels to another size by Catmull and Rom's cubic, in two ways: [`exact`] gives Pillow's bytes, [`fast`] uses the
//! processor's vector instructions and differs from them by a fraction of a grey level in the mean.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shards::image::RgbImage;

use crate::crop::{CropBox, Size};

const CHANNELS: usize = 3;

/// Fractional bits of a weight, as in Pillow's `Resample.c`.
const PRECISION_BITS: u32 = 22;

/// Half the width of the filter, in pixels of the smaller of the two scales.
const SUPPORT: f64 = 2.0;

/// The part `part` of `picture` brought to `size`.
///
/// Other than [`exact`] this looks at `part` alone and delivers all of the result: what training needs.
pub(crate) fn fast(picture: &RgbImage, part: CropBox, size: Size) -> Vec<u8> {
    let mut target = Image::new(size.0, size.1, PixelType::U8x3);
    let resized = ImageRef::new(picture.width, picture.height, &picture.pixels, PixelType::U8x3)
        .map_err(|error| error.to_string())
        .and_then(|whole| {
            let view = CroppedImage::new(&whole, part.left, part.top, part.width, part.height);
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
            let resize = |view| Resizer::new().resize(&view, &mut target, &options).map_err(|error| error.to_string());
            view.map_err(|error| error.to_string()).and_then(resize)
        });
    resized.expect("the part lies within a picture whose pixels fill it");
    target.into_vec()
}

/// The window `window` of the part `part` of `picture` brought to `size`, byte for byte as Pillow 13 computes it
/// with `BICUBIC`. Only what the window needs is computed, so that a picture of extreme proportions costs no more
/// memory than another.
pub(crate) fn exact(picture: &RgbImage, part: CropBox, size: Size, window: CropBox) -> Vec<u8> {
    let source = Plane {
        pixels: &picture.pixels[(part.top as usize * picture.width as usize + part.left as usize) * CHANNELS..],
        stride: picture.width as usize * CHANNELS,
        width: part.width as usize,
        height: part.height as usize,
    };
    let columns = Filter::new(part.width, size.0, window.left, window.width);
    let rows = Filter::new(part.height, size.1, window.top, window.height);
    if is_vertical_first((part.width, part.height), size) {
        let span = columns.span();
        let between = vertical(&source.columns(span.clone()), &rows);
        return horizontal(&Plane::packed(&between, span.len()), &columns.shifted(span.start));
    }
    let span = rows.span();
    let between = horizontal(&source.rows(span.clone()), &columns);
    vertical(&Plane::packed(&between, window.width as usize), &rows.shifted(span.start))
}

/// Pillow 13's choice of the cheaper order; versions before had columns first always.
fn is_vertical_first(from: Size, to: Size) -> bool {
    let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (columns, rows) = (lost(from.0, to.0), lost(from.1, to.1));
    rows > 0 && rows > 2 * columns
}

/// Rows of RGB pixels with any distance between them.
struct Plane<'a> {
    pixels: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> Plane<'a> {
    fn packed(pixels: &'a [u8], width: usize) -> Self {
        let stride = width * CHANNELS;
        Self { pixels, stride, width, height: pixels.len() / stride.max(1) }
    }

    fn columns(&self, span: std::ops::Range<usize>) -> Self {
        Self { pixels: &self.pixels[span.start * CHANNELS..], width: span.len(), ..*self }
    }

    fn rows(&self, span: std::ops::Range<usize>) -> Self {
        Self { pixels: &self.pixels[span.start * self.stride..], height: span.len(), ..*self }
    }

    fn row(&self, index: usize) -> &'a [u8] {
        &self.pixels[index * self.stride..][..self.width * CHANNELS]
    }
}

/// The weights of every output position along one axis.
struct Filter {
    taps: Vec<Taps>,
}

/// The inputs of one output position, from `first` on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Filter {
    /// For the outputs `start..start + count` of `to`, which stand for `from` inputs.
    fn new(from: u32, to: u32, start: u32, count: u32) -> Self {
        let taps = |output| if from == to { Taps::identity(output) } else { Taps::new(from, to, output) };
        Self { taps: (start..start + count).map(taps).collect() }
    }

    /// The inputs that any output needs.
    fn span(&self) -> std::ops::Range<usize> {
        let start = self.taps.iter().map(|taps| taps.first).min().unwrap_or(0);
        let end = self.taps.iter().map(|taps| taps.first + taps.weights.len()).max().unwrap_or(0);
        start..end
    }

    /// The same for inputs of which the first `count` are not there.
    fn shifted(mut self, count: usize) -> Self {
        self.taps.iter_mut().for_each(|taps| taps.first -= count);
        self
    }
}

impl Taps {
    fn identity(output: u32) -> Self {
        Self { first: output as usize, weights: vec![1 << PRECISION_BITS] }
    }

    fn new(from: u32, to: u32, output: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        let centre = (f64::from(output) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from as usize);
        let weight = |input: usize| cubic((input as f64 - centre + 0.5) * (1.0 / stretch));
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let sum = if sum == 0.0 { 1.0 } else { sum };
        Self { first, weights: weights.into_iter().map(|weight| fixed_point(weight / sum)).collect() }
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    (weight * f64::from(1 << PRECISION_BITS) + 0.5f64.copysign(weight)) as i32
}

/// Keys' cubic with a = −1/2, which is Catmull and Rom's.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < SUPPORT {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn horizontal(source: &Plane<'_>, columns: &Filter) -> Vec<u8> {
    let mut out = Vec::with_capacity(columns.taps.len() * source.height * CHANNELS);
    for row in (0..source.height).map(|row| source.row(row)) {
        for taps in &columns.taps {
            let mut sums = [HALF; CHANNELS];
            let inputs = row[taps.first * CHANNELS..].chunks_exact(CHANNELS);
            for (weight, pixel) in taps.weights.iter().zip(inputs) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*value);
                }
            }
            out.extend(sums.map(to_byte));
        }
    }
    out
}

fn vertical(source: &Plane<'_>, rows: &Filter) -> Vec<u8> {
    let length = source.width * CHANNELS;
    let mut out = Vec::with_capacity(rows.taps.len() * length);
    let mut sums = vec![HALF; length];
    for taps in &rows.taps {
        sums.fill(HALF);
        for (row, weight) in (taps.first..).zip(&taps.weights) {
            for (sum, value) in sums.iter_mut().zip(source.row(row)) {
                *sum += weight * i32::from(*value);
            }
        }
        out.extend(sums.iter().map(|sum| to_byte(*sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32) -> RgbImage {
        let pixels = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
        RgbImage { width, height, pixels }
    }

    fn whole(size: Size) -> CropBox {
        CropBox { left: 0, top: 0, width: size.0, height: size.1 }
    }

    #[test]
    fn a_window_holds_the_same_pixels_as_the_whole() {
        let size = (31, 17);
        for (width, height) in [(40, 90), (90, 40), (20, 12), (31, 50), (31, 17)] {
            let picture = picture(width, height);
            let all = exact(&picture, whole((width, height)), size, whole(size));
            let window = CropBox { left: 5, top: 3, width: 11, height: 9 };
            let part = exact(&picture, whole((width, height)), size, window);
            let cut: Vec<u8> = (3..12).flat_map(|row| all[(row * 31 + 5) * 3..][..33].to_vec()).collect();
            assert_eq!(part, cut, "{width}x{height}");
        }
    }

    #[test]
    fn a_part_is_resized_as_if_it_stood_alone() {
        let picture = picture(50, 40);
        let part = CropBox { left: 7, top: 5, width: 30, height: 21 };
        let rows = (5..26).flat_map(|row| picture.pixels[(row * 50 + 7) * 3..][..90].to_vec());
        let alone = RgbImage { width: 30, height: 21, pixels: rows.collect() };
        for size in [(16, 16), (64, 10), (30, 21)] {
            assert_eq!(exact(&picture, part, size, whole(size)), exact(&alone, whole((30, 21)), size, whole(size)));
            assert_eq!(fast(&picture, part, size), fast(&alone, whole((30, 21)), size));
        }
        assert_eq!(exact(&alone, whole((30, 21)), (30, 21), whole((30, 21))), alone.pixels);
    }

    #[test]
    fn the_fast_way_is_close_to_the_exact_one() {
        let wave = |i: u32| (128.0 + 100.0 * (f64::from(i) / 91.0).sin()) as u8;
        let picture = RgbImage { width: 90, height: 60, pixels: (0..90 * 60 * 3).map(wave).collect() };
        let size = (32, 32);
        let (exact, fast) =
            (exact(&picture, whole((90, 60)), size, whole(size)), fast(&picture, whole((90, 60)), size));
        let distance: u32 = exact.iter().zip(&fast).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        assert!(f64::from(distance) / (exact.len() as f64) < 0.5, "{distance}");
    }
}
