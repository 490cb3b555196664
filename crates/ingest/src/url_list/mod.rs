//! Lists of URLs: one file or a folder of files, read row by row, never whole.
//!
//! - txt (one URL a line), csv (RFC 4180 quoting), tsv (raw: tabs separate, quotes are text),
//!   each also with `.gz` behind it, and parquet.
//! - csv and tsv have a header, unless a field of their first row is an http URL: then the
//!   first such field's column is the URLs', and the first other column the captions', as in
//!   Conceptual Captions.
//! - A row that cannot be read is handed on as a [`BadRow`], counted and never dropped. Blank
//!   lines are no rows. Bytes that are not UTF-8 become U+FFFD; such rows are counted.
//! - A damaged part of a parquet file costs the rows in it, each of them counted. A text file that cannot be read on,
//!   and a column that is not there, are errors.

mod columns;
mod line;
mod options;
mod quoted;
mod row_groups;
mod tables;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shards::metadata::{ColumnKind, ColumnValue};

use crate::error::{Error, Result};

pub use self::options::InputOptions;

/// One row of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct UrlRow {
    /// Place of the row in its file, from 0; blank lines and the header do not count.
    pub index: u64,
    /// The URL as it stands in the list.
    pub url: String,
    /// The caption, where the list has one for this row.
    pub caption: Option<String>,
    /// The cells of the additional columns, in their order.
    pub extra: Vec<ColumnValue>,
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Place of the row in its file, from 0.
    pub index: u64,
    /// The list.
    pub file: Arc<Path>,
    /// Line of the list, or row of the table, from 1.
    pub line: u64,
    /// What was expected and what came.
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` line {}: {}", self.file.display(), self.line, self.reason)
    }
}

/// A row, or what stands in its place.
pub type ListedRow = std::result::Result<UrlRow, BadRow>;

/// The rows of one file.
pub type Rows = Box<dyn Iterator<Item = Result<ListedRow>> + Send>;

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// One URL a line.
    Txt,
    /// Commas separate, quotes protect.
    Csv,
    /// Tabs separate, quotes are text.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

impl InputFormat {
    /// The extension of such files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
        }
    }

    /// The format that the name of `path` says, `.gz` not looked at.
    ///
    /// # Errors
    /// When the extension is none of the known ones.
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        extension.parse().map_err(|reason| Error::List { path: path.to_path_buf(), reason })
    }
}

impl FromStr for InputFormat {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "txt" => Ok(Self::Txt),
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "parquet" => Ok(Self::Parquet),
            _ => Err(format!("unknown input format `{text}` (expected txt, csv, tsv or parquet)")),
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which columns of a list are wanted.
#[derive(Clone, Debug)]
struct Wanted {
    url: String,
    caption: Option<String>,
    extra: Vec<String>,
}

/// What the columns of all files of a list are, as the first file has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Whether rows have captions.
    pub caption: bool,
    /// Names and types of the additional columns.
    pub extra: Vec<(String, ColumnKind)>,
}

/// A list of URLs, opened.
pub struct UrlList {
    files: Vec<PathBuf>,
    format: InputFormat,
    wanted: Wanted,
    columns: Columns,
    invalid_utf8: Arc<AtomicU64>,
}

impl UrlList {
    /// Finds the files and looks at the columns of the first.
    ///
    /// # Errors
    /// When there is no such file, its format is unknown or a wanted column is not there.
    pub fn open(options: &InputOptions) -> Result<Self> {
        let (files, format) = files(&options.url_list, options.input_format)?;
        let wanted = Wanted {
            url: options.url_col.clone(),
            caption: options.caption_col.clone(),
            extra: options.save_additional_columns.clone(),
        };
        let columns = Columns { caption: false, extra: Vec::new() };
        let mut list = Self { files, format, wanted, columns, invalid_utf8: Arc::default() };
        list.columns = list.open_file(0)?.0;
        Ok(list)
    }

    /// The files, in the order they are read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The columns that rows come with.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A counter of the rows met so far that were not UTF-8.
    pub fn invalid_utf8_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.invalid_utf8)
    }

    /// The rows of file number `index`.
    ///
    /// # Errors
    /// When the file cannot be read, or its columns are not those of the first file.
    pub fn rows(&self, index: usize) -> Result<Rows> {
        let (columns, rows) = self.open_file(index)?;
        if columns.extra != self.columns.extra {
            let reason = format!(
                "additional columns have other types than in `{}`: {:?}, not {:?}",
                self.files[0].display(),
                columns.extra,
                self.columns.extra
            );
            return Err(Error::List { path: self.files[index].clone(), reason });
        }
        Ok(rows)
    }

    fn open_file(&self, index: usize) -> Result<(Columns, Rows)> {
        let path: Arc<Path> = Arc::from(self.files[index].as_path());
        let lossy = Lossy(Arc::clone(&self.invalid_utf8));
        match self.format {
            InputFormat::Txt => text::lines(path, &self.wanted, lossy),
            InputFormat::Tsv => text::tabbed(path, &self.wanted, lossy),
            InputFormat::Csv => quoted::rows(path, &self.wanted, lossy),
            InputFormat::Parquet => tables::rows(path, &self.wanted, lossy),
        }
    }
}

/// Turns bytes into text, counting those that are not UTF-8.
#[derive(Clone)]
struct Lossy(Arc<AtomicU64>);

impl Lossy {
    fn text(&self, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.0.fetch_add(1, Ordering::Relaxed);
                String::from_utf8_lossy(bytes).into_owned()
            }
        }
    }
}

/// Places of the URL and the caption in a list without a header; `None` where it has one.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn first_row_columns(path: &Path, format: InputFormat) -> Result<Option<(usize, Option<usize>)>> {
    let row = match format {
        InputFormat::Txt => return Ok(Some((0, None))),
        InputFormat::Parquet => return Ok(None),
        InputFormat::Tsv => text::first_row(path)?,
        InputFormat::Csv => quoted::first_row(path)?,
    };
    Ok(columns::url_and_caption(&row))
}

/// A file stands for itself, a folder for its files of the format, sorted by name.
fn files(path: &Path, format: Option<InputFormat>) -> Result<(Vec<PathBuf>, InputFormat)> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open the url list", path))?;
    if !metadata.is_dir() {
        let format = format.map_or_else(|| InputFormat::of(path), Ok)?;
        return Ok((vec![path.to_path_buf()], format));
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io("read", path))? {
        let file = entry.map_err(Error::io("read", path))?.path();
        let found = InputFormat::of(&file).ok().filter(|_| file.is_file());
        if found.is_some_and(|found| format.is_none_or(|wanted| wanted == found)) {
            files.push((file, found.unwrap_or(InputFormat::Txt)));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let Some((_, first)) = files.first().cloned() else {
        let wanted = format.map_or("txt, csv, tsv or parquet", InputFormat::as_str);
        return Err(Error::List { path: path.to_path_buf(), reason: format!("the folder has no {wanted} file") });
    };
    if let Some((other, found)) = files.iter().find(|(_, found)| *found != first) {
        let reason = format!("the folder mixes {first} and {found} (`{}`): name the input format", other.display());
        return Err(Error::List { path: path.to_path_buf(), reason });
    }
    Ok((files.into_iter().map(|(file, _)| file).collect(), first))
}

#[cfg(test)]
mod tests;
