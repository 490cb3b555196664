//! A table of picture files and captions, as open_clip's CSV data sets are. It is held as one text, so that millions of
//! rows cost little more than their bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Rows of a picture's path and its caption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    name: Option<Arc<str>>,
    text: String,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    start: usize,
    path_bytes: u32,
    caption_bytes: u32,
}

impl Table {
    /// Reads a file whose first line names the columns; `separator` stands between cells, which may be quoted.
    ///
    /// # Errors
    /// When it cannot be read, lacks one of the columns, or has a row with fewer cells; the line is named.
    pub fn read(path: &Path, separator: u8, path_column: &str, caption_column: &str) -> Result<Self> {
        let broken = |reason: String| Error::Table { path: path.to_path_buf(), reason };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .from_path(path)
            .map_err(|error| broken(error.to_string()))?;
        let headers = reader.byte_headers().map_err(|error| broken(error.to_string()))?.clone();
        let column = |name: &str| {
            let named: Vec<_> = headers.iter().map(String::from_utf8_lossy).collect();
            let place = named.iter().position(|header| header == name);
            let whole = if named.len() == 1 { " (one column: another character may stand between cells)" } else { "" };
            place.ok_or_else(|| broken(format!("expected a column `{name}`, got: {}{whole}", named.join(", "))))
        };
        let (paths, captions) = (column(path_column)?, column(caption_column)?);
        let name = Some(path.display().to_string().into());
        let (mut table, mut record) = (Self { name, ..Self::default() }, csv::ByteRecord::new());
        while reader.read_byte_record(&mut record).map_err(|error| broken(error.to_string()))? {
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| {
                let cell = record.get(column).map(String::from_utf8_lossy);
                cell.ok_or_else(|| {
                    broken(format!("line {line} has {} cells (expected {})", record.len(), headers.len()))
                })
            };
            table.push(&cell(paths)?, &cell(captions)?);
        }
        if table.rows.is_empty() { Err(broken("it has no rows".into())) } else { Ok(table) }
    }

    /// A table of these paths and captions.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Self {
        let mut table = Self::default();
        rows.into_iter().for_each(|(path, caption)| table.push(&path.to_string_lossy(), caption));
        table
    }

    fn push(&mut self, path: &str, caption: &str) {
        let bytes = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let row = Row { start: self.text.len(), path_bytes: bytes(path), caption_bytes: bytes(caption) };
        self.text.push_str(path);
        self.text.push_str(caption);
        self.rows.push(row);
    }

    /// The file that it was read from.
    pub fn name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| Arc::from("the list of pictures"))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none; [`Table::read`] makes no such table.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Path and caption of a row.
    pub(crate) fn row(&self, index: usize) -> (PathBuf, &str) {
        let Row { start, path_bytes, caption_bytes } = self.rows[index];
        let middle = start + path_bytes as usize;
        (PathBuf::from(&self.text[start..middle]), &self.text[middle..middle + caption_bytes as usize])
    }

    /// What stands for its content where two tables are compared.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str, separator: u8) -> Result<Table> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        std::fs::write(&path, content).unwrap();
        Table::read(&path, separator, "filepath", "title")
    }

    #[test]
    fn rows_keep_their_order_and_quotes() {
        let table =
            read("title\tfilepath\tx\na cat\ta/1.jpg\t0\n\"two\nlines, \"\"quoted\"\"\"\tb.png\t0\n", b'\t').unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(table.row(0), (PathBuf::from("a/1.jpg"), "a cat"));
        assert_eq!(table.row(1), (PathBuf::from("b.png"), "two\nlines, \"quoted\""));
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |content: &str, separator| read(content, separator).unwrap_err().to_string();
        assert!(message("title,filepath\na,b\n", b'\t').contains("`filepath`, got: title,filepath (one column"));
        assert!(message("title,filepath\na,b\nc\n", b',').contains("line 3"));
        assert!(message("title,filepath\n", b',').contains("no rows"));
    }
}
