//! What is done with pictures.

use super::VerifyHash;
use crate::config::at_least_one;
use crate::encode::EncodeFormat;
use crate::error::{Error, Result};
use crate::hash::HashKind;
use crate::resize::Interpolation;
use crate::resize_mode::ResizeMode;
use serde::{Deserialize, Serialize};

/// What is done with pictures, in img2dataset's words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessOptions {
    /// Target side in pixels.
    pub image_size: u32,
    /// How pictures are brought to that side.
    pub resize_mode: ResizeMode,
    /// Whether smaller pictures keep their size.
    pub resize_only_if_bigger: bool,
    /// How pictures are enlarged.
    pub upscale_interpolation: Interpolation,
    /// How pictures are shrunk.
    pub downscale_interpolation: Interpolation,
    /// Whether a JPEG that is to be shrunk by averaging areas may be decoded at a half, a quarter or an eighth of its size
    /// first, as long as that is still at least as large as wanted: much faster, and a little sharper than averaging alone.
    #[serde(default = "yes")]
    pub scaled_decode: bool,
    /// Format of stored pictures.
    pub encode_format: EncodeFormat,
    /// Quality in the format's own scale; `None`: 95 for jpg and webp, and for png, where it is the effort of
    /// compression, 6.
    pub encode_quality: Option<u8>,
    /// What is stored as it came.
    pub reencode: Reencode,
    /// Smallest shorter side in pixels.
    pub min_image_size: u32,
    /// Most pixels of a picture, read from its header before it is decoded.
    pub max_image_pixels: u64,
    /// Largest ratio of the longer to the shorter side.
    #[serde(with = "unbounded")]
    pub max_aspect_ratio: f64,
    /// Whether EXIF tags are kept.
    pub extract_exif: bool,
    /// The hash kept of each body.
    pub compute_hash: Option<HashKind>,
    /// The column of hashes that bodies must have.
    pub verify_hash: Option<VerifyHash>,
    /// The column of boxes to blur: lists of left, top, right and bottom, relative to the picture.
    pub bbox_col: Option<String>,
    /// Bytes that pictures take at the same time while they are decoded and resized.
    #[serde(skip, default = "decode_budget_bytes")]
    pub decode_budget_bytes: u64,
}

/// Which bodies are encoded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reencode {
    /// All.
    Always,
    /// Those that change: in size, format or orientation.
    WhenChanged,
    /// None; bodies are stored without being looked at.
    Never,
}

/// JSON has no infinity: without a bound there is null.
mod unbounded {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(ratio: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        ratio.is_finite().then_some(*ratio).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
    }
}

/// No part of how pictures are made: folders made with other budgets go together.
fn decode_budget_bytes() -> u64 {
    192 << 20
}

fn yes() -> bool {
    true
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            image_size: 256,
            resize_mode: ResizeMode::Border,
            resize_only_if_bigger: false,
            upscale_interpolation: Interpolation::Lanczos,
            downscale_interpolation: Interpolation::Area,
            scaled_decode: yes(),
            encode_format: EncodeFormat::Jpg,
            encode_quality: None,
            reencode: Reencode::Always,
            min_image_size: 0,
            max_image_pixels: 100_000_000,
            max_aspect_ratio: f64::INFINITY,
            extract_exif: true,
            compute_hash: Some(HashKind::Sha256),
            verify_hash: None,
            bbox_col: None,
            decode_budget_bytes: decode_budget_bytes(),
        }
    }
}

impl ProcessOptions {
    /// The quality that pictures are encoded with.
    pub fn quality(&self) -> u8 {
        self.encode_quality.unwrap_or(self.encode_format.default_quality())
    }

    /// Checks what a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        at_least_one("image_size", self.image_size.into())?;
        at_least_one("max_image_area", self.max_image_pixels)?;
        let known = self.encode_format.qualities();
        let given = self.encode_quality.filter(|quality| !known.contains(quality));
        if let Some(given) = given {
            let (format, low, high) = (self.encode_format, known.start(), known.end());
            let reason = format!("expected {low} to {high} for {format}, got {given}");
            return Err(Error::Config { option: "encode_quality", reason });
        }
        // The larger side of a square or border; beyond it no format can store the result.
        if self.image_size > 65_500 {
            let reason = format!("expected at most 65500, got {}", self.image_size);
            return Err(Error::Config { option: "image_size", reason });
        }
        if self.max_aspect_ratio.is_nan() || self.max_aspect_ratio < 1.0 {
            let reason = format!("expected at least 1, got {}", self.max_aspect_ratio);
            return Err(Error::Config { option: "max_aspect_ratio", reason });
        }
        at_least_one("decode_budget_bytes", self.decode_budget_bytes)?;
        self.validate_instructions()
    }

    fn validate_instructions(&self) -> Result<()> {
        if let Some(verify) = self.verify_hash.as_ref().filter(|verify| self.compute_hash != Some(verify.kind)) {
            let computed = self.compute_hash.map_or("none", HashKind::as_str);
            let reason = format!("expected the kind of compute_hash, which is {computed}, got {}", verify.kind);
            return Err(Error::Config { option: "verify_hash", reason });
        }
        if self.bbox_col.is_some() && self.reencode == Reencode::Never {
            let reason = "boxes cannot be blurred where disable_all_reencoding stores bodies as they come".to_string();
            return Err(Error::Config { option: "bbox_col", reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_work_is_named() {
        let refused = |change: fn(&mut ProcessOptions)| {
            let mut options = ProcessOptions::default();
            change(&mut options);
            options.validate().unwrap_err().to_string()
        };
        let png = refused(|o| (o.encode_format, o.encode_quality) = (EncodeFormat::Png, Some(95)));
        assert!(png.contains("0 to 9 for png, got 95"), "{png}");
        assert!(refused(|o| o.max_aspect_ratio = 0.5).contains("max_aspect_ratio"));
        let other = refused(|o| o.verify_hash = Some(VerifyHash { column: "md5".into(), kind: HashKind::Md5 }));
        assert!(other.contains("which is sha256, got md5"), "{other}");
        assert!(refused(|o| (o.bbox_col, o.reencode) = (Some("b".into()), Reencode::Never)).contains("bbox_col"));
        ProcessOptions::default().validate().unwrap();
    }
}
