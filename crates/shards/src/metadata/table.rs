//! The table as a parquet file: row groups of 10,000 rows, or of 16 MiB of texts and pictures, compressed with snappy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{ColumnKind, ColumnValue, MetadataLayout, MetadataRow};
use crate::error::{Error, Result};
use crate::store::OutputFile;

/// Rows kept in memory before they are encoded as one row group.
const ROWS_PER_GROUP: usize = 10_000;

/// Texts and pictures kept in memory before they are.
const BYTES_PER_GROUP: usize = 16 << 20;

/// A table being written; it gets its name when [`sealed`](MetadataWriter::seal), and vanishes
/// when dropped before.
pub struct MetadataWriter {
    layout: MetadataLayout,
    schema: Arc<Schema>,
    path: PathBuf,
    parquet: ArrowWriter<OutputFile>,
    pending: Vec<MetadataRow>,
    /// The pictures of the pending rows, where the table holds them.
    images: Vec<Option<Bytes>>,
    /// Bytes of the pending rows.
    bytes: usize,
}

impl MetadataWriter {
    /// A table that goes to `file`.
    ///
    /// # Errors
    /// When the place refuses, or two columns of `layout` share a name.
    pub fn new(file: OutputFile, layout: MetadataLayout) -> Result<Self> {
        let path = PathBuf::from(file.label());
        let schema = Arc::new(schema(&path, &layout)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let parquet = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(table_error(&path))?;
        Ok(Self { layout, schema, path, parquet, pending: Vec::new(), images: Vec::new(), bytes: 0 })
    }

    /// Appends a row, and its picture where the layout has a column for it.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn push(&mut self, row: MetadataRow, image: Option<Bytes>) -> Result<()> {
        self.bytes += row.text_bytes();
        self.pending.push(row);
        if self.layout.image.is_some() {
            self.bytes += image.as_ref().map_or(0, Bytes::len);
            self.images.push(image);
        }
        let is_full = self.pending.len() >= ROWS_PER_GROUP || self.bytes >= BYTES_PER_GROUP;
        if is_full { self.write_group() } else { Ok(()) }
    }

    /// Ends the table and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses; the table then does not exist.
    pub fn seal(mut self) -> Result<()> {
        self.write_group()?;
        self.parquet.into_inner().map_err(table_error(&self.path))?.seal()
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.pending);
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns = columns(&self.layout, &rows);
        if self.layout.image.is_some() {
            let images = std::mem::take(&mut self.images);
            columns.push(Arc::new(images.iter().map(Option::as_deref).collect::<BinaryArray>()));
        }
        self.bytes = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::Table { path: self.path.clone(), reason: e.to_string() })?;
        self.parquet.write(&batch).and_then(|()| self.parquet.flush()).map_err(table_error(&self.path))
    }
}

pub(super) fn table_error(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error + use<> {
    let path = path.to_path_buf();
    move |e| Error::Table { path: path.clone(), reason: e.to_string() }
}

fn schema(path: &Path, layout: &MetadataLayout) -> Result<Schema> {
    let mut fields: Vec<Field> = Vec::new();
    let mut add = |name: &str, kind: DataType| fields.push(Field::new(name, kind, true));
    layout.additional.iter().for_each(|(name, kind)| add(name, data_type(*kind)));
    if layout.caption {
        add("caption", DataType::Utf8);
    }
    ["url", "key", "status", "error_message"].iter().for_each(|name| add(name, DataType::Utf8));
    ["width", "height", "original_width", "original_height"].iter().for_each(|name| add(name, DataType::Int32));
    if layout.exif {
        add("exif", DataType::Utf8);
    }
    if let Some(hash) = &layout.hash {
        add(hash, DataType::Utf8);
    }
    add("error_kind", DataType::Utf8);
    add("http_status", DataType::Int32);
    add("bytes", DataType::Int64);
    add("final_url", DataType::Utf8);
    add("mime", DataType::Utf8);
    add("ms", DataType::Int64);
    add("attempts", DataType::Int32);
    if let Some(image) = &layout.image {
        add(image, DataType::Binary);
    }
    let twice = fields.iter().enumerate().find(|(i, field)| fields[..*i].iter().any(|f| f.name() == field.name()));
    match twice {
        Some((_, field)) => Err(Error::Table {
            path: path.to_path_buf(),
            reason: format!("additional column `{}` has the name of another column", field.name()),
        }),
        None => Ok(Schema::new(fields)),
    }
}

fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Float => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
    }
}

/// The columns in the schema's order.
fn columns(layout: &MetadataLayout, rows: &[MetadataRow]) -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, (_, kind)) in layout.additional.iter().enumerate() {
        columns.push(additional(rows, index, *kind));
    }
    if layout.caption {
        columns.push(text(rows, |row| row.caption.as_deref()));
    }
    columns.push(text(rows, |row| Some(&row.url)));
    columns.push(text(rows, |row| Some(row.key.as_str())));
    columns.push(text(rows, |row| Some(row.status.as_str())));
    columns.push(text(rows, |row| row.error_message.as_deref()));
    columns.push(int32(rows, |row| row.width));
    columns.push(int32(rows, |row| row.height));
    columns.push(int32(rows, |row| row.original_width));
    columns.push(int32(rows, |row| row.original_height));
    if layout.exif {
        columns.push(text(rows, |row| row.exif.as_deref()));
    }
    if layout.hash.is_some() {
        columns.push(text(rows, |row| row.hash.as_deref()));
    }
    columns.push(text(rows, |row| row.error_kind.as_deref()));
    columns.push(int32(rows, |row| row.http_status.map(u32::from)));
    columns.push(int64(rows, |row| row.bytes));
    columns.push(text(rows, |row| row.final_url.as_deref()));
    columns.push(text(rows, |row| row.mime.as_deref()));
    columns.push(int64(rows, |row| row.ms));
    columns.push(int32(rows, |row| row.attempts));
    columns
}

fn text(rows: &[MetadataRow], cell: impl Fn(&MetadataRow) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(cell).collect::<StringArray>())
}

fn int32(rows: &[MetadataRow], cell: impl Fn(&MetadataRow) -> Option<u32>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| cell(row).and_then(|n| i32::try_from(n).ok())).collect::<Int32Array>())
}

fn int64(rows: &[MetadataRow], cell: impl Fn(&MetadataRow) -> Option<u64>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| cell(row).and_then(|n| i64::try_from(n).ok())).collect::<Int64Array>())
}

fn additional(rows: &[MetadataRow], index: usize, kind: ColumnKind) -> ArrayRef {
    let cells = rows.iter().map(|row| row.additional.get(index).unwrap_or(&ColumnValue::Null));
    match kind {
        ColumnKind::Text => Arc::new(
            cells
                .map(|cell| if let ColumnValue::Text(text) = cell { Some(text) } else { None })
                .collect::<StringArray>(),
        ),
        ColumnKind::Integer => Arc::new(
            cells.map(|cell| if let ColumnValue::Integer(n) = cell { Some(*n) } else { None }).collect::<Int64Array>(),
        ),
        ColumnKind::Float => Arc::new(
            cells.map(|cell| if let ColumnValue::Float(n) = cell { Some(*n) } else { None }).collect::<Float64Array>(),
        ),
        ColumnKind::Boolean => Arc::new(
            cells
                .map(|cell| if let ColumnValue::Boolean(b) = cell { Some(*b) } else { None })
                .collect::<BooleanArray>(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::tests::{failed, layout, row};
    use super::*;
    use crate::store::local::AtomicFile;

    fn file(path: &Path) -> OutputFile {
        OutputFile::Local(AtomicFile::create(path).unwrap())
    }

    #[test]
    fn the_table_holds_every_row_under_img2datasets_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.parquet");
        let mut writer = MetadataWriter::new(file(&path), layout()).unwrap();
        writer.push(row(), None).unwrap();
        writer.push(failed(), None).unwrap();
        writer.seal().unwrap();

        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
        let names: Vec<_> = reader.schema().fields().iter().map(|field| field.name().to_string()).collect();
        let expected = "uid similarity caption url key status error_message width height original_width original_height \
                        exif sha256 error_kind http_status bytes final_url mime ms attempts";
        assert_eq!(names.join(" "), expected);
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!(batch.num_rows(), 2);
        let status = batch.column_by_name("status").unwrap().as_string::<i32>();
        assert_eq!((status.value(0), status.value(1)), ("success", "failed_to_download"));
        assert!(batch.column_by_name("width").unwrap().is_null(1));
        assert!(batch.column_by_name("uid").unwrap().is_null(1));
        assert_eq!(batch.column_by_name("bytes").unwrap().data_type(), &DataType::Int64);
    }

    #[test]
    fn a_table_without_rows_still_has_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.parquet");
        MetadataWriter::new(file(&path), MetadataLayout::default()).unwrap().seal().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.schema().field(0).name(), "url");
    }

    #[test]
    fn an_additional_column_may_not_take_a_reserved_name() {
        let folder = tempfile::tempdir().unwrap();
        let layout = MetadataLayout { additional: vec![("url".into(), ColumnKind::Text)], ..Default::default() };
        let error = MetadataWriter::new(file(&folder.path().join("x.parquet")), layout).err().unwrap();
        assert!(error.to_string().contains("`url`"), "{error}");
    }
}
