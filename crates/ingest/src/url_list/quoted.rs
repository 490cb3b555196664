//! Lists with quoting: csv after RFC 4180.
//!
//! A quoted field may span lines, but not many: a quote that is never closed would swallow the rest of the list into one
//! row. Such a line is a bad row, and reading goes on with the line behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use csv::ByteRecord;

use super::line::{Line, Lines};
use super::source::Source;
use super::{BadRow, Columns, Lossy, Rows, Wanted, columns};
use crate::error::Result;

/// Lines that a row may span, and their bytes.
const MAX_LINES: usize = 64;
const MAX_BYTES: usize = 1 << 20;

/// A record, or why a line is none.
type Parsed = std::result::Result<ByteRecord, String>;

/// Commas separate, double quotes protect.
///
/// # Errors
/// When the file cannot be read or lacks a wanted column.
pub(super) fn rows(source: Source, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let file = Arc::clone(&source.file);
    let mut records = Records::new(source);
    let first = records.next().transpose()?;
    let fields = fields_of(first.as_ref().map(|(_, record)| record));
    let (places, header) = columns::of_text(&file, &fields, wanted)?;
    let described = places.columns(wanted);
    let records = first.filter(|_| !header).map(Ok).into_iter().chain(records);
    let rows = (0..).zip(records).map(move |(index, record)| {
        let (line, record) = record?;
        Ok(match record {
            Ok(record) => places.row(record.iter().map(|field| lossy.text(field)).collect(), index, line, &file),
            Err(reason) => Err(BadRow { index, file: Arc::clone(&file), line, reason }),
        })
    });
    Ok((described, Box::new(rows)))
}

/// The fields of a csv's first row; none where it has no rows.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_row(source: Source) -> Result<Vec<String>> {
    let first = Records::new(source).next().transpose()?;
    Ok(fields_of(first.as_ref().map(|(_, record)| record)))
}

fn fields_of(record: Option<&Parsed>) -> Vec<String> {
    let Some(Ok(record)) = record else { return Vec::new() };
    record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}

/// The records of a csv with the numbers of their first lines, or what is wrong with a line.
struct Records {
    lines: Lines,
    /// Lines that were read in vain behind a quote that is never closed.
    again: VecDeque<(u64, Line)>,
}

impl Records {
    fn new(source: Source) -> Self {
        Self { lines: Lines::new(source), again: VecDeque::new() }
    }

    fn line(&mut self) -> Result<Option<(u64, Line)>> {
        self.again.pop_front().map_or_else(|| self.lines.next().transpose(), |line| Ok(Some(line)))
    }

    fn read(&mut self) -> Result<Option<(u64, Parsed)>> {
        let Some((number, first)) = self.line()? else { return Ok(None) };
        let mut text = match first {
            Line::Whole(text) => text,
            Line::Lost(reason) => return Ok(Some((number, Err(reason)))),
        };
        let mut taken: Vec<(u64, Line)> = Vec::new();
        loop {
            let more = match quotes(&text) {
                Quotes::Closed => break,
                Quotes::Open if taken.len() + 1 < MAX_LINES && text.len() < MAX_BYTES => self.line()?,
                Quotes::Open | Quotes::NeverClosed => None,
            };
            let Some((place, Line::Whole(next))) = more else {
                taken.into_iter().chain(more).rev().for_each(|line| self.again.push_front(line));
                return Ok(Some((number, Err("a quote is opened and never closed".into()))));
            };
            text.push(b'\n');
            text.extend_from_slice(&next);
            taken.push((place, Line::Whole(next)));
        }
        Ok(Some((number, parsed(&text))))
    }
}

impl Iterator for Records {
    type Item = Result<(u64, Parsed)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Whether a field that began with a quote needs more lines.
///
/// A quote that closes behind the end of its line has a comma or the end of a line behind it, too: anything else is the
/// start of another row's quoted field, and the first one was never closed.
fn quotes(text: &[u8]) -> Quotes {
    let (mut place, mut start) = (Place::FieldStart, 0);
    for (at, byte) in text.iter().enumerate() {
        place = match (place, byte) {
            (Place::FieldStart, b'"') => {
                start = at;
                Place::Within
            }
            (Place::Within, b'"') => Place::Closed,
            (Place::Within, _) => Place::Within,
            // A doubled quote is one that belongs to the text.
            (Place::Closed, b'"') => Place::Within,
            (_, b',') => Place::FieldStart,
            (Place::Closed, _) if text[start..at].contains(&b'\n') => return Quotes::NeverClosed,
            _ => Place::Plain,
        };
    }
    if place == Place::Within { Quotes::Open } else { Quotes::Closed }
}

/// Where in a record a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Plain,
    Within,
    Closed,
}

#[derive(PartialEq, Eq)]
enum Quotes {
    Closed,
    Open,
    NeverClosed,
}

fn parsed(text: &[u8]) -> Parsed {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|error| error.to_string())?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<(u64, std::result::Result<Vec<String>, String>)> {
        let fields = |record: ByteRecord| record.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
        Records::new(Source::in_memory("list.csv", text))
            .map(|record| record.map(|(line, record)| (line, record.map(fields))).unwrap())
            .collect()
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_line_only() {
        let found = records("u1,\"abc\nu2,z\nu3,\"y\"\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[0].0, found[0].1.is_err()), (1, true));
        assert_eq!(found[1], (2, Ok(vec!["u2".into(), "z".into()])));
        assert_eq!(found[2], (3, Ok(vec!["u3".into(), "y".into()])));
    }

    #[test]
    fn quoted_fields_span_lines_and_stray_quotes_are_text() {
        let found = records("u1,\"a \"\"b\"\"\nc\"\nu2,5\" pipe\n");
        assert_eq!(found[0], (1, Ok(vec!["u1".into(), "a \"b\"\nc".into()])));
        assert_eq!(found[1], (3, Ok(vec!["u2".into(), "5\" pipe".into()])));
        assert_eq!(records("\"a\"b,c\n")[0], (1, Ok(vec!["ab".into(), "c".into()])));
    }
}
