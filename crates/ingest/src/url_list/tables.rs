//! Lists in parquet: only the wanted columns are read, batch by batch.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use shards::metadata::{ColumnKind, ColumnValue};

use super::{BadRow, Columns, ListedRow, Rows, UrlRow, Wanted, columns};
use crate::error::{Error, Result};

/// What a conversion between arrow's types comes to.
type Converted<T> = std::result::Result<T, ArrowError>;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// The rows of a parquet file.
///
/// # Errors
/// When the file cannot be read or lacks a wanted column.
pub(super) fn rows(path: Arc<Path>, wanted: &Wanted) -> Result<(Columns, Rows)> {
    let file = File::open(&path).map_err(Error::io("open the url list", &path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(&path, &e))?;
    let fields = builder.schema().fields();
    let header: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    let places = columns::by_header(&path, &header, wanted)?;
    let kinds: Vec<_> = places.extra.iter().map(|place| kind(fields[*place].data_type())).collect();

    let mut read: Vec<usize> = places.extra.iter().chain(places.caption.iter()).copied().collect();
    read.push(places.url);
    let mask = ProjectionMask::roots(builder.parquet_schema(), read.iter().copied());
    read.sort_unstable();
    read.dedup();
    let within = |place: usize| read.iter().position(|read| *read == place).unwrap_or(0);
    let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|e| broken(&path, &e))?;
    let cells = Cells {
        url: within(places.url),
        caption: places.caption.map(within),
        extra: places.extra.iter().map(|place| within(*place)).zip(kinds.iter().copied()).collect(),
    };
    let extra = wanted.extra.iter().cloned().zip(kinds).collect();
    let described = Columns { caption: places.caption.is_some(), extra };
    Ok((described, Box::new(TableRows { path, batches, cells, next: 0, ready: Vec::new().into_iter() })))
}

fn broken(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::List { path: path.to_path_buf(), reason: reason.to_string() }
}

fn kind(data_type: &DataType) -> ColumnKind {
    match data_type {
        DataType::Boolean => ColumnKind::Boolean,
        // Integers of 64 bits without a sign may not fit; as text nothing is lost.
        DataType::UInt64 => ColumnKind::Text,
        other if other.is_integer() => ColumnKind::Integer,
        other if other.is_floating() => ColumnKind::Float,
        _ => ColumnKind::Text,
    }
}

/// Places of the columns within a batch.
struct Cells {
    url: usize,
    caption: Option<usize>,
    extra: Vec<(usize, ColumnKind)>,
}

struct TableRows {
    path: Arc<Path>,
    batches: ParquetRecordBatchReader,
    cells: Cells,
    next: u64,
    ready: std::vec::IntoIter<ListedRow>,
}

impl Iterator for TableRows {
    type Item = Result<ListedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.next() {
                return Some(Ok(row));
            }
            let rows = match self.batches.next()? {
                Ok(batch) => self.rows(&batch),
                Err(e) => Err(e),
            };
            match rows {
                Ok(rows) => self.ready = rows.into_iter(),
                Err(e) => return Some(Err(broken(&self.path, &e))),
            }
        }
    }
}

impl TableRows {
    fn rows(&mut self, batch: &RecordBatch) -> Converted<Vec<ListedRow>> {
        let urls = texts(batch.column(self.cells.url))?;
        let captions = self.cells.caption.map(|place| texts(batch.column(place))).transpose()?;
        let extra = self.cells.extra.iter().map(|(place, kind)| values(batch.column(*place), *kind));
        let mut extra: Vec<_> = extra.map(|column| column.map(Vec::into_iter)).collect::<Converted<_>>()?;
        let mut captions = captions.map(Vec::into_iter);
        let mut rows = Vec::with_capacity(batch.num_rows());
        for url in urls {
            let index = self.next;
            self.next += 1;
            let caption = captions.as_mut().and_then(Iterator::next).flatten();
            let extra = extra.iter_mut().map(|column| column.next().unwrap_or(ColumnValue::Null)).collect();
            rows.push(match url.filter(|url| !url.trim().is_empty()) {
                Some(url) => Ok(UrlRow { index, url, caption, extra }),
                None => {
                    let (file, reason) = (Arc::clone(&self.path), "the URL is missing".to_string());
                    Err(BadRow { index, file, line: index + 1, reason })
                }
            });
        }
        Ok(rows)
    }
}

/// Cells as text; what is neither text nor bytes is shown as arrow shows it.
fn texts(column: &ArrayRef) -> Converted<Vec<Option<String>>> {
    let plain = match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value)?,
        _ => Arc::clone(column),
    };
    Ok(match plain.data_type() {
        DataType::Utf8 => owned(plain.as_string::<i32>().iter()),
        DataType::LargeUtf8 => owned(plain.as_string::<i64>().iter()),
        DataType::Utf8View => owned(plain.as_string_view().iter()),
        DataType::Binary => lossy(plain.as_binary::<i32>().iter()),
        DataType::LargeBinary => lossy(plain.as_binary::<i64>().iter()),
        _ => shown(&plain)?,
    })
}

fn owned<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> Vec<Option<String>> {
    cells.map(|cell| cell.map(String::from)).collect()
}

fn lossy<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<Option<String>> {
    cells.map(|cell| cell.map(|bytes| String::from_utf8_lossy(bytes).into_owned())).collect()
}

fn shown(column: &ArrayRef) -> Converted<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let cell = |row| (!column.is_null(row)).then(|| formatter.value(row).try_to_string()).transpose();
    (0..column.len()).map(cell).collect()
}

fn values(column: &ArrayRef, kind: ColumnKind) -> Converted<Vec<ColumnValue>> {
    Ok(match kind {
        ColumnKind::Text => wrapped(texts(column)?, ColumnValue::Text),
        ColumnKind::Integer => {
            wrapped(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().iter(), ColumnValue::Integer)
        }
        ColumnKind::Float => {
            wrapped(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().iter(), ColumnValue::Float)
        }
        ColumnKind::Boolean => wrapped(column.as_boolean().iter(), ColumnValue::Boolean),
    })
}

fn wrapped<T>(cells: impl IntoIterator<Item = Option<T>>, wrap: impl Fn(T) -> ColumnValue) -> Vec<ColumnValue> {
    cells.into_iter().map(|cell| cell.map_or(ColumnValue::Null, &wrap)).collect()
}
