//! The record batches of a parquet file, row group by row group, past damage.
//!
//! What cannot be read is narrowed down by halves, so that one value that is not UTF-8 costs its own row only; a damaged
//! page costs at most the rest of its row group.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 256;

/// Attempts to narrow down the damage of one row group: enough for some dozen bad values.
const MAX_ATTEMPTS: u32 = 512;

/// What the reading comes to, with the reason why not in the words of the library.
pub(super) type Read<T> = std::result::Result<T, String>;

/// Some rows in a row, read or lost.
pub(super) enum Piece {
    /// Rows that could be read.
    Rows(RecordBatch),
    /// Rows that could not, and why.
    Lost { rows: usize, reason: String },
}

/// A parquet file, opened.
pub(super) struct Table {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl Table {
    /// Reads the file's footer.
    pub(super) fn open(file: File) -> Read<Self> {
        let metadata = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        // Text as views: a value that a dictionary repeats is held once.
        let options = ArrowReaderOptions::new().with_schema(Arc::new(viewed(metadata.schema())));
        let viewed = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options);
        let table = Self { file, metadata: viewed.unwrap_or(metadata) };
        table.check_rows()?;
        Ok(table)
    }

    /// The file's columns.
    pub(super) fn schema(&self) -> &Schema {
        self.metadata.schema()
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// The rows of `columns`, in the order of the file's columns.
    pub(super) fn pieces(self, columns: &[usize]) -> Pieces {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        Pieces { table: self, mask, next_group: 0, group: None }
    }

    /// Lost rows are counted by what the footer says, so it has to agree with itself.
    fn check_rows(&self) -> Read<()> {
        let said = self.metadata.metadata().file_metadata().num_rows();
        let groups = self.metadata.metadata().row_groups();
        let sum = groups.iter().try_fold(0_i64, |sum, group| {
            let rows = Some(group.num_rows()).filter(|rows| *rows >= 0)?;
            sum.checked_add(rows)
        });
        if sum == Some(said) {
            return Ok(());
        }
        let sum = sum.map_or_else(|| "an impossible number".to_owned(), |sum| sum.to_string());
        Err(format!("its footer announces {said} rows, and its row groups {sum}"))
    }

    fn reader(&self, mask: &ProjectionMask, group: usize, rows: Range) -> Read<ParquetRecordBatchReader> {
        let file = self.file.try_clone().map_err(|error| error.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let selection = RowSelection::from(vec![RowSelector::skip(rows.start), RowSelector::select(rows.length)]);
        let builder = builder.with_row_groups(vec![group]).with_projection(mask.clone());
        guarded(|| builder.with_row_selection(selection).with_batch_size(BATCH_ROWS).build())
    }
}

fn viewed(schema: &Schema) -> Schema {
    let as_view = |data_type: &DataType| match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => Some(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => Some(DataType::BinaryView),
        _ => None,
    };
    let field = |field: &Arc<Field>| {
        let of = match field.data_type() {
            DataType::Dictionary(_, value) => value,
            other => other,
        };
        as_view(of).map_or_else(|| Arc::clone(field), |view| Arc::new(field.as_ref().clone().with_data_type(view)))
    };
    let fields: Vec<_> = schema.fields().iter().map(field).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// The library panics on some damaged files; to a list that is damage like any other.
fn guarded<T, E: std::fmt::Display>(read: impl FnOnce() -> std::result::Result<T, E>) -> Read<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("the file is damaged in a way that the reader cannot name".to_owned()),
    }
}

/// Rows of a row group.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    length: usize,
}

/// An iterator over all rows of a [`Table`].
pub(super) struct Pieces {
    table: Table,
    mask: ProjectionMask,
    next_group: usize,
    group: Option<Group>,
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            let piece = self.group.as_mut().and_then(|group| group.next(&self.table, &self.mask));
            if piece.is_some() {
                return piece;
            }
            let metadata = self.table.metadata.metadata().row_groups().get(self.next_group)?;
            let length = usize::try_from(metadata.num_rows()).unwrap_or_default();
            self.group = Some(Group::new(self.next_group, length));
            self.next_group += 1;
        }
    }
}

/// A row group that is being read.
struct Group {
    index: usize,
    /// What is still to be read, the next range last.
    ranges: Vec<Range>,
    reading: Option<(ParquetRecordBatchReader, Range)>,
    attempts: u32,
}

impl Group {
    fn new(index: usize, length: usize) -> Self {
        Self { index, ranges: vec![Range { start: 0, length }], reading: None, attempts: 0 }
    }

    fn next(&mut self, table: &Table, mask: &ProjectionMask) -> Option<Piece> {
        loop {
            let (mut reader, range) = match self.reading.take() {
                Some(reading) => reading,
                None => {
                    let range = self.ranges.pop()?;
                    if range.length == 0 {
                        continue;
                    }
                    match table.reader(mask, self.index, range) {
                        Ok(reader) => (reader, range),
                        Err(reason) => return Some(Piece::Lost { rows: range.length, reason }),
                    }
                }
            };
            match guarded(|| reader.next().transpose()) {
                Ok(Some(batch)) if batch.num_rows() <= range.length => {
                    self.reading = Some((reader, range.without(batch.num_rows())));
                    return Some(Piece::Rows(batch));
                }
                Ok(None) if range.length == 0 => {}
                Ok(_) => {
                    let reason = "the row group has other rows than the footer says".to_owned();
                    return Some(Piece::Lost { rows: range.length, reason });
                }
                Err(reason) => {
                    if let Some(lost) = self.narrow(range, reason) {
                        return Some(lost);
                    }
                }
            }
        }
    }

    /// Tries the halves of the batch that failed, and what is behind it.
    fn narrow(&mut self, range: Range, reason: String) -> Option<Piece> {
        self.attempts += 1;
        let failed = range.length.min(BATCH_ROWS);
        if self.attempts > MAX_ATTEMPTS {
            let rows = range.length + self.ranges.drain(..).map(|range| range.length).sum::<usize>();
            return Some(Piece::Lost { rows, reason });
        }
        self.ranges.push(range.without(failed));
        if failed == 1 {
            return Some(Piece::Lost { rows: 1, reason });
        }
        let half = failed / 2;
        self.ranges.push(Range { start: range.start + half, length: failed - half });
        self.ranges.push(Range { start: range.start, length: half });
        None
    }
}

impl Range {
    fn without(self, rows: usize) -> Self {
        Self { start: self.start + rows, length: self.length - rows }
    }
}
