//! How a picture becomes a square of pixels.

use shards::image::RgbView;

use crate::colour::{self, ColourJitter};
use crate::crop::{CropBox, centre_crop, random_resized_crop, shorter_side_to};
use crate::error::{Error, Result};
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
    /// open_clip's for evaluation: the shorter side brought to the square's, then the centre; Pillow's bytes.
    Evaluation,
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
            Self::Evaluation => Ok(()),
        }
    }
}

/// Transforms one picture after another with the same buffers.
#[derive(Default)]
pub(crate) struct Painter {
    resampler: Resampler,
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
            Transform::Evaluation => {
                let whole = CropBox { left: 0, top: 0, width: size.0, height: size.1 };
                let resized = shorter_side_to(side, size);
                self.resampler.exact(picture, whole, resized, centre_crop(side, resized), out);
            }
        }
    }
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
            for transform in [Transform::train(), exact, Transform::Evaluation] {
                let mut pixels = [0; 32 * 32 * 3];
                let mut draws = |domain| Draws::new(0, domain, &[]);
                painter.paint(&transform, picture.view(), 32, &mut draws, &mut pixels);
                assert_eq!(pixels, [90; 32 * 32 * 3], "{transform:?} of {width}x{height}");
            }
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
        assert!(Transform::train().validate().is_ok() && Transform::Evaluation.validate().is_ok());
    }
}
