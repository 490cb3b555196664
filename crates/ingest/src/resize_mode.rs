//! Geometry of resizing, pure: which size a picture gets, and what is cut off or padded.
//! Sizes are those of img2dataset: sides are rounded half to even and at least one pixel.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How a picture of any shape is brought to `image_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// Keep the size.
    No,
    /// Fit the longer side, pad with white to a square.
    Border,
    /// Fit the shorter side.
    KeepRatio,
    /// Fit the longer side.
    KeepRatioLargest,
    /// Fit the shorter side, cut the middle square.
    CenterCrop,
}

impl ResizeMode {
    const ALL: [(Self, &'static str); 5] = [
        (Self::No, "no"),
        (Self::Border, "border"),
        (Self::KeepRatio, "keep_ratio"),
        (Self::KeepRatioLargest, "keep_ratio_largest"),
        (Self::CenterCrop, "center_crop"),
    ];

    /// img2dataset's word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("no", |(_, word)| word)
    }

    fn fits_shorter_side(self) -> bool {
        matches!(self, Self::KeepRatio | Self::CenterCrop)
    }
}

impl FromStr for ResizeMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.replace('-', "_").to_ascii_lowercase();
        Self::ALL.iter().find(|(_, word)| *word == wanted).map(|(mode, _)| *mode).ok_or_else(|| {
            format!("unknown resize mode `{text}` (expected no, border, keep_ratio, keep_ratio_largest or center_crop)")
        })
    }
}

impl std::fmt::Display for ResizeMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Size {
    /// A size.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// The smaller side.
    pub fn shorter(self) -> u32 {
        self.width.min(self.height)
    }

    /// The larger side.
    pub fn longer(self) -> u32 {
        self.width.max(self.height)
    }

    /// Width times height.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Width and height exchanged.
    pub fn transposed(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

/// A picture `size` large whose pixel (`left`, `top`) is the origin of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Size of the result.
    pub size: Size,
    /// Pixels cut off, or padded, on the left.
    pub left: u32,
    /// Pixels cut off, or padded, at the top.
    pub top: u32,
}

/// What is to be done with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// Leave it as it is.
    Keep,
    /// Bring it to this size.
    Resize(Size),
    /// Bring it to a size, then cut out the square.
    Crop(Size, Placement),
    /// Bring it to a size, then put it on a white square.
    Pad(Size, Placement),
}

/// Decides what `mode` does to a picture of `original` size.
pub fn geometry(mode: ResizeMode, image_size: u32, only_if_bigger: bool, original: Size) -> Geometry {
    if mode == ResizeMode::No {
        return Geometry::Keep;
    }
    let side = if mode.fits_shorter_side() { original.shorter() } else { original.longer() };
    if only_if_bigger && side <= image_size {
        return Geometry::Keep;
    }
    let scale = f64::from(image_size) / f64::from(side.max(1));
    let resized = Size::new(scaled(original.width, scale), scaled(original.height, scale));
    let square = Size::new(image_size, image_size);
    match mode {
        ResizeMode::Border => {
            let left = (image_size - resized.width.min(image_size)) / 2;
            let top = (image_size - resized.height.min(image_size)) / 2;
            Geometry::Pad(resized, Placement { size: square, left, top })
        }
        ResizeMode::CenterCrop => {
            let left = resized.width.saturating_sub(image_size) / 2;
            let top = resized.height.saturating_sub(image_size) / 2;
            Geometry::Crop(resized, Placement { size: square, left, top })
        }
        ResizeMode::KeepRatio | ResizeMode::KeepRatioLargest | ResizeMode::No => Geometry::Resize(resized),
    }
}

/// `max(1, round(side * scale))` with halves to even, as Python rounds.
fn scaled(side: u32, scale: f64) -> u32 {
    // The cast saturates, and the product of a side and image_size / side is finite.
    ((f64::from(side) * scale).round_ties_even() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mode: ResizeMode, width: u32, height: u32) -> Geometry {
        geometry(mode, 256, false, Size::new(width, height))
    }

    #[test]
    fn keep_ratio_fits_one_side() {
        assert_eq!(of(ResizeMode::KeepRatio, 600, 450), Geometry::Resize(Size::new(341, 256)));
        assert_eq!(of(ResizeMode::KeepRatioLargest, 600, 450), Geometry::Resize(Size::new(256, 192)));
        assert_eq!(of(ResizeMode::KeepRatioLargest, 2000, 3), Geometry::Resize(Size::new(256, 1)));
    }

    #[test]
    fn halves_round_to_even() {
        // 256/512 of 5 is 2.5.
        assert_eq!(of(ResizeMode::KeepRatioLargest, 512, 5), Geometry::Resize(Size::new(256, 2)));
        assert_eq!(of(ResizeMode::KeepRatioLargest, 512, 7), Geometry::Resize(Size::new(256, 4)));
    }

    #[test]
    fn the_odd_pixel_of_a_border_goes_right_and_down() {
        let square = Size::new(256, 256);
        let expected = Geometry::Pad(Size::new(256, 191), Placement { size: square, left: 0, top: 32 });
        assert_eq!(of(ResizeMode::Border, 1024, 764), expected);
    }

    #[test]
    fn the_crop_starts_at_half_the_surplus() {
        let placement = Placement { size: Size::new(256, 256), left: 42, top: 0 };
        assert_eq!(of(ResizeMode::CenterCrop, 600, 450), Geometry::Crop(Size::new(341, 256), placement));
    }

    #[test]
    fn small_pictures_are_kept_when_only_bigger_ones_are_resized() {
        let kept = |mode, width, height| geometry(mode, 256, true, Size::new(width, height)) == Geometry::Keep;
        assert!(kept(ResizeMode::KeepRatio, 256, 900));
        assert!(!kept(ResizeMode::Border, 256, 900));
        assert!(kept(ResizeMode::CenterCrop, 100, 2000));
        assert!(!kept(ResizeMode::KeepRatio, 257, 900));
    }

    #[test]
    fn every_word_names_its_mode() {
        for (mode, word) in ResizeMode::ALL {
            assert_eq!(word.parse(), Ok(mode));
            assert_eq!(mode.to_string(), word);
        }
        assert!("stretch".parse::<ResizeMode>().unwrap_err().contains("`stretch`"));
    }
}
