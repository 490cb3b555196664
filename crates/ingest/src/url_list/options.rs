//! What is said about a list.

use std::path::PathBuf;

use shards::metadata::OWN_COLUMNS;

use super::{InputFormat, Preset};
use crate::error::{Error, Result};
use crate::plan::Packing;

/// Which list, and which of its columns.
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// The list: a file; a folder whose files of `input_format` are the lists, in order of name; a glob, or a name
    /// whose braces expand as in `{00..31}`, where no file has that name; or an address, `http://`, `https://` or `s3://`, whose
    /// braces expand as well.
    pub url_list: PathBuf,
    /// Format of the lists; `None`: by extension, or else as the preset has it.
    pub input_format: Option<InputFormat>,
    /// The data set that the list is of; it names the columns of text files that have no header.
    pub preset: Option<Preset>,
    /// The column of URLs; where no column has exactly this name, case is ignored.
    pub url_col: String,
    /// The column of captions; `None`: none are kept, but lists without a header still give theirs.
    pub caption_col: Option<String>,
    /// Further columns to keep.
    pub save_additional_columns: Vec<String>,
    /// Whether a shard ends with each file of the list.
    pub packing: Packing,
}

impl InputOptions {
    /// The defaults for one list.
    pub fn new(url_list: impl Into<PathBuf>) -> Self {
        Self {
            url_list: url_list.into(),
            input_format: None,
            preset: None,
            url_col: "url".into(),
            caption_col: None,
            save_additional_columns: Vec::new(),
            packing: Packing::ByFile,
        }
    }

    /// Those of a data set's list, where one is named, or else the defaults.
    pub fn of(preset: Option<Preset>, url_list: impl Into<PathBuf>) -> Self {
        match preset {
            Some(preset) => preset.options(url_list),
            None => Self::new(url_list),
        }
    }

    /// Checks what a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for column in &self.save_additional_columns {
            if OWN_COLUMNS.contains(&column.as_str()) || seen.contains(&column.as_str()) {
                let reason = format!("`{column}` is the name of a column that every shard has, or is listed twice");
                return Err(Error::Config { option: "save_additional_columns", reason });
            }
            seen.push(column);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_cannot_be_kept_are_named() {
        let refused = |columns: &[&str]| {
            let mut options = InputOptions::new("list.txt");
            options.save_additional_columns = columns.iter().map(ToString::to_string).collect();
            options.validate().unwrap_err().to_string()
        };
        assert!(refused(&["url"]).contains("`url`"));
        assert!(refused(&["a", "a"]).contains("`a`"));
        InputOptions::new("list.txt").validate().unwrap();
    }
}
