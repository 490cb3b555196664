//! Lists without quoting: txt and tsv.

use std::sync::Arc;

use super::line::{Line, Lines};
use super::source::Source;
use super::{BadRow, Columns, ListedRow, Lossy, Rows, UrlRow, Wanted, columns};
use crate::error::{Error, Result};

/// One URL a line, whatever else the line holds.
///
/// # Errors
/// When columns are wanted that only tables have.
pub(super) fn lines(source: Source, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let file = Arc::clone(&source.file);
    if let Some(column) = wanted.caption.iter().chain(&wanted.extra).next() {
        let available = "one URL a line".to_string();
        return Err(Error::MissingColumn { path: file.to_path_buf(), column: column.clone(), available });
    }
    let row = move |index: u64, number: u64, line: Line| match line {
        Line::Whole(bytes) => {
            Ok(UrlRow { index, url: lossy.text(bytes.trim_ascii()), caption: None, extra: Vec::new() })
        }
        Line::Lost(reason) => Err(BadRow { index, file: Arc::clone(&file), line: number, reason }),
    };
    Ok((Columns { caption: false, extra: Vec::new() }, numbered(Lines::new(source), row)))
}

/// Tabs separate; a quote is text like any other.
///
/// # Errors
/// When the file cannot be read or lacks a wanted column.
pub(super) fn tabbed(source: Source, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let file = Arc::clone(&source.file);
    let mut lines = Lines::new(source);
    let first = lines.next().transpose()?;
    let fields = fields_of(first.as_ref().map(|(_, line)| line));
    let (places, header) = columns::of_text(&file, &fields, wanted)?;
    let described = places.columns(wanted);
    let row = move |index: u64, number: u64, line: Line| match line {
        Line::Whole(bytes) => places.row(split(&lossy.text(&bytes)), index, number, &file),
        Line::Lost(reason) => Err(BadRow { index, file: Arc::clone(&file), line: number, reason }),
    };
    let first = first.filter(|_| !header).map(Ok);
    Ok((described, numbered(first.into_iter().chain(lines), row)))
}

/// The fields of a tsv's first row; none where it has no rows.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_row(source: Source) -> Result<Vec<String>> {
    let first = Lines::new(source).next().transpose()?;
    Ok(fields_of(first.as_ref().map(|(_, line)| line)))
}

fn fields_of(line: Option<&Line>) -> Vec<String> {
    match line {
        Some(Line::Whole(bytes)) => split(&String::from_utf8_lossy(bytes)),
        Some(Line::Lost(_)) | None => Vec::new(),
    }
}

fn split(line: &str) -> Vec<String> {
    line.split('\t').map(String::from).collect()
}

fn numbered(
    lines: impl Iterator<Item = Result<(u64, Line)>> + Send + 'static,
    row: impl Fn(u64, u64, Line) -> ListedRow + Send + 'static,
) -> Rows {
    Box::new((0..).zip(lines).map(move |(index, line)| line.map(|(number, line)| row(index, number, line))))
}
