//! Lists without quoting: txt and tsv.

use std::path::Path;
use std::sync::Arc;

use super::line::{Line, Lines, open};
use super::{BadRow, Columns, ListedRow, Lossy, Rows, UrlRow, Wanted, columns};
use crate::error::{Error, Result};

/// One URL a line, whatever else the line holds.
///
/// # Errors
/// When the file cannot be read, or columns are wanted that only tables have.
pub(super) fn lines(path: Arc<Path>, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    if let Some(column) = wanted.caption.iter().chain(&wanted.extra).next() {
        let available = "one URL a line".to_string();
        return Err(Error::MissingColumn { path: path.to_path_buf(), column: column.clone(), available });
    }
    let lines = Lines::new(open(&path)?);
    let file = Arc::clone(&path);
    let row = move |index: u64, number: u64, line: Line| match line {
        Line::Whole(bytes) => {
            Ok(UrlRow { index, url: lossy.text(bytes.trim_ascii()), caption: None, extra: Vec::new() })
        }
        Line::TooLong => Err(too_long(index, number, &file)),
    };
    Ok((Columns { caption: false, extra: Vec::new() }, numbered(lines, path, row)))
}

/// Tabs separate; a quote is text like any other.
///
/// # Errors
/// When the file cannot be read or lacks a wanted column.
pub(super) fn tabbed(path: Arc<Path>, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let mut header_lines = Lines::new(open(&path)?);
    let first = fields_of_first(&mut header_lines, &path)?;
    let (places, lines) = match columns::by_first_row(&path, &first, wanted)? {
        Some(places) => (places, Lines::new(open(&path)?)),
        None => (columns::by_header(&path, &first, wanted)?, header_lines),
    };
    let described = places.columns(wanted);
    let file = Arc::clone(&path);
    let row = move |index: u64, number: u64, line: Line| match line {
        Line::Whole(bytes) => places.row(split(&lossy.text(&bytes)), index, number, &file),
        Line::TooLong => Err(too_long(index, number, &file)),
    };
    Ok((described, numbered(lines, path, row)))
}

/// The fields of a tsv's first row; none where it has no rows.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_row(path: &Path) -> Result<Vec<String>> {
    fields_of_first(&mut Lines::new(open(path)?), path)
}

fn fields_of_first(lines: &mut Lines, path: &Path) -> Result<Vec<String>> {
    Ok(match lines.next().transpose().map_err(Error::io("read the url list", path))? {
        Some((_, Line::Whole(bytes))) => split(&String::from_utf8_lossy(&bytes)),
        Some((_, Line::TooLong)) | None => Vec::new(),
    })
}

fn split(line: &str) -> Vec<String> {
    line.split('\t').map(String::from).collect()
}

fn too_long(index: u64, line: u64, file: &Arc<Path>) -> BadRow {
    BadRow { index, file: Arc::clone(file), line, reason: "the line is too long".into() }
}

fn numbered(lines: Lines, path: Arc<Path>, row: impl Fn(u64, u64, Line) -> ListedRow + Send + 'static) -> Rows {
    Box::new((0..).zip(lines).map(move |(index, line)| {
        let (number, line) = line.map_err(Error::io("read the url list", &path))?;
        Ok(row(index, number, line))
    }))
}
