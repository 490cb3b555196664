//! Lists in parquet: only the wanted columns are read, batch by batch.
//!
//! Such a file is read from its end; one that is not on this machine is copied to a temporary file first.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use shards::metadata::{ColumnKind, ColumnValue};

use super::files::ListFile;
use super::line::MAX_LINE_BYTES;
use super::nested::{self, is_nested};
use super::read_so_far::{self, ReadSoFar};
use super::row_groups::{Piece, Pieces, Table};
use super::source::seekable;
use super::{BadRow, Columns, ListedRow, Lossy, Rows, UrlRow, Wanted, columns};
use crate::error::{Error, Result};

/// What a conversion between arrow's types comes to.
type Converted<T> = std::result::Result<T, ArrowError>;

/// The rows of a parquet file, which count as `read` in parts of its size.
///
/// # Errors
/// When the file cannot be opened or lacks a wanted column.
pub(super) fn rows(list: &ListFile, wanted: &Wanted, lossy: Lossy, read_so_far: &ReadSoFar) -> Result<(Columns, Rows)> {
    let path = Arc::clone(&list.name);
    let table = Table::open(seekable(list)?).map_err(|reason| Error::List { path: path.to_path_buf(), reason })?;
    let fields = table.schema().fields();
    let header: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    let places = columns::by_header(&path, &header, wanted)?;
    let kinds: Vec<_> = places.extra.iter().map(|place| ColumnKind::of(fields[*place].data_type())).collect();

    let mut read_columns: Vec<usize> = places.extra.iter().chain(places.caption.iter()).copied().collect();
    read_columns.push(places.url);
    read_columns.sort_unstable();
    read_columns.dedup();
    let within = |place: usize| read_columns.iter().position(|read| *read == place).unwrap_or(0);
    let cells = Cells {
        url: within(places.url),
        caption: places.caption.map(within),
        extra: places.extra.iter().map(|place| within(*place)).zip(kinds.iter().copied()).collect(),
        lossy,
    };
    let extra = wanted.extra.iter().cloned().zip(kinds).collect();
    let described = Columns { caption: places.caption.is_some(), extra };
    let bytes_per_row = read_so_far::size(list).unwrap_or(0) as f64 / table.rows().max(1) as f64;
    let read = Read { so_far: read_so_far.clone(), bytes_per_row };
    let (pieces, ready) = (table.pieces(&read_columns), Ready::Read(Vec::new().into_iter()));
    Ok((described, Box::new(TableRows { path, pieces, cells, next: 0, ready, read })))
}

/// Places of the columns within a batch.
struct Cells {
    url: usize,
    caption: Option<usize>,
    extra: Vec<(usize, ColumnKind)>,
    lossy: Lossy,
}

struct TableRows {
    path: Arc<Path>,
    pieces: Pieces,
    cells: Cells,
    next: u64,
    ready: Ready,
    read: Read,
}

/// Counts rows by the share of the file's bytes that falls to them.
struct Read {
    so_far: ReadSoFar,
    bytes_per_row: f64,
}

/// The rows of a piece.
enum Ready {
    Read(std::vec::IntoIter<Content>),
    Lost { rows: usize, reason: String },
}

/// A row's URL, caption and additional cells, or what is wrong with them.
type Content = std::result::Result<(String, Option<String>, Vec<ColumnValue>), String>;

impl Iterator for TableRows {
    type Item = Result<ListedRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let content = match &mut self.ready {
                Ready::Read(rows) => rows.next(),
                Ready::Lost { rows: 0, .. } => None,
                Ready::Lost { rows, reason } => {
                    *rows -= 1;
                    Some(Err(reason.clone()))
                }
            };
            if let Some(content) = content {
                return Some(Ok(self.listed(content)));
            }
            self.ready = match self.pieces.next()? {
                Piece::Lost { rows, reason } => Ready::Lost { rows, reason },
                Piece::Rows(batch) => match self.cells.contents(&batch) {
                    Ok(contents) => Ready::Read(contents.into_iter()),
                    Err(error) => Ready::Lost { rows: batch.num_rows(), reason: error.to_string() },
                },
            };
        }
    }
}

impl TableRows {
    fn listed(&mut self, content: Content) -> ListedRow {
        let index = self.next;
        let bytes = |rows: u64| (rows as f64 * self.read.bytes_per_row) as u64;
        self.read.so_far.add(bytes(index + 1) - bytes(index));
        self.next += 1;
        let bad = |reason| BadRow { index, file: Arc::clone(&self.path), line: index + 1, reason };
        content.map(|(url, caption, extra)| UrlRow { index, url, caption, extra }).map_err(bad)
    }
}

impl Cells {
    fn contents(&self, batch: &RecordBatch) -> Converted<Vec<Content>> {
        let urls = self.texts(batch.column(self.url))?;
        let mut captions = self.caption.map(|place| self.texts(batch.column(place))).transpose()?.map(Vec::into_iter);
        let extra = self.extra.iter().map(|(place, kind)| self.values(batch.column(*place), *kind));
        let mut extra: Vec<_> = extra.map(|column| column.map(Vec::into_iter)).collect::<Converted<_>>()?;
        let mut contents = Vec::with_capacity(batch.num_rows());
        for url in urls {
            let caption = captions.as_mut().and_then(Iterator::next).flatten();
            let extra = extra.iter_mut().map(|column| column.next().unwrap_or(ColumnValue::Null)).collect();
            contents.push(match (url, caption) {
                (Some(Err(length)), _) | (_, Some(Err(length))) => {
                    Err(format!("expected cells of {MAX_LINE_BYTES} bytes or less, got {length} bytes"))
                }
                (Some(Ok(url)), caption) if !url.trim().is_empty() => Ok((url, caption.and_then(Cell::ok), extra)),
                _ => Err("the URL is missing".to_owned()),
            });
        }
        Ok(contents)
    }

    /// Cells as text; what is neither text nor bytes is shown as arrow shows it.
    fn texts(&self, column: &ArrayRef) -> Converted<Vec<Option<Cell>>> {
        let plain = match column.data_type() {
            DataType::Dictionary(_, value) => cast(column, value)?,
            _ => Arc::clone(column),
        };
        Ok(match plain.data_type() {
            DataType::Utf8 => self.cells(plain.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.cells(plain.as_string::<i64>().iter()),
            DataType::Utf8View => self.cells(plain.as_string_view().iter()),
            DataType::Binary => self.cells(plain.as_binary::<i32>().iter()),
            DataType::LargeBinary => self.cells(plain.as_binary::<i64>().iter()),
            DataType::BinaryView => self.cells(plain.as_binary_view().iter()),
            nested if is_nested(nested) => {
                let texts = nested::texts(&plain)?;
                self.cells(texts.iter().map(Option::as_deref))
            }
            _ => shown(&plain)?,
        })
    }

    fn cells<'a, B: AsRef<[u8]> + ?Sized + 'a>(&self, cells: impl Iterator<Item = Option<&'a B>>) -> Vec<Option<Cell>> {
        let cell = |bytes: &[u8]| match bytes.len() as u64 {
            length if length > MAX_LINE_BYTES => Err(length),
            _ => Ok(self.lossy.text(bytes)),
        };
        cells.map(|bytes| bytes.map(|bytes| cell(bytes.as_ref()))).collect()
    }

    fn values(&self, column: &ArrayRef, kind: ColumnKind) -> Converted<Vec<ColumnValue>> {
        Ok(match kind {
            // One that is too long to keep is none.
            ColumnKind::Text => {
                wrapped(self.texts(column)?.into_iter().map(|cell| cell.and_then(Cell::ok)), ColumnValue::Text)
            }
            ColumnKind::Integer => {
                wrapped(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().iter(), ColumnValue::Integer)
            }
            ColumnKind::Float => {
                wrapped(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().iter(), ColumnValue::Float)
            }
            ColumnKind::Boolean => wrapped(column.as_boolean().iter(), ColumnValue::Boolean),
        })
    }
}

/// A text, or its length in bytes where it is longer than any text of a list.
type Cell = std::result::Result<String, u64>;

fn shown(column: &ArrayRef) -> Converted<Vec<Option<Cell>>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let cell = |row| (!column.is_null(row)).then(|| formatter.value(row).try_to_string().map(Ok)).transpose();
    (0..column.len()).map(cell).collect()
}

fn wrapped<T>(cells: impl IntoIterator<Item = Option<T>>, wrap: impl Fn(T) -> ColumnValue) -> Vec<ColumnValue> {
    cells.into_iter().map(|cell| cell.map_or(ColumnValue::Null, &wrap)).collect()
}
