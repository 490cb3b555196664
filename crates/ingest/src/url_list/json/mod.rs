//! Lists in JSON: JSON Lines, a list of records, or columns.
//!
//! Records are read one by one, an unreadable one costs itself. Columns (`{"url": [..], ..}`, or with a label for each
//! cell, `{"url": {"0": ..}, ..}`) come one behind the other, so the wanted ones are held in memory, and only those.

mod cell;
mod held;
mod records;
mod scanner;

use std::sync::Arc;

use super::line::Lines;
use super::source::Source;
use super::{Columns, Lossy, Rows, Wanted};
use crate::error::{Error, Result};

use self::records::Elements;
use self::scanner::{Scanner, Stop};

/// One record a line.
///
/// # Errors
/// When the file cannot be read, none of its first lines is a record, or a wanted column is in none of them.
pub(super) fn lines(source: Source, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let file = Arc::clone(&source.file);
    records::rows(file, Lines::new(source), wanted, lossy)
}

/// One text: a list of records, or columns.
///
/// # Errors
/// When the file cannot be read, is neither, or lacks a wanted column.
pub(super) fn text(source: Source, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let file = Arc::clone(&source.file);
    let wrong = |reason: String| Error::List { path: file.to_path_buf(), reason };
    let mut scanner = Scanner::new(source);
    match scanner.peek() {
        Ok(Some(b'[')) => records::rows(Arc::clone(&file), Elements::new(scanner), wanted, lossy),
        Ok(Some(b'{')) => held::rows(scanner, wanted, lossy),
        Ok(Some(other)) => {
            Err(wrong(format!("expected a list of records or columns, got `{}`", char::from(other).escape_default())))
        }
        Ok(None) => Err(wrong("it is empty (expected a list of records or columns)".into())),
        Err(Stop::Damage(reason)) => Err(wrong(reason)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
