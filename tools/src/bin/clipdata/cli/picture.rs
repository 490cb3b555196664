//! What is done with pictures.

use clap::{Args, ValueEnum};
use ingest::encode::EncodeFormat;
use ingest::hash::HashKind;
use ingest::process::{ProcessOptions, Reencode, VerifyHash};
use ingest::resize::Interpolation;
use ingest::resize_mode::ResizeMode;

use super::values::{list, optional, switch};

/// Sizes, formats and limits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub struct Picture {
    /// Side of the pictures after resizing
    #[arg(long, value_name = "PIXELS", default_value_t = 256)]
    pub image_size: u32,
    /// How a picture is brought to that size
    #[arg(long, value_enum, default_value_t = ResizeModeArg::Border)]
    pub resize_mode: ResizeModeArg,
    /// Leave pictures that are smaller as they are
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub resize_only_if_bigger: bool,
    /// How pictures are enlarged: nearest, linear, cubic, area or lanczos
    #[arg(long, value_name = "NAME", default_value_t = Interpolation::Lanczos)]
    pub upscale_interpolation: Interpolation,
    /// How pictures are shrunk: nearest, linear, cubic, area or lanczos
    #[arg(long, value_name = "NAME", default_value_t = Interpolation::Area)]
    pub downscale_interpolation: Interpolation,
    /// Decode JPEGs that are shrunk to half or less at a reduced size: much faster, and other pixels than img2dataset's [default: True]
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub scaled_decode: bool,
    /// Format of the stored pictures
    #[arg(long, value_enum, default_value_t = EncodeFormatArg::Jpg)]
    pub encode_format: EncodeFormatArg,
    /// Quality of jpg, 1 to 100 [default: 95], and webp, over 100 lossless [default: 95]; effort of png, 0 to 9 [default: 6]
    #[arg(long, value_name = "N")]
    pub encode_quality: Option<u8>,
    /// Keep the original bytes of pictures that need no resizing and have the format already
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub skip_reencode: bool,
    /// Store every body as it came, undecoded
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub disable_all_reencoding: bool,
    /// Skip pictures whose shorter side is smaller
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub min_image_size: u32,
    /// Skip pictures with more pixels [default: 100000000]
    #[arg(long, value_name = "PIXELS")]
    pub max_image_area: Option<f64>,
    /// Skip pictures whose longer side is more than this many times the shorter one
    #[arg(long, value_name = "RATIO")]
    pub max_aspect_ratio: Option<f64>,
    /// Hash of the downloaded bytes to keep
    #[arg(long, value_enum, default_value_t = HashArg::Sha256)]
    pub compute_hash: HashArg,
    /// Fail rows whose body has another hash: the list's column and its kind, that of --compute-hash
    #[arg(long, value_name = "[COLUMN, KIND]", value_parser = verify_hash)]
    pub verify_hash: Option<VerifyHash>,
    /// The list's column of boxes to blur: lists of left, top, right and bottom, 0 to 1
    #[arg(long, value_name = "COLUMN")]
    pub bbox_col: Option<String>,
    /// Keep the pictures' EXIF in the metadata [default: True]
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub extract_exif: bool,
}

impl Picture {
    /// What the flags say.
    ///
    /// # Errors
    /// When an area is no number of pixels.
    pub fn options(self) -> anyhow::Result<ProcessOptions> {
        let defaults = ProcessOptions::default();
        let max_image_pixels = match self.max_image_area {
            None => defaults.max_image_pixels,
            Some(area) if area >= 0.0 => area as u64,
            Some(area) => anyhow::bail!("--max-image-area: expected pixels, got {area}"),
        };
        Ok(ProcessOptions {
            image_size: self.image_size,
            resize_mode: self.resize_mode.into(),
            resize_only_if_bigger: self.resize_only_if_bigger,
            encode_format: self.encode_format.into(),
            encode_quality: self.encode_quality,
            reencode: match (self.disable_all_reencoding, self.skip_reencode) {
                (true, _) => Reencode::Never,
                (false, true) => Reencode::WhenChanged,
                (false, false) => Reencode::Always,
            },
            min_image_size: self.min_image_size,
            max_image_pixels,
            max_aspect_ratio: self.max_aspect_ratio.unwrap_or(f64::INFINITY),
            extract_exif: self.extract_exif,
            compute_hash: self.compute_hash.into(),
            verify_hash: self.verify_hash,
            bbox_col: optional(self.bbox_col),
            upscale_interpolation: self.upscale_interpolation,
            downscale_interpolation: self.downscale_interpolation,
            scaled_decode: self.scaled_decode,
            ..defaults
        })
    }
}

/// `["column", "kind"]`.
fn verify_hash(text: &str) -> Result<VerifyHash, String> {
    match list(text).as_slice() {
        [column, kind] => Ok(VerifyHash { column: column.clone(), kind: kind.parse()? }),
        _ => Err(format!("expected a column and a kind of hash such as [\"md5\",\"md5\"], got `{text}`")),
    }
}

/// `--resize-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ResizeModeArg {
    /// Fit into the square and fill it up with white
    Border,
    /// Shorter side to the size
    #[value(alias = "keep-ratio")]
    KeepRatio,
    /// Longer side to the size
    #[value(alias = "keep-ratio-largest")]
    KeepRatioLargest,
    /// Shorter side to the size, then cut the middle
    #[value(alias = "center-crop")]
    CenterCrop,
    /// As it is
    No,
}

impl From<ResizeModeArg> for ResizeMode {
    fn from(mode: ResizeModeArg) -> Self {
        match mode {
            ResizeModeArg::Border => Self::Border,
            ResizeModeArg::KeepRatio => Self::KeepRatio,
            ResizeModeArg::KeepRatioLargest => Self::KeepRatioLargest,
            ResizeModeArg::CenterCrop => Self::CenterCrop,
            ResizeModeArg::No => Self::No,
        }
    }
}

/// `--encode-format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EncodeFormatArg {
    /// JPEG, 4:2:0
    Jpg,
    /// PNG
    Png,
    /// WebP
    Webp,
}

impl From<EncodeFormatArg> for EncodeFormat {
    fn from(format: EncodeFormatArg) -> Self {
        match format {
            EncodeFormatArg::Jpg => Self::Jpg,
            EncodeFormatArg::Png => Self::Png,
            EncodeFormatArg::Webp => Self::Webp,
        }
    }
}

/// `--compute-hash`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum HashArg {
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
    /// MD5
    Md5,
    /// No hash
    #[value(alias = "None")]
    None,
}

impl From<HashArg> for Option<HashKind> {
    fn from(hash: HashArg) -> Self {
        match hash {
            HashArg::Sha256 => Some(HashKind::Sha256),
            HashArg::Sha512 => Some(HashKind::Sha512),
            HashArg::Md5 => Some(HashKind::Md5),
            HashArg::None => None,
        }
    }
}
