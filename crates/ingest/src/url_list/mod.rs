//! Lists of URLs: a file, a folder, a glob or an address, read row by row, never whole.
//!
//! - txt (one URL a line), csv (RFC 4180 quoting), tsv (raw: tabs separate, quotes are text), json and jsonl, each also
//!   packed with gzip, zstd, bzip2 or xz, which the first bytes tell; and parquet.
//! - csv and tsv have a header, unless a field of their first row is an http URL: then the
//!   first such field's column is the URLs', and the first other column the captions', as in
//!   Conceptual Captions. A [`Preset`] knows the columns of its data set.
//! - json is a list of records, streamed, or columns (`{"url": [..]}`, or `{"url": {"0": ..}}` as pandas has it), of
//!   which the wanted ones are held in memory: their rows are complete only at the end.
//! - Additional columns of parquet are booleans, integers of 64 bits, floats of 64 bits, or text: lists, structures and
//!   maps as JSON, times as ISO 8601 has them, unsigned integers of 64 bits as digits. Those of all other formats are
//!   text, JSON values that are no strings as the JSON text that they are. So no value is lost to a type guessed from the
//!   rows before it.
//! - A row that cannot be read is handed on as a [`BadRow`], counted and never dropped. Blank
//!   lines are no rows. Bytes that are not UTF-8 become U+FFFD; such rows are counted.
//! - A damaged part of a parquet file costs the rows in it, each of them counted. A text file that cannot be unpacked
//!   or parsed to its end gives the rows before the damage and one bad row for what is behind it. A file that cannot be
//!   read, and a column that is not there, are errors.

mod columns;
mod compression;
mod files;
mod format;
mod json;
mod line;
mod nested;
mod options;
mod preset;
mod quoted;
mod read_so_far;
mod row_groups;
mod source;
mod tables;
mod text;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shards::metadata::{ColumnKind, ColumnValue};

use crate::error::{Error, Result};

use self::files::ListFile;
pub use self::format::InputFormat;
pub use self::options::InputOptions;
pub use self::preset::Preset;
pub use self::read_so_far::ReadSoFar;
use self::source::Source;

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

impl UrlRow {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        let extra = self.extra.iter().map(ColumnValue::text_bytes).sum::<usize>();
        self.url.len() + self.caption.as_ref().map_or(0, String::len) + extra
    }
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

/// Which columns of a list are wanted.
#[derive(Clone, Debug)]
struct Wanted {
    url: String,
    caption: Option<String>,
    extra: Vec<String>,
    preset: Option<Preset>,
}

impl Wanted {
    /// The column that captions are taken from where the first has none.
    fn second_caption(&self) -> Option<&'static str> {
        self.preset?.second_caption(self.caption.as_deref()?)
    }
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
    files: Vec<ListFile>,
    format: InputFormat,
    wanted: Wanted,
    columns: Columns,
    /// The first file as it was opened to look at its columns: what is far away is asked for once.
    first: Option<Rows>,
    invalid_utf8: Arc<AtomicU64>,
    read: ReadSoFar,
}

impl UrlList {
    /// Finds the files and looks at the columns of the first.
    ///
    /// # Errors
    /// When there is no such file, its format is unknown or a wanted column is not there.
    pub fn open(options: &InputOptions) -> Result<Self> {
        let (files, format) = files::find(options)?;
        let wanted = Wanted {
            url: options.url_col.clone(),
            caption: options.caption_col.clone(),
            extra: options.save_additional_columns.clone(),
            preset: options.preset,
        };
        let columns = Columns { caption: false, extra: Vec::new() };
        let read = ReadSoFar::of(&files);
        let mut list = Self { files, format, wanted, columns, first: None, invalid_utf8: Arc::default(), read };
        let (columns, rows) = list.open_file(0)?;
        list.columns = columns;
        list.first = Some(rows);
        Ok(list)
    }

    /// How many files the list is.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// What messages call file number `index`.
    pub fn file_name(&self, index: usize) -> Arc<Path> {
        self.files.get(index).map_or_else(|| Arc::from(Path::new("")), |file| Arc::clone(&file.name))
    }

    /// The columns that rows come with.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A counter of the rows met so far that were not UTF-8.
    pub fn invalid_utf8_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.invalid_utf8)
    }

    /// How much of it has been read, now and later.
    pub fn read_so_far(&self) -> ReadSoFar {
        self.read.clone()
    }

    /// The rows of file number `index`.
    ///
    /// # Errors
    /// When the file cannot be read, or its columns are not those of the first file.
    pub fn rows(&mut self, index: usize) -> Result<Rows> {
        if let Some(rows) = self.first.take().filter(|_| index == 0) {
            return Ok(rows);
        }
        let (columns, rows) = self.open_file(index)?;
        if columns != self.columns {
            let reason = format!(
                "its columns are not those of `{}`: {columns:?}, not {:?}",
                self.files[0].name.display(),
                self.columns
            );
            return Err(Error::List { path: self.files[index].name.to_path_buf(), reason });
        }
        Ok(rows)
    }

    fn open_file(&self, index: usize) -> Result<(Columns, Rows)> {
        let (file, wanted) = (&self.files[index], &self.wanted);
        let lossy = Lossy(Arc::clone(&self.invalid_utf8));
        let source = || Source::open(file, &self.read);
        match self.format {
            InputFormat::Txt => text::lines(source()?, wanted, lossy),
            InputFormat::Tsv => text::tabbed(source()?, wanted, lossy),
            InputFormat::Csv => quoted::rows(source()?, wanted, lossy),
            InputFormat::Json => json::text(source()?, wanted, lossy),
            InputFormat::Jsonl => json::lines(source()?, wanted, lossy),
            InputFormat::Parquet => tables::rows(file, wanted, lossy, &self.read),
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
    let list = ListFile::local(path);
    let source = || Source::open(&list, &ReadSoFar::of(&[]));
    let row = match format {
        InputFormat::Txt => return Ok(Some((0, None))),
        InputFormat::Json | InputFormat::Jsonl | InputFormat::Parquet => return Ok(None),
        InputFormat::Tsv => text::first_row(source()?)?,
        InputFormat::Csv => quoted::first_row(source()?)?,
    };
    Ok(columns::url_and_caption(&row))
}

#[cfg(test)]
mod every_format;
#[cfg(test)]
mod files_tests;
#[cfg(test)]
mod preset_tests;
#[cfg(test)]
mod tests;
