//! Pixels to another size by Catmull and Rom's cubic (for evaluation also by a triangle), in two ways: [`Resampler::exact`] gives Pillow's bytes,
//! [`Resampler::fast`] uses the processor's vector instructions throughout and differs from them by a fraction of a grey
//! level in the mean.
//!
//! The exact way has one loop, weighted sums of whole rows of bytes, which compilers turn into vector code. Columns are
//! summed up by the same loop over the transposed picture.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shards::image::RgbView;

use crate::crop::{CropBox, Size};
use crate::filter::{Filter, Interpolation};
use crate::rows::{Rows, transpose, weigh};

const CHANNELS: usize = 3;

/// Resizes one picture after another with the same buffers.
#[derive(Default)]
pub(crate) struct Resampler {
    fast: Resizer,
    columns: Filter,
    rows: Filter,
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Resampler {
    /// The curve by which [`Resampler::exact`] weighs pixels from now on.
    pub(crate) fn set_curve(&mut self, curve: Interpolation) {
        self.columns.set_curve(curve);
        self.rows.set_curve(curve);
    }

    /// The part `part` of `picture` brought to `size` in `out`.
    ///
    /// Other than [`Resampler::exact`] this delivers all of the result: what training needs.
    pub(crate) fn fast(&mut self, picture: RgbView<'_>, part: CropBox, size: Size, out: &mut [u8]) {
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        let resized = ImageRef::new(picture.width, picture.height, picture.pixels, PixelType::U8x3)
            .map_err(|error| error.to_string())
            .and_then(|whole| {
                let view = CroppedImage::new(&whole, part.left, part.top, part.width, part.height);
                let view = view.map_err(|error| error.to_string())?;
                let target = Image::from_slice_u8(size.0, size.1, out, PixelType::U8x3);
                let mut target = target.map_err(|error| error.to_string())?;
                self.fast.resize(&view, &mut target, &options).map_err(|error| error.to_string())
            });
        resized.expect("the part lies within a picture whose pixels fill it, and `out` has room for the result");
    }

    /// The window `window` of the part `part` of `picture` brought to `size`, byte for byte as Pillow 13 computes it.
    /// Only what the window needs is computed, so that a picture of extreme proportions costs no more
    /// memory than another.
    pub(crate) fn exact(&mut self, picture: RgbView<'_>, part: CropBox, size: Size, window: CropBox, out: &mut [u8]) {
        self.columns.set(part.width, size.0, window.left, window.width);
        self.rows.set(part.height, size.1, window.top, window.height);
        let stride = picture.width as usize * CHANNELS;
        let source = &picture.pixels[part.top as usize * stride + part.left as usize * CHANNELS..];
        if is_vertical_first((part.width, part.height), size) {
            self.rows_first(source, stride, out);
        } else {
            self.columns_first(source, stride, out);
        }
    }

    fn columns_first(&mut self, source: &[u8], stride: usize, out: &mut [u8]) {
        let (columns, rows) = (self.columns.span(), self.rows.span());
        let (width, height) = (columns.len() * CHANNELS, rows.len());
        let part = Rows { bytes: &source[rows.start * stride + columns.start * CHANNELS..], stride, length: width };
        transpose(part, height, &mut self.first);
        self.columns.shift(columns.start);
        // Three rows of the transposed picture, one a channel, are one of the sums' rows.
        let pixels = Rows::packed(&self.first, height * CHANNELS);
        weigh(pixels, &self.columns, &mut self.second);
        let narrow = self.columns.count() * CHANNELS;
        transpose(Rows::packed(&self.second, height), narrow, &mut self.first);
        self.rows.shift(rows.start);
        weigh(Rows::packed(&self.first, narrow), &self.rows, &mut self.second);
        out.copy_from_slice(&self.second);
    }

    fn rows_first(&mut self, source: &[u8], stride: usize, out: &mut [u8]) {
        let columns = self.columns.span();
        let width = columns.len() * CHANNELS;
        let part = Rows { bytes: &source[columns.start * CHANNELS..], stride, length: width };
        weigh(part, &self.rows, &mut self.first);
        let height = self.rows.count();
        transpose(Rows::packed(&self.first, width), height, &mut self.second);
        self.columns.shift(columns.start);
        weigh(Rows::packed(&self.second, height * CHANNELS), &self.columns, &mut self.first);
        transpose(Rows::packed(&self.first, height), self.columns.count() * CHANNELS, &mut self.second);
        out.copy_from_slice(&self.second);
    }
}

/// Pillow 13's choice of the cheaper order; versions before had columns first always.
fn is_vertical_first(from: Size, to: Size) -> bool {
    let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (columns, rows) = (lost(from.0, to.0), lost(from.1, to.1));
    rows > 0 && rows > 2 * columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::image::RgbImage;

    fn picture(width: u32, height: u32) -> RgbImage {
        let pixels = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
        RgbImage { width, height, pixels }
    }

    fn whole(size: Size) -> CropBox {
        CropBox { left: 0, top: 0, width: size.0, height: size.1 }
    }

    fn exact(picture: &RgbImage, part: CropBox, size: Size, window: CropBox) -> Vec<u8> {
        let mut out = vec![0; (window.width * window.height * 3) as usize];
        Resampler::default().exact(picture.view(), part, size, window, &mut out);
        out
    }

    fn fast(picture: &RgbImage, part: CropBox, size: Size) -> Vec<u8> {
        let mut out = vec![0; (size.0 * size.1 * 3) as usize];
        Resampler::default().fast(picture.view(), part, size, &mut out);
        out
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
    fn one_resampler_serves_pictures_of_any_size() {
        let mut resampler = Resampler::default();
        let sizes = [(90, 60), (20, 200), (300, 20), (90, 60)];
        for (width, height) in sizes {
            let picture = picture(width, height);
            let mut out = vec![0; 32 * 32 * 3];
            resampler.exact(picture.view(), whole((width, height)), (32, 32), whole((32, 32)), &mut out);
            assert_eq!(out, exact(&picture, whole((width, height)), (32, 32), whole((32, 32))));
        }
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
