//! The lists of known data sets: their columns, and their formats where their names do not say them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{InputFormat, InputOptions};

/// A data set whose list is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Conceptual Captions: `caption TAB url`, no header.
    Cc3m,
    /// Conceptual 12M: `url TAB caption`, no header.
    Cc12m,
    /// LAION-400M, LAION-5B and what was made of them: `URL`, `TEXT`.
    Laion,
    /// COYO-700M: `url`, `text`.
    Coyo,
    /// The pools of DataComp: `url`, `text`.
    Datacomp,
    /// SBU Captions: a JSON text of the columns `image_urls` and `captions`.
    Sbu,
    /// YFCC100M: url-encoded text between tabs, no header; the caption is the title, or else the description.
    /// One row in a hundred is a video, and fails as one that is not a picture.
    Yfcc,
    /// MS COCO as img2dataset hands it out: `URL`, `TEXT`.
    Mscoco,
}

/// The columns of YFCC100M; the first release had neither of the first line's numbers nor hashes.
const YFCC: [&str; 25] = [
    "line_number",
    "photo_id",
    "hash",
    "user_nsid",
    "user_nickname",
    "date_taken",
    "date_uploaded",
    "capture_device",
    "title",
    "description",
    "user_tags",
    "machine_tags",
    "longitude",
    "latitude",
    "accuracy",
    "page_url",
    "download_url",
    "license_name",
    "license_url",
    "server",
    "farm",
    "secret",
    "secret_original",
    "extension",
    "marker",
];
const YFCC_FIRST_RELEASE: [&str; 23] = without_number_and_hash();

const fn without_number_and_hash() -> [&'static str; 23] {
    let mut names = [""; 23];
    names[0] = YFCC[1];
    let mut at = 1;
    while at < names.len() {
        names[at] = YFCC[at + 2];
        at += 1;
    }
    names
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Cc3m, Self::Cc12m, Self::Laion, Self::Coyo, Self::Datacomp, Self::Sbu, Self::Yfcc, Self::Mscoco];

    /// Its name in options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cc3m => "cc3m",
            Self::Cc12m => "cc12m",
            Self::Laion => "laion",
            Self::Coyo => "coyo",
            Self::Datacomp => "datacomp",
            Self::Sbu => "sbu",
            Self::Yfcc => "yfcc",
            Self::Mscoco => "mscoco",
        }
    }

    /// The options for its list, to be changed where a file has other columns.
    pub fn options(self, url_list: impl Into<PathBuf>) -> InputOptions {
        let (url_col, caption_col) = self.columns();
        InputOptions {
            url_col: url_col.into(),
            caption_col: Some(caption_col.into()),
            preset: Some(self),
            ..InputOptions::new(url_list)
        }
    }

    /// The columns of URLs and of captions.
    fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Cc3m | Self::Cc12m => ("url", "caption"),
            Self::Laion | Self::Mscoco => ("URL", "TEXT"),
            Self::Coyo | Self::Datacomp => ("url", "text"),
            Self::Sbu => ("image_urls", "captions"),
            Self::Yfcc => ("download_url", "title"),
        }
    }

    /// The format of files whose names do not say it.
    pub(super) fn format(self) -> InputFormat {
        match self {
            Self::Cc3m | Self::Cc12m | Self::Yfcc => InputFormat::Tsv,
            Self::Sbu => InputFormat::Json,
            Self::Laion | Self::Coyo | Self::Datacomp | Self::Mscoco => InputFormat::Parquet,
        }
    }

    /// The names of the columns of a text file that has no header and `width` columns.
    pub(super) fn names(self, width: usize) -> Option<&'static [&'static str]> {
        match self {
            Self::Cc3m if width == 5 => Some(&["caption", "url", "labels", "mids", "confidence_scores"]),
            Self::Cc3m => Some(&["caption", "url"]),
            Self::Cc12m => Some(&["url", "caption"]),
            Self::Yfcc if width == YFCC_FIRST_RELEASE.len() => Some(&YFCC_FIRST_RELEASE),
            Self::Yfcc => Some(&YFCC),
            Self::Laion | Self::Coyo | Self::Datacomp | Self::Sbu | Self::Mscoco => None,
        }
    }

    /// The column of captions for rows that have none in `caption_col`.
    pub(super) fn second_caption(self, caption_col: &str) -> Option<&'static str> {
        (self == Self::Yfcc && caption_col == self.columns().1).then_some("description")
    }

    /// Whether the texts of text files are encoded as in a URL, with `+` for a space.
    pub(super) fn url_encoded(self) -> bool {
        self == Self::Yfcc
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|preset| preset.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|preset| preset.as_str()).collect();
            format!("unknown preset `{text}` (expected one of {})", names.join(", "))
        })
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that was encoded as in a URL.
pub(super) fn url_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_found_by_its_name() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse(), Ok(preset));
        }
        assert!("imagenet".parse::<Preset>().unwrap_err().contains("cc3m, cc12m"));
    }

    #[test]
    fn the_first_release_of_yfcc_begins_with_the_photo() {
        assert_eq!(YFCC_FIRST_RELEASE[..2], ["photo_id", "user_nsid"]);
        assert_eq!(YFCC_FIRST_RELEASE[22], "marker");
    }
}
