//! The flags about training data.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use loader::{Augmentation, CaptionSource, MissingEnd, OnError, Policy, Resize, Sampling};
use tools::exit::Hint;
use tools::human::byte_size;
use tools::training::{DataSource, TrainData};

use super::augmentation;

/// Where training data come from, and how they are read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct Data {
    /// Shards to train on: paths, http(s):// or s3:// URLs, or pipe:COMMAND, with {000..999} and `::` between sources; or a
    /// CSV file
    #[arg(long, value_name = "SPEC")]
    pub train_data: Option<String>,
    /// Samples of one epoch; without it sizes.json or the _stats.json files beside the shards tell
    #[arg(long, value_name = "N")]
    pub train_num_samples: Option<u64>,
    /// Kind of the training data
    #[arg(long, value_enum, default_value_t = DatasetType::Auto)]
    pub dataset_type: DatasetType,
    /// Draw shards with replacement
    #[arg(long, conflicts_with = "dataset_epochless")]
    pub dataset_resampled: bool,
    /// Pass after pass in new orders, whatever epochs are, instead of each sample once an epoch
    #[arg(long)]
    pub dataset_epochless: bool,
    /// How much more often the shards of each `::` source are drawn, with --dataset-resampled: 1::2.5
    #[arg(long, value_name = "A::B")]
    pub train_data_upsampling_factors: Option<String>,
    /// Between the cells of a CSV file; \t for tab
    #[arg(long, value_name = "CHAR", default_value = "\\t", allow_hyphen_values = true)]
    pub csv_separator: String,
    /// Column of the paths of pictures
    #[arg(long, value_name = "NAME", default_value = "filepath")]
    pub csv_img_key: String,
    /// Column of the captions
    #[arg(long, value_name = "NAME", default_value = "title")]
    pub csv_caption_key: String,
    /// Extensions of pictures in shards, the first that a sample has
    #[arg(long, value_name = "A;B", default_value = "jpg;png;jpeg;webp")]
    pub image_key: String,
    /// Extensions of captions, with weights where one of several is drawn: `txt`, `txt=1;syn.txt=3`, `json:alt=0.5;txt=1`
    #[arg(long, value_name = "KEY[=WEIGHT];…", default_value = "txt")]
    pub caption_key: String,
    /// The same as --caption-key json:KEY
    #[arg(long, value_name = "KEY", conflicts_with = "caption_key")]
    pub json_text_key: Option<String>,
    /// Bytes of samples held back to mix them, over all ranks; 0 keeps the order of the shards
    #[arg(long, value_name = "BYTES", value_parser = size_or_zero, default_value = "512MB")]
    pub shuffle_buffer: u64,
    /// Numbers of ranks that divide it get the same global batches
    #[arg(long, value_name = "N", default_value_t = loader::LANES)]
    pub lanes: usize,
    /// Shards open side by side, over all ranks [default: up to 24, by the number of shards]
    #[arg(long, value_name = "N")]
    pub open_shards: Option<usize>,
    /// Keep copies of shards from http(s):// and s3:// in this folder
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Bytes of such copies; those used least recently go first
    #[arg(long, value_name = "BYTES", value_parser = byte_size, default_value = "100GB")]
    pub cache_size: u64,
    /// Take a tar without its two closing blocks of zeros for whole
    #[arg(long)]
    pub accept_missing_end: bool,
    /// How often a source that fails (a connection, a command) is opened again, to go on where it failed
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub shard_retries: u32,
    /// What to do about a shard that cannot be read or is cut
    #[arg(long, value_enum, default_value_t = OnTrouble::Skip)]
    pub on_shard_error: OnTrouble,
    /// End the run when more shards than this were skipped
    #[arg(long, value_name = "N")]
    pub max_bad_shards: Option<u64>,
    /// What to do about a sample whose picture does not decode, or that lacks picture or caption
    #[arg(long, value_enum, default_value_t = OnTrouble::Skip)]
    pub on_sample_error: OnTrouble,
    /// End the run when more samples than this were skipped
    #[arg(long, value_name = "N")]
    pub max_bad_samples: Option<u64>,
    /// Leave out pictures of more pixels, by their header [default: 178956970, where Pillow refuses]
    #[arg(long, value_name = "N")]
    pub max_image_pixels: Option<u64>,
    /// How crops are brought to the model's size
    #[arg(long, value_enum, default_value_t = ResizeMode::Fast)]
    pub resize: ResizeMode,
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
}

/// `--on-shard-error`, `--on-sample-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnTrouble {
    /// End the run
    Fail,
    /// Warn, count, go on
    Skip,
}

/// `--resize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResizeMode {
    /// Pillow's bytes
    Exact,
    /// A fraction of a grey level off them in the mean, in less time
    Fast,
}

impl Data {
    /// What is trained on, if anything.
    pub fn spec(&self) -> Option<String> {
        let synthetic = (self.dataset_type == DatasetType::Synthetic).then(String::new);
        self.train_data.clone().or(synthetic)
    }

    /// What the flags say.
    ///
    /// # Errors
    /// When a value is none of those that it may be.
    pub fn train_data(
        &self,
        spec: &str,
        batch_size: usize,
        workers: usize,
        seed: u64,
        aug_cfg: &[String],
    ) -> anyhow::Result<TrainData> {
        let source = self.source(spec)?;
        let resize = if self.resize == ResizeMode::Exact { Resize::Exact } else { Resize::Fast };
        Ok(TrainData {
            source,
            num_samples: self.train_num_samples,
            sampling: match (self.dataset_resampled, self.dataset_epochless) {
                (true, _) => Sampling::Resampled,
                (_, true) => Sampling::Epochless,
                _ => Sampling::Once,
            },
            upsampling_factors: self.upsampling_factors()?,
            augmentation: Augmentation { resize, ..augmentation::parse(aug_cfg)? },
            image_extensions: keys(&self.image_key),
            captions: self.captions()?,
            shuffle_buffer: self.shuffle_buffer,
            lanes: self.lanes,
            open_shards: self.open_shards,
            policy: Policy {
                retries: self.shard_retries,
                on_shard_error: on_error(self.on_shard_error, self.max_bad_shards),
                on_sample_error: on_error(self.on_sample_error, self.max_bad_samples),
            },
            missing_end: if self.accept_missing_end { MissingEnd::IsAccepted } else { MissingEnd::IsACut },
            cache: self.cache_dir.clone().map(|folder| (folder, self.cache_size)),
            max_image_pixels: self.max_image_pixels,
            ..TrainData::shards(spec.to_owned(), batch_size, workers, seed)
        })
    }

    fn source(&self, spec: &str) -> anyhow::Result<DataSource> {
        let ends = |endings: &[&str]| endings.iter().any(|ending| spec.ends_with(ending));
        let csv = || -> anyhow::Result<DataSource> {
            Ok(DataSource::Csv {
                path: Path::new(spec).to_path_buf(),
                separator: separator(&self.csv_separator)?,
                image_column: self.csv_img_key.clone(),
                caption_column: self.csv_caption_key.clone(),
            })
        };
        match self.dataset_type {
            DatasetType::Synthetic => Ok(DataSource::Synthetic),
            DatasetType::Webdataset => Ok(DataSource::Shards(spec.to_owned())),
            DatasetType::Csv => csv(),
            DatasetType::Auto if ends(&[".csv", ".tsv"]) => csv(),
            DatasetType::Auto if ends(&[".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"]) => {
                Ok(DataSource::Shards(spec.to_owned()))
            }
            DatasetType::Auto => {
                let error = anyhow::anyhow!("--train-data `{spec}`: the kind of data cannot be told from its ending");
                let hint = "--dataset-type webdataset says that these are tar shards, csv that it is a table";
                Err(error.context(Hint(hint.to_owned())))
            }
        }
    }

    fn upsampling_factors(&self) -> anyhow::Result<Vec<f64>> {
        let Some(text) = &self.train_data_upsampling_factors else { return Ok(Vec::new()) };
        let factor = |part: &str| {
            part.trim().parse().with_context(|| format!("--train-data-upsampling-factors: `{part}` is no number"))
        };
        text.split("::").map(factor).collect()
    }

    fn captions(&self) -> anyhow::Result<Vec<CaptionSource>> {
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

fn on_error(on_trouble: OnTrouble, at_most: Option<u64>) -> OnError {
    match on_trouble {
        OnTrouble::Fail => OnError::Fail,
        OnTrouble::Skip => OnError::Skip { at_most },
    }
}

fn size_or_zero(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { byte_size(text) }
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
