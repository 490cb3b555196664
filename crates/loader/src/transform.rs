//! How a picture becomes a square of pixels.

use shards::image::RgbImage;

use crate::crop::{CropBox, centre_crop, random_resized_crop, shorter_side_to};
use crate::error::{Error, Result};
use crate::resample;
use crate::seed::Draws;

/// A way from a picture to a square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// open_clip's for training: a random part of the picture, its sides changed to the square's by a cubic filter
    /// that is quick rather than Pillow's to the bit.
    Train {
        /// Least and largest share of the picture's area, 0 to 1.
        scale: (f64, f64),
        /// Least and largest ratio of width to height of the part.
        ratio: (f64, f64),
    },
    /// open_clip's for evaluation: the shorter side brought to the square's, then the centre; Pillow's bytes.
    Evaluation,
}

impl Transform {
    /// Training as open_clip has it by default.
    pub fn train() -> Self {
        Self::Train { scale: (0.9, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) }
    }

    /// Whether the bounds make sense.
    ///
    /// # Errors
    /// [`Error::Config`] where a bound is not a number, not positive, beyond its fellow, or an area beyond the whole.
    pub fn validate(&self) -> Result<()> {
        let Self::Train { scale, ratio } = self else { return Ok(()) };
        let in_order = |(low, high): (f64, f64)| 0.0 < low && low <= high && high.is_finite();
        let wrong = |what: &str, (low, high): (f64, f64), expected: &str| Error::Config {
            setting: "transform",
            reason: format!("{what} of ({low}, {high}): {expected}"),
        };
        if !in_order(*scale) || scale.1 > 1.0 {
            return Err(wrong("scale", *scale, "expected 0 < LOW <= HIGH <= 1"));
        }
        if in_order(*ratio) { Ok(()) } else { Err(wrong("ratio", *ratio, "expected 0 < LOW <= HIGH")) }
    }

    /// The picture as `[side, side, 3]`; `draws` decides where there is a choice.
    pub(crate) fn apply(&self, picture: &RgbImage, side: u32, draws: &mut Draws) -> Vec<u8> {
        let size = (picture.width, picture.height);
        match self {
            Self::Train { scale, ratio } => {
                let part = random_resized_crop(size, *scale, *ratio, draws);
                resample::fast(picture, part, (side, side))
            }
            Self::Evaluation => {
                let whole = CropBox { left: 0, top: 0, width: size.0, height: size.1 };
                let resized = shorter_side_to(side, size);
                resample::exact(picture, whole, resized, centre_crop(side, resized))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Domain;

    #[test]
    fn every_picture_becomes_a_square_of_the_wanted_side() {
        for (width, height) in [(1, 1), (32, 32), (33, 900), (900, 31), (2, 30_000)] {
            let picture = RgbImage { width, height, pixels: vec![90; (width * height * 3) as usize] };
            for transform in [Transform::train(), Transform::Evaluation] {
                let pixels = transform.apply(&picture, 32, &mut Draws::new(0, Domain::Crop, &[]));
                assert_eq!(pixels, [90; 32 * 32 * 3], "{transform:?} of {width}x{height}");
            }
        }
    }

    #[test]
    fn senseless_bounds_are_refused() {
        let bounds = [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1), (f64::NAN, 1.0), (0.5, f64::INFINITY), (-0.5, 1.0)];
        for scale in bounds {
            let transform = Transform::Train { scale, ratio: (1.0, 1.0) };
            assert!(transform.validate().unwrap_err().to_string().contains("scale"), "{scale:?}");
        }
        assert!(Transform::Train { scale: (1.0, 1.0), ratio: (2.0, 1.0) }.validate().is_err());
        assert!(Transform::train().validate().is_ok() && Transform::Evaluation.validate().is_ok());
    }
}
