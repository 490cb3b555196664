//! Lists with quoting: csv after RFC 4180.

use std::path::Path;
use std::sync::Arc;

use csv::ByteRecord;

use super::line::{Source, open};
use super::{Columns, Lossy, Rows, Wanted, columns};
use crate::error::{Error, Result};

type Reader = csv::Reader<Source>;

/// Commas separate, double quotes protect.
///
/// # Errors
/// When the file cannot be read or lacks a wanted column.
pub(super) fn rows(path: Arc<Path>, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let mut reader = reader(&path)?;
    let first = fields_of_first(&mut reader, &path)?;
    let places = match columns::by_first_row(&path, &first, wanted)? {
        Some(places) => {
            reader = self::reader(&path)?;
            places
        }
        None => columns::by_header(&path, &first, wanted)?,
    };
    let described = places.columns(wanted);
    let rows = (0..).zip(reader.into_byte_records()).map(move |(index, record)| {
        let record = record.map_err(|e| broken(&path, &e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields = record.iter().map(|field| lossy.text(field)).collect();
        Ok(places.row(fields, index, line, &path))
    });
    Ok((described, Box::new(rows)))
}

/// The fields of a csv's first row; none where it has no rows.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_row(path: &Path) -> Result<Vec<String>> {
    fields_of_first(&mut reader(path)?, path)
}

fn fields_of_first(reader: &mut Reader, path: &Path) -> Result<Vec<String>> {
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|e| broken(path, &e))?;
    Ok(record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect())
}

fn reader(path: &Path) -> Result<Reader> {
    Ok(csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(open(path)?))
}

fn broken(path: &Path, reason: &csv::Error) -> Error {
    Error::List { path: path.to_path_buf(), reason: reason.to_string() }
}
