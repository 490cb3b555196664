//! Which rows of which list.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use ingest::plan::Packing;
use ingest::url_list::{InputFormat, InputOptions, Preset};

use tools::exit::Hint;

use super::values::{list, optional, switch};

/// The list and its columns.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct Input {
    /// The list: txt, csv, tsv, json, jsonl (each also .gz, .zst, .bz2 or .xz) or parquet; a file, a folder, a glob in
    /// quotes, http(s):// or s3://, with braces as in s3://bucket/part-{000..127}.parquet; - for standard input
    #[arg(value_name = "URL_LIST", required_unless_present = "url_list_flag")]
    pub url_list: Vec<PathBuf>,
    /// The list, as img2dataset names it
    #[arg(long = "url-list", id = "url_list_flag", value_name = "URL_LIST", hide = true)]
    pub url_list_flag: Option<PathBuf>,
    /// Columns and format of a known data set: cc3m, cc12m, laion, coyo, datacomp, sbu, yfcc or mscoco; other flags win
    #[arg(long, value_name = "NAME")]
    pub preset: Option<Preset>,
    /// Format of the list: txt, csv, tsv, json, jsonl or parquet [default: by extension]; of a folder, which files to take
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<InputFormat>,
    /// Column that holds the URL [default: url]
    #[arg(long, value_name = "NAME")]
    pub url_col: Option<String>,
    /// Column that holds the caption; without it only headerless lists (caption TAB url) have captions
    #[arg(long, value_name = "NAME")]
    pub caption_col: Option<String>,
    /// Other columns to keep in the metadata
    #[arg(long, value_name = "NAMES")]
    pub save_additional_columns: Option<String>,
    /// Fill shards across the files of the list, instead of ending one with each file as img2dataset does
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub pack_across_files: bool,
}

impl Input {
    /// What the flags say.
    ///
    /// # Errors
    /// When they name more than one list.
    pub fn options(self) -> anyhow::Result<InputOptions> {
        let mut lists = self.url_list.into_iter().chain(self.url_list_flag);
        let url_list = lists.next().unwrap_or_default();
        let url_list = if url_list == Path::new("-") { PathBuf::from("/dev/stdin") } else { url_list };
        if url_list == Path::new("/dev/stdin") && self.input_format.is_none() && self.preset.is_none() {
            bail!("--input-format: needed for a list on standard input, whose name does not tell it");
        }
        if let Some(second) = lists.next() {
            let error = anyhow!("two lists are named, `{}` and `{}`", url_list.display(), second.display());
            return Err(error.context(Hint("put a glob in quotes, 'lists/*.parquet', or name a folder".to_owned())));
        }
        let mut options = InputOptions::of(self.preset, url_list);
        options.input_format = self.input_format;
        if let Some(url_col) = self.url_col {
            options.url_col = url_col;
        }
        // `None` is a choice too: no captions, whatever the preset says.
        if self.caption_col.is_some() {
            options.caption_col = optional(self.caption_col);
        }
        options.save_additional_columns = list(&self.save_additional_columns.unwrap_or_default());
        if self.pack_across_files {
            options.packing = Packing::AcrossFiles;
        }
        Ok(options)
    }
}
