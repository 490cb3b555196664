//! Rows that are JSON objects, one behind the other.

use std::path::Path;
use std::sync::Arc;

use shards::metadata::{ColumnKind, ColumnValue};

use super::cell;
use super::scanner::{Scanner, Step, Stop};
use crate::error::{Error, Result};
use crate::url_list::line::{Line, MAX_LINE_BYTES};
use crate::url_list::{BadRow, Columns, ListedRow, Lossy, Rows, UrlRow, Wanted, columns};

/// Records that are looked at to tell what columns there are: writers leave out what a record lacks.
const RECORDS_FOR_COLUMNS: usize = 100;

/// The rows that `lines` are, each an object.
///
/// # Errors
/// When the first of them cannot be read, none is a record, or a wanted column is in none of them.
pub(super) fn rows(
    file: Arc<Path>,
    mut lines: impl Iterator<Item = Result<(u64, Line)>> + Send + 'static,
    wanted: &Wanted,
    lossy: Lossy,
) -> Result<(Columns, Rows)> {
    let first = first_lines(&mut lines)?;
    let names = Names::of(&file, &first, wanted)?;
    let extra = wanted.extra.iter().map(|name| (name.clone(), ColumnKind::Text)).collect();
    let described = Columns { caption: wanted.caption.is_some(), extra };
    let all = first.into_iter().map(Ok).chain(lines);
    let row = move |index: u64, number: u64, line: Line| -> ListedRow {
        let content = match line {
            Line::Whole(bytes) => names.content(&lossy.text(&bytes)),
            Line::Lost(reason) => Err(reason),
        };
        let bad = |reason| BadRow { index, file: Arc::clone(&file), line: number, reason };
        content.map(|content| UrlRow { index, ..content }).map_err(bad)
    };
    let rows = (0..).zip(all).map(move |(index, line)| line.map(|(number, line)| row(index, number, line)));
    Ok((described, Box::new(rows)))
}

fn first_lines(lines: &mut impl Iterator<Item = Result<(u64, Line)>>) -> Result<Vec<(u64, Line)>> {
    let (mut first, mut bytes) = (Vec::new(), 0);
    for line in lines.take(RECORDS_FOR_COLUMNS) {
        let line = line?;
        if let (_, Line::Whole(text)) = &line {
            bytes += text.len() as u64;
        }
        first.push(line);
        if bytes > MAX_LINE_BYTES {
            break;
        }
    }
    Ok(first)
}

/// The wanted columns as records name them.
struct Names {
    url: String,
    caption: Option<String>,
    extra: Vec<String>,
}

impl Names {
    fn of(file: &Path, first: &[(u64, Line)], wanted: &Wanted) -> Result<Self> {
        let (mut header, mut wrong): (Vec<String>, Option<String>) = (Vec::new(), None);
        let mut records = 0;
        for (number, line) in first {
            match line {
                Line::Whole(bytes) => match cell::members(&String::from_utf8_lossy(bytes)) {
                    Ok(members) => {
                        records += 1;
                        header.extend(members.into_iter().map(|(name, _)| name));
                        header.sort();
                        header.dedup();
                    }
                    Err(reason) => wrong = wrong.or_else(|| Some(format!("row {number}: {reason}"))),
                },
                Line::Lost(reason) => wrong = wrong.or_else(|| Some(format!("row {number}: {reason}"))),
            }
        }
        if let Some(wrong) = wrong.filter(|_| records == 0) {
            return Err(Error::List {
                path: file.to_path_buf(),
                reason: format!("it begins without a record: {wrong}"),
            });
        }
        let places = columns::by_header(file, &header, wanted)?;
        let name = |place: usize| header[place].clone();
        Ok(Self {
            url: name(places.url),
            caption: places.caption.map(name),
            extra: places.extra.into_iter().map(name).collect(),
        })
    }

    /// A row of index 0.
    fn content(&self, record: &str) -> cell::Cell<UrlRow> {
        let members = cell::members(record)?;
        let value = |wanted: &String| {
            let found = members.iter().rev().find(|(name, _)| name == wanted);
            let text = found.map_or(Ok(None), |(_, raw)| cell::text(raw));
            text.map_err(|reason| format!("column `{wanted}`: {reason}"))
        };
        let url = value(&self.url)?.filter(|url| !url.trim().is_empty()).ok_or("the URL is missing")?;
        let caption = self.caption.as_ref().map_or(Ok(None), value)?;
        let extra = self.extra.iter().map(|name| Ok(value(name)?.map_or(ColumnValue::Null, ColumnValue::Text)));
        Ok(UrlRow { index: 0, url, caption, extra: extra.collect::<cell::Cell<_>>()? })
    }
}

/// The values of a JSON list with their numbers, from 1.
pub(super) struct Elements {
    scanner: Scanner,
    /// The number of the last value.
    number: u64,
    ended: bool,
}

impl Elements {
    /// The list that `scanner` is before.
    pub(super) fn new(scanner: Scanner) -> Self {
        Self { scanner, number: 0, ended: false }
    }

    fn read(&mut self) -> Step<Option<Line>> {
        if self.number == 0 {
            self.scanner.take(b'[')?;
        }
        if !self.scanner.another(self.number == 0, b']')? {
            return self.scanner.end().map(|()| None);
        }
        let value = self.scanner.value()?;
        Ok(Some(value.map_or_else(|| Line::Lost("the record is too long".into()), Line::Whole)))
    }
}

impl Iterator for Elements {
    type Item = Result<(u64, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended = !matches!(read, Ok(Some(_)));
        self.number += 1;
        match read {
            Ok(line) => line.map(|line| Ok((self.number, line))),
            Err(Stop::Damage(reason)) => Some(Ok((self.number, Line::Lost(reason)))),
            Err(Stop::Failed(error)) => Some(Err(error)),
        }
    }
}
