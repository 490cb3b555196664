//! The flags of `--dataset-type urls`: what is downloaded, in the words of `clipdata download`.

use std::path::{Path, PathBuf};

use clap::Args;
use ingest::url_list::{InputFormat, InputOptions, Preset};
use tools::urls::UrlData;

/// A list of URLs to train on.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data from a list of URLs")]
pub struct Urls {
    /// Folder for the shards; those that are there are used [default: the list's name with -shards]
    #[arg(long, value_name = "DIR")]
    pub download_folder: Option<PathBuf>,
    /// Columns and format of a known data set: cc3m, cc12m, laion, coyo, datacomp, sbu, yfcc or mscoco
    #[arg(long, value_name = "NAME")]
    pub preset: Option<Preset>,
    /// Format of the list: txt, csv, tsv, json, jsonl or parquet [default: by extension]
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,
    /// Column that holds the URL [default: url]
    #[arg(long, value_name = "NAME")]
    pub url_col: Option<String>,
    /// Column that holds the caption [default: caption, where there is a header]
    #[arg(long, value_name = "NAME")]
    pub caption_col: Option<String>,
    /// Rows of a shard, whatever becomes of them; the first one is trained on once it is whole
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    pub number_sample_per_shard: usize,
    /// Shorter side of the pictures in the shards
    #[arg(long, value_name = "PIXELS", default_value_t = 256)]
    pub image_size: u32,
    /// Ask addresses of private networks, too
    #[arg(long)]
    pub allow_private_addresses: bool,
}

impl Urls {
    /// What the flags say of the list `spec`.
    pub fn data(&self, spec: &str) -> UrlData {
        let mut input = InputOptions::of(self.preset, spec);
        input.caption_col.get_or_insert_with(|| "caption".to_owned());
        input.input_format = self.input_format;
        if let Some(column) = &self.url_col {
            input.url_col.clone_from(column);
        }
        if self.caption_col.is_some() {
            input.caption_col.clone_from(&self.caption_col);
        }
        UrlData {
            input,
            folder: self.download_folder.clone().unwrap_or_else(|| beside(Path::new(spec))),
            rows_per_shard: self.number_sample_per_shard,
            image_size: self.image_size,
            private_addresses: self.allow_private_addresses,
        }
    }
}

/// `lists/cc3m.tsv.gz` gives `lists/cc3m-shards`.
fn beside(list: &Path) -> PathBuf {
    let name = list.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = name.split('.').next().unwrap_or_default();
    list.with_file_name(format!("{stem}-shards"))
}

#[test]
fn shards_lie_beside_their_list() {
    assert_eq!(beside(Path::new("lists/cc3m.tsv.gz")), PathBuf::from("lists/cc3m-shards"));
}
