//! Pictures made of nothing but a seed and a size.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lossy.
    Jpeg,
    /// Lossless.
    Png,
    /// Lossless, as the encoder at hand writes it.
    WebP,
}

impl Format {
    /// The media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// A file with a picture of smooth colours that depend on `seed`.
pub fn picture(seed: u32, width: u32, height: u32, format: Format) -> Vec<u8> {
    let format = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
    };
    let mut file = Cursor::new(Vec::new());
    pixels(seed, width, height).write_to(&mut file, format).expect("a picture is written to memory");
    file.into_inner()
}

/// The pixels of [`picture`], before a file format changes them.
pub fn pixels(seed: u32, width: u32, height: u32) -> RgbImage {
    let tint = seed.wrapping_mul(2_654_435_761).to_le_bytes();
    RgbImage::from_fn(width, height, |x, y| {
        let across = (x * 255 / width.max(1)) as u8;
        let down = (y * 255 / height.max(1)) as u8;
        Rgb([across.wrapping_add(tint[0]) / 2 + tint[1] / 2, down / 2 + tint[2] / 2, tint[3]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_depends_on_its_seed_and_has_its_size() {
        for format in [Format::Jpeg, Format::Png, Format::WebP] {
            let file = picture(1, 40, 30, format);
            assert_eq!(file, picture(1, 40, 30, format));
            assert_ne!(file, picture(2, 40, 30, format));
            let decoded = image::load_from_memory(&file).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (40, 30));
        }
    }
}
