//! Which rows of which list.

use std::path::PathBuf;

use clap::Args;
use ingest::url_list::InputOptions;

use super::values::{list, optional};

/// The list and its columns.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct Input {
    /// The list: .tsv (with a header, or caption TAB url as cc3m has it), .csv, .txt or .parquet
    #[arg(value_name = "URL_LIST", required_unless_present = "url_list_flag")]
    pub url_list: Option<PathBuf>,
    /// The list, as img2dataset names it
    #[arg(long = "url-list", id = "url_list_flag", value_name = "URL_LIST", conflicts_with = "url_list", hide = true)]
    pub url_list_flag: Option<PathBuf>,
    /// Column that holds the URL [default: url]
    #[arg(long, value_name = "NAME")]
    pub url_col: Option<String>,
    /// Column that holds the caption; without it only headerless lists (caption TAB url) have captions
    #[arg(long, value_name = "NAME")]
    pub caption_col: Option<String>,
    /// Other columns to keep in the metadata
    #[arg(long, value_name = "NAMES")]
    pub save_additional_columns: Option<String>,
}

impl Input {
    /// What the flags say.
    pub fn options(self) -> anyhow::Result<InputOptions> {
        let mut options = InputOptions::new(self.url_list.or(self.url_list_flag).unwrap_or_default());
        if let Some(url_col) = self.url_col {
            options.url_col = url_col;
        }
        options.caption_col = optional(self.caption_col);
        options.save_additional_columns = list(&self.save_additional_columns.unwrap_or_default());
        Ok(options)
    }
}
