//! The flags about kinds of data, and where pictures and captions stand in them; of training and of evaluation.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use loader::{CaptionSource, EvalPairs};
use tools::exit::Hint;
use tools::sources;
use tools::training::{DataSource, table};

/// What the flags are where nothing is said, as in open_clip.
const SEPARATOR: &str = "\\t";
const IMG_KEY: &str = "filepath";
const CSV_CAPTION_KEY: &str = "title";
const IMAGE_KEY: &str = "jpg;png;jpeg;webp";
const CAPTION_KEY: &str = "txt";

/// Where pictures and captions stand.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct Keys {
    /// Kind of the training data
    #[arg(long, value_enum, default_value_t = DatasetType::Auto)]
    pub dataset_type: DatasetType,
    /// Between the cells of a CSV file; \t for tab
    #[arg(long, value_name = "CHAR", default_value = SEPARATOR, allow_hyphen_values = true)]
    pub csv_separator: String,
    /// Column of the paths of pictures
    #[arg(long, value_name = "NAME", default_value = IMG_KEY)]
    pub csv_img_key: String,
    /// Column of the captions
    #[arg(long, value_name = "NAME", default_value = CSV_CAPTION_KEY)]
    pub csv_caption_key: String,
    /// Extensions of pictures in shards, the first that a sample has
    #[arg(long, value_name = "A;B", default_value = IMAGE_KEY)]
    pub image_key: String,
    /// Extensions of captions, with weights where one of several is drawn: `txt`, `txt=1;syn.txt=3`, `json:alt=0.5;txt=1`
    #[arg(long, value_name = "KEY[=WEIGHT];…", default_value = CAPTION_KEY)]
    pub caption_key: String,
    /// The same as --caption-key json:KEY
    #[arg(long, value_name = "KEY", conflicts_with = "caption_key")]
    pub json_text_key: Option<String>,
}

/// `--dataset-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DatasetType {
    /// By the extension of --train-data
    Auto,
    /// Tar shards
    Webdataset,
    /// A CSV file with paths and captions
    Csv,
    /// Black pictures, to measure without data
    Synthetic,
    /// A list of URLs and captions: downloaded into shards in the background, and trained on meanwhile
    Urls,
}

impl Keys {
    /// Extensions that count as pictures.
    pub fn image_extensions(&self) -> Vec<String> {
        keys(&self.image_key)
    }

    /// Pairs to evaluate on, of the same kind and with the same keys.
    ///
    /// # Errors
    /// When a value is none of those that it may be, or a table cannot be read.
    pub fn pairs(&self, spec: &str) -> anyhow::Result<EvalPairs> {
        // What is trained on may come from a list; what is kept back is there.
        let kind = if self.dataset_type == DatasetType::Urls { DatasetType::Auto } else { self.dataset_type };
        match self.source(spec, kind)? {
            DataSource::Shards(spec) => Ok(EvalPairs::Shards {
                spec: sources::parse(&spec)?,
                image_extensions: self.image_extensions(),
                captions: self.captions()?,
            }),
            DataSource::Csv { path, separator, image_column, caption_column } => {
                Ok(EvalPairs::Table(Arc::new(table(&path, separator, &image_column, &caption_column)?)))
            }
            DataSource::Rows(table) => Ok(EvalPairs::Table(table)),
            DataSource::Synthetic => bail!("synthetic data have nothing to compare"),
        }
    }

    /// The flags that were given and change nothing for data of this kind, with the reason.
    pub fn without_effect(&self, source: &DataSource) -> Vec<String> {
        let of_tables = [
            ("--csv-separator", self.csv_separator != SEPARATOR),
            ("--csv-img-key", self.csv_img_key != IMG_KEY),
            ("--csv-caption-key", self.csv_caption_key != CSV_CAPTION_KEY),
        ];
        let of_shards = [
            ("--image-key", self.image_key != IMAGE_KEY),
            ("--caption-key", self.caption_key != CAPTION_KEY),
            ("--json-text-key", self.json_text_key.is_some()),
        ];
        let (flags, kind) = match source {
            DataSource::Shards(_) => (of_tables, "shards"),
            DataSource::Csv { .. } => (of_shards, "a table"),
            DataSource::Rows(_) | DataSource::Synthetic => return Vec::new(),
        };
        let given = flags.iter().filter(|(_, given)| *given);
        given.map(|(flag, _)| format!("{flag} has no effect: --train-data is {kind}")).collect()
    }

    /// What a specification names.
    ///
    /// # Errors
    /// When that cannot be told, or the separator is none.
    pub fn source(&self, spec: &str, kind: DatasetType) -> anyhow::Result<DataSource> {
        let ends = |endings: &[&str]| endings.iter().any(|ending| spec.ends_with(ending));
        let csv = || -> anyhow::Result<DataSource> {
            Ok(DataSource::Csv {
                path: Path::new(spec).to_path_buf(),
                separator: separator(&self.csv_separator)?,
                image_column: self.csv_img_key.clone(),
                caption_column: self.csv_caption_key.clone(),
            })
        };
        match kind {
            _ if spec.is_empty() && kind != DatasetType::Synthetic => bail!("expected a name, got none"),
            DatasetType::Synthetic => Ok(DataSource::Synthetic),
            DatasetType::Webdataset => Ok(DataSource::Shards(spec.to_owned())),
            DatasetType::Urls => bail!("a list of URLs is no set of shards"),
            DatasetType::Csv => csv(),
            DatasetType::Auto if ends(&[".csv", ".tsv"]) => csv(),
            DatasetType::Auto if ends(&[".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"]) => {
                Ok(DataSource::Shards(spec.to_owned()))
            }
            DatasetType::Auto => {
                let error = anyhow::anyhow!("`{spec}`: the kind of data cannot be told from its ending");
                let hint = match Path::new(spec).is_dir() {
                    true => format!("name the shards of the folder, such as {spec}/{{00000..00041}}.tar"),
                    false => "--dataset-type webdataset says that these are tar shards, csv that it is a table, urls that it is a \
                              list to download"
                        .to_owned(),
                };
                Err(error.context(Hint(hint)))
            }
        }
    }

    /// Where captions stand.
    ///
    /// # Errors
    /// For a weight that is no number.
    pub fn captions(&self) -> anyhow::Result<Vec<CaptionSource>> {
        match &self.json_text_key {
            Some(key) => Ok(vec![CaptionSource::json(key)]),
            None => keys(&self.caption_key).iter().map(|key| caption(key)).collect(),
        }
    }
}

fn keys(text: &str) -> Vec<String> {
    text.split(';').map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty()).collect()
}

/// `txt`, `json:alt`, `txt=0.5`.
fn caption(text: &str) -> anyhow::Result<CaptionSource> {
    let (key, weight) = match text.split_once('=') {
        Some((key, weight)) => {
            (key, weight.parse().with_context(|| format!("--caption-key: `{weight}` is no weight of `{key}`"))?)
        }
        None => (text, 1.0),
    };
    Ok(match key.split_once(':') {
        Some((extension, json_key)) => {
            CaptionSource { extension: extension.into(), json_key: Some(json_key.into()), weight }
        }
        None => CaptionSource { weight, ..CaptionSource::text(key) },
    })
}

fn separator(text: &str) -> anyhow::Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        b"\\t" => Ok(b'\t'),
        _ => bail!("--csv-separator `{text}`: expected one character, or \\t"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_have_places_and_weights() {
        let text = |extension: &str, weight| CaptionSource { weight, ..CaptionSource::text(extension) };
        assert_eq!(caption("syn.txt=3").unwrap(), text("syn.txt", 3.0));
        assert_eq!(caption("json:alt").unwrap(), CaptionSource::json("alt"));
        assert!(caption("txt=much").is_err());
        assert_eq!(keys("jpg; PNG;"), ["jpg", "png"]);
    }
}
