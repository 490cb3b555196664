//! Which part of a picture is used: geometry alone, by torchvision's rules.

use crate::seed::Draws;

/// A rectangle of whole pixels within a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CropBox {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Width and height.
pub(crate) type Size = (u32, u32);

const TRIES: usize = 10;

/// torchvision's `RandomResizedCrop.get_params`: a box of a share of the area between the bounds of `scale` and
/// with a side ratio between those of `ratio`; where ten tries give none that fits, the largest centred box whose
/// ratio is allowed.
pub(crate) fn random_resized_crop(size: Size, scale: (f64, f64), ratio: (f64, f64), draws: &mut Draws) -> CropBox {
    let area = f64::from(size.0) * f64::from(size.1);
    for _ in 0..TRIES {
        let target = area * draws.between(scale.0, scale.1);
        let aspect = draws.between(ratio.0.ln(), ratio.1.ln()).exp();
        let width = (target * aspect).sqrt().round_ties_even() as u32;
        let height = (target / aspect).sqrt().round_ties_even() as u32;
        if (1..=size.0).contains(&width) && (1..=size.1).contains(&height) {
            let top = draws.below((size.1 - height) as usize + 1) as u32;
            let left = draws.below((size.0 - width) as usize + 1) as u32;
            return CropBox { left, top, width, height };
        }
    }
    largest_centred(size, ratio)
}

fn largest_centred((width, height): Size, ratio: (f64, f64)) -> CropBox {
    let aspect = f64::from(width) / f64::from(height);
    let fitted = |length: f64, limit: u32| (length.round_ties_even() as u32).clamp(1, limit);
    let (w, h) = if aspect < ratio.0 {
        (width, fitted(f64::from(width) / ratio.0, height))
    } else if aspect > ratio.1 {
        (fitted(f64::from(height) * ratio.1, width), height)
    } else {
        (width, height)
    };
    CropBox { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

/// torchvision's `Resize(side)`: the shorter side becomes `side`, the longer one follows, cut to a whole number.
pub(crate) fn shorter_side_to(side: u32, (width, height): Size) -> Size {
    let longer = |long: u32, short: u32| {
        let length = u64::from(side) * u64::from(long) / u64::from(short.max(1));
        u32::try_from(length).unwrap_or(u32::MAX)
    };
    if width <= height { (side, longer(height, width)) } else { (longer(width, height), side) }
}

/// open_clip's `ResizeKeepRatio(side, longest=1)`: the longer side becomes `side`, the shorter one follows, rounded half to even.
pub(crate) fn longer_side_to(side: u32, (width, height): Size) -> Size {
    let ratio = f64::from(width.max(height)) / f64::from(side);
    let fitted = |length: u32| ((f64::from(length) / ratio).round_ties_even() as u32).clamp(1, side);
    (fitted(width), fitted(height))
}

/// torchvision's `CenterCrop(side)` of a picture that is not smaller.
pub(crate) fn centre_crop(side: u32, (width, height): Size) -> CropBox {
    let start = |length: u32| (f64::from(length.saturating_sub(side)) / 2.0).round_ties_even() as u32;
    CropBox { left: start(width), top: start(height), width: side, height: side }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Domain;

    const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

    #[test]
    fn random_boxes_lie_within_the_picture_and_the_bounds() {
        let mut draws = Draws::new(3, Domain::Crop, &[]);
        for size in [(300, 200), (64, 64), (1, 1), (5, 900), (7, 3)] {
            for _ in 0..500 {
                let found = random_resized_crop(size, (0.08, 1.0), RATIO, &mut draws);
                assert!(found.width >= 1 && found.height >= 1, "{size:?} {found:?}");
                assert!(found.left + found.width <= size.0 && found.top + found.height <= size.1, "{size:?} {found:?}");
            }
        }
    }

    /// The share of deterministic boxes that torchvision shows at open_clip's scale of (0.9, 1.0).
    #[test]
    fn fall_backs_are_as_frequent_as_in_torchvision() {
        for (size, expected) in [((400, 400), 0.12), ((400, 300), 0.36), ((564, 400), 0.807), ((600, 400), 1.0)] {
            let mut draws = Draws::new(11, Domain::Crop, &[]);
            let fall_back = largest_centred(size, RATIO);
            let boxes = (0..4000).map(|_| random_resized_crop(size, (0.9, 1.0), RATIO, &mut draws));
            let share = boxes.filter(|found| *found == fall_back).count() as f64 / 4000.0;
            assert!((share - expected).abs() < 0.02, "{size:?}: {share}");
        }
    }

    #[test]
    fn sides_are_cut_and_centres_rounded_to_even() {
        assert_eq!(shorter_side_to(224, (640, 427)), (335, 224));
        assert_eq!(shorter_side_to(224, (300, 451)), (224, 336));
        assert_eq!(shorter_side_to(224, (1, 65_535)), (224, 14_679_840));
        assert_eq!(longer_side_to(224, (640, 427)), (224, 149));
        assert_eq!(longer_side_to(224, (1, 65_535)), (1, 224));
        assert_eq!(longer_side_to(4, (3, 2)), (4, 3));
        assert_eq!(centre_crop(224, (335, 224)), CropBox { left: 56, top: 0, width: 224, height: 224 });
        assert_eq!(centre_crop(224, (225, 227)), CropBox { left: 0, top: 2, width: 224, height: 224 });
    }
}
