//! How a picture becomes a square of pixels.

use shards::image::RgbView;

use crate::colour::{self, ColourJitter};
use crate::crop::{CropBox, Size, centre_crop, longer_side_to, random_resized_crop, shorter_side_to};
use crate::error::{Error, Result};
use crate::filter::Interpolation;
use crate::resample::Resampler;
use crate::seed::{Domain, Draws};

/// How training brings a part of a picture to the square's size. Evaluation is always exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// By the processor's vector instructions: a fraction of a grey level off Pillow's bytes in the mean.
    #[default]
    Fast,
    /// Pillow's bytes.
    Exact,
}

/// A way from a picture to a square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// open_clip's for training.
    Train(Augmentation),
    /// open_clip's for evaluation; Pillow's bytes.
    Evaluation(Fitting),
}

/// How evaluation makes a square of a picture that is none, as open_clip's `preprocess_cfg`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fitting {
    /// What becomes of the longer side.
    pub resize_mode: ResizeMode,
    /// How pixels are weighed.
    pub interpolation: Interpolation,
}

/// What becomes of a picture's longer side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResizeMode {
    /// The shorter side becomes the square's, and the centre is cut out.
    #[default]
    Shortest,
    /// The longer side becomes the square's, and black fills it up.
    Longest,
    /// Both sides become the square's.
    Squash,
}

/// What changes from one sight of a picture to the next, as open_clip's `--aug-cfg`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// Least and largest share of the picture's area that is used, 0 to 1.
    pub scale: (f64, f64),
    /// Least and largest ratio of width to height of the part.
    pub ratio: (f64, f64),
    /// How the part becomes a square.
    pub resize: Resize,
    /// Random changes of colour, and how often there are any.
    pub colour_jitter: Option<(ColourJitter, f64)>,
    /// How often the colours are taken away.
    pub grey_probability: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        let (scale, ratio) = ((0.9, 1.0), (3.0 / 4.0, 4.0 / 3.0));
        Self { scale, ratio, resize: Resize::Fast, colour_jitter: None, grey_probability: 0.0 }
    }
}

impl Augmentation {
    /// Whether the numbers make sense.
    fn validate(&self) -> Result<()> {
        let in_order = |(low, high): (f64, f64)| 0.0 < low && low <= high && high.is_finite();
        let wrong = |reason: String| Err(Error::Config { setting: "transform", reason });
        let pair = |what: &str, (low, high): (f64, f64), expected| {
            wrong(format!("{what} of ({low}, {high}): expected {expected}"))
        };
        if !in_order(self.scale) || self.scale.1 > 1.0 {
            return pair("scale", self.scale, "0 < LOW <= HIGH <= 1");
        }
        if !in_order(self.ratio) {
            return pair("ratio", self.ratio, "0 < LOW <= HIGH");
        }
        let probabilities =
            [("grey", self.grey_probability), ("colour jitter", self.colour_jitter.map_or(0.0, |c| c.1))];
        if let Some((what, got)) = probabilities.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return wrong(format!("{what} with probability {got}: expected 0 to 1"));
        }
        match self.colour_jitter {
            Some((jitter, _)) if !jitter.is_sensible() => {
                wrong("colour jitter: expected four numbers from 0 up, the last (hue) at most 0.5".into())
            }
            _ => Ok(()),
        }
    }
}

impl Transform {
    /// Training as open_clip has it by default.
    pub fn train() -> Self {
        Self::Train(Augmentation::default())
    }

    /// Whether the bounds make sense.
    ///
    /// # Errors
    /// [`Error::Config`] where a bound is not a number, not positive, beyond its fellow, or an area beyond the whole.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Train(augmentation) => augmentation.validate(),
            Self::Evaluation(_) => Ok(()),
        }
    }
}

/// Transforms one picture after another with the same buffers.
#[derive(Default)]
pub(crate) struct Painter {
    resampler: Resampler,
    /// A picture that does not fill its square.
    narrow: Vec<u8>,
}

impl Painter {
    /// The picture as `[side, side, 3]` in `out`; draws decide where there is a choice.
    pub(crate) fn paint(
        &mut self,
        transform: &Transform,
        picture: RgbView<'_>,
        side: u32,
        draws: &mut dyn FnMut(Domain) -> Draws,
        out: &mut [u8],
    ) {
        let size = (picture.width, picture.height);
        let square = CropBox { left: 0, top: 0, width: side, height: side };
        match transform {
            Transform::Train(augmentation) => {
                let (scale, ratio) = (augmentation.scale, augmentation.ratio);
                let part = random_resized_crop(size, scale, ratio, &mut draws(Domain::Crop));
                self.resampler.set_curve(Interpolation::Bicubic);
                match augmentation.resize {
                    Resize::Fast => self.resampler.fast(picture, part, (side, side), out),
                    Resize::Exact => self.resampler.exact(picture, part, (side, side), square, out),
                }
                if augmentation.colour_jitter.is_some() || augmentation.grey_probability > 0.0 {
                    colour::change(
                        augmentation.colour_jitter,
                        augmentation.grey_probability,
                        &mut draws(Domain::Colour),
                        out,
                    );
                }
            }
            Transform::Evaluation(fitting) => {
                self.resampler.set_curve(fitting.interpolation);
                match fitting.resize_mode {
                    ResizeMode::Shortest => {
                        let resized = shorter_side_to(side, size);
                        self.resampler.exact(picture, whole(size), resized, centre_crop(side, resized), out);
                    }
                    ResizeMode::Longest => self.fill_up(picture, side, out),
                    ResizeMode::Squash => self.resampler.exact(picture, whole(size), (side, side), square, out),
                }
            }
        }
    }

    /// The whole picture in the middle of a black square; where the margins differ by a pixel, the later one is wider.
    fn fill_up(&mut self, picture: RgbView<'_>, side: u32, out: &mut [u8]) {
        let size = (picture.width, picture.height);
        let (width, height) = longer_side_to(side, size);
        self.narrow.resize(width as usize * height as usize * 3, 0);
        self.resampler.exact(picture, whole(size), (width, height), whole((width, height)), &mut self.narrow);
        out.fill(0);
        let (left, top) = ((side - width) as usize / 2 * 3, (side - height) as usize / 2);
        let lines = out.chunks_exact_mut(side as usize * 3).skip(top);
        for (line, row) in lines.zip(self.narrow.chunks_exact(width as usize * 3)) {
            line[left..left + row.len()].copy_from_slice(row);
        }
    }
}

fn whole((width, height): Size) -> CropBox {
    CropBox { left: 0, top: 0, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::image::RgbImage;

    #[test]
    fn every_picture_becomes_a_square_of_the_wanted_side() {
        let mut painter = Painter::default();
        let exact = Transform::Train(Augmentation { resize: Resize::Exact, ..Augmentation::default() });
        for (width, height) in [(1, 1), (32, 32), (33, 900), (900, 31), (2, 30_000)] {
            let picture = RgbImage { width, height, pixels: vec![90; (width * height * 3) as usize] };
            for transform in [Transform::train(), exact, Transform::Evaluation(Fitting::default())] {
                let mut pixels = [0; 32 * 32 * 3];
                let mut draws = |domain| Draws::new(0, domain, &[]);
                painter.paint(&transform, picture.view(), 32, &mut draws, &mut pixels);
                assert_eq!(pixels, [90; 32 * 32 * 3], "{transform:?} of {width}x{height}");
            }
        }
    }

    type Case = ((u32, u32), ResizeMode, Interpolation, &'static [u8]);

    #[test]
    fn pictures_are_fitted_as_open_clip_fits_them() {
        // open_clip 3.3's image_transform(4, is_train=False, …), mean 0, deviation 1, of the picture
        // (x * 37 + y * 91 + c * 53 + x * y * 7) mod 256.
        #[rustfmt::skip]
        let cases: &[Case] = &[
            ((9, 5), ResizeMode::Shortest, Interpolation::Bicubic, &[130, 139, 172, 123, 175, 201, 176, 156, 74, 104, 62, 127, 146, 91, 94, 65, 109, 156, 125, 140, 119, 122, 122, 195, 121, 194, 139, 195, 125, 136, 125, 137, 129, 133, 139, 100, 130, 103, 128, 128, 151, 165, 176, 155, 77, 139, 99, 125]),
            ((9, 5), ResizeMode::Shortest, Interpolation::Bilinear, &[125, 138, 167, 124, 167, 191, 166, 150, 80, 108, 73, 126, 146, 104, 102, 83, 114, 150, 125, 139, 124, 122, 126, 179, 124, 177, 135, 177, 126, 140, 125, 139, 125, 132, 137, 108, 130, 113, 125, 137, 145, 159, 169, 152, 83, 139, 104, 122]),
            ((9, 5), ResizeMode::Longest, Interpolation::Bicubic, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 101, 130, 141, 123, 131, 148, 130, 135, 132, 105, 128, 137, 126, 137, 126, 141, 137, 137, 149, 137, 121, 135, 121, 125, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ((9, 5), ResizeMode::Longest, Interpolation::Bilinear, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 104, 132, 143, 125, 128, 144, 127, 137, 131, 109, 130, 138, 123, 135, 129, 139, 138, 135, 145, 137, 122, 135, 121, 125, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ((9, 5), ResizeMode::Squash, Interpolation::Bicubic, &[42, 102, 148, 120, 153, 183, 154, 146, 117, 77, 92, 123, 158, 162, 137, 122, 104, 114, 105, 126, 144, 126, 164, 159, 103, 111, 127, 142, 160, 149, 149, 133, 127, 139, 110, 97, 137, 157, 123, 142, 121, 132, 159, 144, 109, 129, 121, 149]),
            ((9, 5), ResizeMode::Squash, Interpolation::Bilinear, &[55, 108, 148, 118, 145, 175, 146, 146, 119, 84, 98, 127, 146, 153, 137, 127, 111, 121, 111, 131, 139, 124, 156, 153, 110, 117, 131, 140, 153, 141, 142, 134, 128, 139, 116, 105, 138, 153, 123, 138, 125, 133, 157, 144, 111, 129, 120, 146]),
            ((5, 11), ResizeMode::Longest, Interpolation::Bicubic, &[0, 0, 0, 106, 130, 139, 123, 129, 155, 0, 0, 0, 0, 0, 0, 121, 144, 122, 145, 133, 128, 0, 0, 0, 0, 0, 0, 118, 128, 137, 127, 119, 132, 0, 0, 0, 0, 0, 0, 153, 112, 131, 154, 116, 135, 0, 0, 0]),
            ((5, 11), ResizeMode::Longest, Interpolation::Bilinear, &[0, 0, 0, 109, 132, 142, 125, 127, 148, 0, 0, 0, 0, 0, 0, 122, 140, 124, 140, 133, 130, 0, 0, 0, 0, 0, 0, 120, 126, 136, 128, 119, 133, 0, 0, 0, 0, 0, 0, 149, 115, 128, 153, 117, 134, 0, 0, 0]),
            ((3, 2), ResizeMode::Longest, Interpolation::Bicubic, &[0, 45, 98, 15, 68, 120, 46, 99, 159, 69, 122, 193, 45, 97, 150, 68, 121, 183, 104, 157, 162, 129, 182, 100, 95, 148, 201, 121, 174, 246, 162, 215, 165, 188, 241, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ((3, 2), ResizeMode::Longest, Interpolation::Bilinear, &[0, 53, 106, 23, 76, 129, 51, 104, 157, 74, 127, 180, 46, 99, 152, 71, 124, 177, 102, 155, 160, 127, 180, 105, 91, 144, 197, 119, 172, 225, 152, 205, 162, 179, 232, 29, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ((3, 2), ResizeMode::Squash, Interpolation::Bicubic, &[0, 43, 96, 13, 66, 117, 44, 97, 158, 67, 120, 196, 18, 70, 123, 40, 93, 150, 74, 127, 160, 98, 151, 148, 71, 123, 176, 96, 149, 216, 134, 187, 164, 159, 212, 52, 97, 150, 203, 123, 176, 249, 164, 217, 166, 190, 243, 4]),
            ((3, 2), ResizeMode::Squash, Interpolation::Bilinear, &[0, 53, 106, 23, 76, 129, 51, 104, 157, 74, 127, 180, 23, 76, 129, 47, 100, 153, 76, 129, 158, 100, 153, 142, 68, 121, 174, 95, 148, 201, 127, 180, 161, 153, 206, 67, 91, 144, 197, 119, 172, 225, 152, 205, 162, 179, 232, 29]),
        ];
        let mut painter = Painter::default();
        for ((width, height), resize_mode, interpolation, expected) in cases {
            let value = |i: u32| {
                let (c, x, y) = (i % 3, i / 3 % width, i / 3 / width);
                (x * 37 + y * 91 + c * 53 + x * y * 7) as u8
            };
            let picture =
                RgbImage { width: *width, height: *height, pixels: (0..width * height * 3).map(value).collect() };
            let fitting = Fitting { resize_mode: *resize_mode, interpolation: *interpolation };
            let mut pixels = [7; 4 * 4 * 3];
            let mut draws = |domain| Draws::new(0, domain, &[]);
            painter.paint(&Transform::Evaluation(fitting), picture.view(), 4, &mut draws, &mut pixels);
            assert_eq!(pixels, *expected, "{fitting:?} of {width}x{height}");
        }
    }

    #[test]
    fn senseless_numbers_are_refused() {
        let bounds = [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1), (f64::NAN, 1.0), (0.5, f64::INFINITY), (-0.5, 1.0)];
        let refused = |augmentation| Transform::Train(augmentation).validate().unwrap_err().to_string();
        for scale in bounds {
            assert!(refused(Augmentation { scale, ..Augmentation::default() }).contains("scale"), "{scale:?}");
        }
        assert!(refused(Augmentation { ratio: (2.0, 1.0), ..Augmentation::default() }).contains("ratio"));
        assert!(refused(Augmentation { grey_probability: 1.5, ..Augmentation::default() }).contains("grey"));
        let jitter = ColourJitter { brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.6 };
        assert!(
            refused(Augmentation { colour_jitter: Some((jitter, 0.8)), ..Augmentation::default() }).contains("hue")
        );
        assert!(Transform::train().validate().is_ok() && Transform::Evaluation(Fitting::default()).validate().is_ok());
    }
}
