//! What a download is to do: img2dataset's options under their names, with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use crate::encode::EncodeFormat;
use crate::error::{Error, Result};
use crate::hash::HashKind;
use crate::resize::Interpolation;
use crate::resize_mode::ResizeMode;
use crate::url_list::InputFormat;

/// Names that additional columns cannot have.
const RESERVED: [&str; 15] = [
    "key",
    "caption",
    "url",
    "width",
    "height",
    "original_width",
    "original_height",
    "status",
    "error_message",
    "exif",
    "md5",
    "sha256",
    "error_kind",
    "http_status",
    "bytes",
];

/// A download of one list, or of a folder of lists, into one folder of shards.
#[derive(Clone, Debug)]
pub struct DownloadConfig {
    /// The list, or a folder whose files of `input_format` are the lists, in order of name.
    pub url_list: PathBuf,
    /// Where the shards go; created where missing.
    pub output_folder: PathBuf,
    /// Format of the lists; `None`: by extension.
    pub input_format: Option<InputFormat>,
    /// The column of URLs; where no column has exactly this name, case is ignored.
    pub url_col: String,
    /// The column of captions; `None`: none are kept, but lists without a header still give theirs.
    pub caption_col: Option<String>,
    /// Further columns to keep.
    pub save_additional_columns: Vec<String>,
    /// Rows of the list for each shard, whatever becomes of them.
    pub number_sample_per_shard: usize,
    /// Digits of the shard's number.
    pub oom_shard_count: usize,
    /// Threads that decode, resize and encode; 0: one for each core.
    pub processes_count: usize,
    /// Downloads at the same time, in all.
    pub thread_count: usize,
    /// Downloads at the same time from one host and port.
    pub max_connections_per_host: usize,
    /// Longest time for one URL, from the first connection to the last byte of the body.
    pub timeout: Duration,
    /// Largest body, both as sent and as decompressed.
    pub max_body_bytes: u64,
    /// Bodies and encoded pictures held at the same time, in bytes.
    pub memory_budget_bytes: u64,
    /// Whether hosts in private networks may be asked; for tests and intranets.
    pub allow_private_addresses: bool,
    /// A token to name the user in the user agent.
    pub user_agent_token: Option<String>,
    /// Directives of `X-Robots-Tag` that forbid the use of a picture; empty: none do.
    pub disallowed_header_directives: Vec<String>,
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
    /// Format of stored pictures.
    pub encode_format: EncodeFormat,
    /// Quality in the format's own scale; `None`: 95 for jpg and webp, and for png, where it is the effort of
    /// compression, 6.
    pub encode_quality: Option<u8>,
    /// Whether a body that needs no change is stored as it came.
    pub skip_reencode: bool,
    /// Whether every body is stored as it came, without being looked at.
    pub disable_all_reencoding: bool,
    /// Smallest shorter side in pixels.
    pub min_image_size: u32,
    /// Most pixels of a picture, read from its header before it is decoded.
    pub max_image_pixels: u64,
    /// Largest ratio of the longer to the shorter side.
    pub max_aspect_ratio: f64,
    /// Whether EXIF tags are kept.
    pub extract_exif: bool,
    /// The hash kept of each body.
    pub compute_hash: Option<HashKind>,
}

impl DownloadConfig {
    /// The defaults, for one list and one folder.
    pub fn new(url_list: impl Into<PathBuf>, output_folder: impl Into<PathBuf>) -> Self {
        Self {
            url_list: url_list.into(),
            output_folder: output_folder.into(),
            input_format: None,
            url_col: "url".into(),
            caption_col: None,
            save_additional_columns: Vec::new(),
            number_sample_per_shard: 10_000,
            oom_shard_count: 5,
            processes_count: 0,
            thread_count: 256,
            max_connections_per_host: 16,
            timeout: Duration::from_secs(10),
            max_body_bytes: 50_000_000,
            memory_budget_bytes: 1 << 30,
            allow_private_addresses: false,
            user_agent_token: None,
            disallowed_header_directives: ["noai", "noimageai", "noindex", "noimageindex"].map(String::from).to_vec(),
            image_size: 256,
            resize_mode: ResizeMode::Border,
            resize_only_if_bigger: false,
            upscale_interpolation: Interpolation::Lanczos,
            downscale_interpolation: Interpolation::Area,
            encode_format: EncodeFormat::Jpg,
            encode_quality: None,
            skip_reencode: false,
            disable_all_reencoding: false,
            min_image_size: 0,
            max_image_pixels: 100_000_000,
            max_aspect_ratio: f64::INFINITY,
            extract_exif: true,
            compute_hash: Some(HashKind::Sha256),
        }
    }

    /// Checks every option that a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        between("number_sample_per_shard", self.number_sample_per_shard, 1, 10_000_000)?;
        between("oom_shard_count", self.oom_shard_count, 1, 18)?;
        between("processes_count", self.processes_count, 0, 1024)?;
        between("thread_count", self.thread_count, 1, 65_536)?;
        between("max_connections_per_host", self.max_connections_per_host, 1, 65_536)?;
        at_least_one("timeout", self.timeout.as_nanos().try_into().unwrap_or(u64::MAX))?;
        at_least_one("max_body_bytes", self.max_body_bytes)?;
        at_least_one("memory_budget_bytes", self.memory_budget_bytes)?;
        at_least_one("image_size", self.image_size.into())?;
        at_least_one("max_image_area", self.max_image_pixels)?;
        self.validate_picture()?;
        self.validate_columns()
    }

    fn validate_picture(&self) -> Result<()> {
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
        Ok(())
    }

    fn validate_columns(&self) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for column in &self.save_additional_columns {
            if RESERVED.contains(&column.as_str()) || seen.contains(&column.as_str()) {
                let reason = format!("`{column}` is the name of a column that every shard has, or is listed twice");
                return Err(Error::Config { option: "save_additional_columns", reason });
            }
            seen.push(column);
        }
        Ok(())
    }
}

fn between(option: &'static str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Config { option, reason: format!("expected {least} to {most}, got {value}") })
}

fn at_least_one(option: &'static str, value: u64) -> Result<()> {
    if value == 0 { Err(Error::Config { option, reason: "expected at least 1, got 0".into() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut DownloadConfig)) -> String {
        let mut config = DownloadConfig::new("list.txt", "out");
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        DownloadConfig::new("list.txt", "out").validate().unwrap();
    }

    #[test]
    fn a_value_that_cannot_work_is_named() {
        assert_eq!(refused(|c| c.thread_count = 0), "option `thread_count`: expected 1 to 65536, got 0");
        assert!(
            refused(|c| (c.encode_format, c.encode_quality) = (EncodeFormat::Png, Some(95)))
                .contains("0 to 9 for png, got 95")
        );
        assert!(refused(|c| c.max_aspect_ratio = 0.5).contains("max_aspect_ratio"));
        assert!(refused(|c| c.save_additional_columns = vec!["url".into()]).contains("`url`"));
        assert!(refused(|c| c.save_additional_columns = vec!["a".into(), "a".into()]).contains("`a`"));
    }
}
