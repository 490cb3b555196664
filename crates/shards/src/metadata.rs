//! What is known of every row of a shard: the table `NNNNN.parquet` beside it and the JSON
//! member of each sample.
//!
//! Columns and order are img2dataset's: the additional columns, `caption`, `url`, `key`,
//! `status`, `error_message`, `width`, `height`, `original_width`, `original_height`, `exif`
//! and the hash, the last two and `caption` only where asked for. Behind them stand columns of
//! our own: `error_kind` (string), `http_status` (int32) and `bytes` (int64, the size of the
//! downloaded body). Row groups hold 10,000 rows, compressed with snappy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::key::SampleKey;
use crate::store::local::AtomicFile;

/// Rows kept in memory before they are encoded as one row group.
const ROWS_PER_GROUP: usize = 10_000;

/// What became of a row, in img2dataset's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The row is a sample of the shard.
    Success,
    /// No body arrived.
    FailedToDownload,
    /// The body did not become a picture.
    FailedToResize,
}

impl Status {
    /// The word in the `status` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FailedToDownload => "failed_to_download",
            Self::FailedToResize => "failed_to_resize",
        }
    }
}

/// The type of an additional column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integers.
    Integer,
    /// 64-bit floats.
    Float,
    /// True or false.
    Boolean,
}

/// A cell of an additional column; one whose variant is not its column's is stored as null.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnValue {
    /// Nothing known.
    Null,
    /// A cell of a [`ColumnKind::Text`] column.
    Text(String),
    /// A cell of a [`ColumnKind::Integer`] column.
    Integer(i64),
    /// A cell of a [`ColumnKind::Float`] column.
    Float(f64),
    /// A cell of a [`ColumnKind::Boolean`] column.
    Boolean(bool),
}

impl ColumnValue {
    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Boolean(truth) => Value::from(*truth),
        }
    }
}

/// Which columns the tables of a dataset have; one for all its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataLayout {
    /// Names and types of the additional columns, in order.
    pub additional: Vec<(String, ColumnKind)>,
    /// Whether there is a `caption` column.
    pub caption: bool,
    /// Whether there is an `exif` column.
    pub exif: bool,
    /// The name of the hash column (`sha256`, `md5`), where there is one.
    pub hash: Option<String>,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRow {
    /// Cells of the additional columns, in the layout's order; missing ones are null.
    pub additional: Vec<ColumnValue>,
    /// The caption of the list.
    pub caption: Option<String>,
    /// The URL of the list, as it stood there.
    pub url: String,
    /// The key the sample has, or would have had.
    pub key: SampleKey,
    /// What became of the row.
    pub status: Status,
    /// Why it failed, in words.
    pub error_message: Option<String>,
    /// Pixels of the stored picture.
    pub width: Option<u32>,
    /// Pixels of the stored picture.
    pub height: Option<u32>,
    /// Pixels of the downloaded picture.
    pub original_width: Option<u32>,
    /// Pixels of the downloaded picture.
    pub original_height: Option<u32>,
    /// EXIF tags as JSON text.
    pub exif: Option<String>,
    /// Hexadecimal hash of the downloaded bytes.
    pub hash: Option<String>,
    /// Why it failed, as a stable name.
    pub error_kind: Option<String>,
    /// Status of the last HTTP answer.
    pub http_status: Option<u16>,
    /// Size of the downloaded body in bytes.
    pub bytes: Option<u64>,
}

impl MetadataRow {
    /// The sample's `json` member: img2dataset's fields in its order, indented by four, ASCII
    /// only, as Python's `json` writes it.
    pub fn to_json(&self, layout: &MetadataLayout) -> String {
        let mut fields = Map::new();
        for (index, (name, _)) in layout.additional.iter().enumerate() {
            fields.insert(name.clone(), self.additional.get(index).map_or(Value::Null, ColumnValue::to_json));
        }
        if layout.caption {
            fields.insert("caption".into(), self.caption.as_deref().into());
        }
        fields.insert("url".into(), self.url.as_str().into());
        fields.insert("key".into(), self.key.as_str().into());
        fields.insert("status".into(), self.status.as_str().into());
        fields.insert("error_message".into(), self.error_message.as_deref().into());
        fields.insert("width".into(), self.width.into());
        fields.insert("height".into(), self.height.into());
        fields.insert("original_width".into(), self.original_width.into());
        fields.insert("original_height".into(), self.original_height.into());
        if layout.exif {
            fields.insert("exif".into(), self.exif.as_deref().into());
        }
        if let Some(hash) = &layout.hash {
            fields.insert(hash.clone(), self.hash.as_deref().into());
        }
        python_json(&Value::Object(fields))
    }
}

/// Characters beyond ASCII can only stand inside strings, where `\u` escapes mean the same.
fn python_json(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(value, &mut serializer).expect("a Value has string keys and memory takes any write");
    let mut ascii = String::with_capacity(text.len());
    for character in String::from_utf8_lossy(&text).chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

/// A table being written; it gets its name when [`sealed`](MetadataWriter::seal), and vanishes
/// when dropped before.
pub struct MetadataWriter {
    layout: MetadataLayout,
    schema: Arc<Schema>,
    path: PathBuf,
    parquet: ArrowWriter<AtomicFile>,
    pending: Vec<MetadataRow>,
}

impl MetadataWriter {
    /// Starts the table `path`.
    ///
    /// # Errors
    /// When the folder does not take a new file, or two columns of `layout` share a name.
    pub fn create(path: &Path, layout: MetadataLayout) -> Result<Self> {
        let schema = Arc::new(schema(path, &layout)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let parquet = ArrowWriter::try_new(AtomicFile::create(path)?, Arc::clone(&schema), Some(properties))
            .map_err(table_error(path))?;
        Ok(Self { layout, schema, path: path.to_path_buf(), parquet, pending: Vec::new() })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&mut self, row: MetadataRow) -> Result<()> {
        self.pending.push(row);
        if self.pending.len() >= ROWS_PER_GROUP { self.write_group() } else { Ok(()) }
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
        let columns = columns(&self.layout, &rows);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::Table { path: self.path.clone(), reason: e.to_string() })?;
        self.parquet.write(&batch).and_then(|()| self.parquet.flush()).map_err(table_error(&self.path))
    }
}

fn table_error(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error + use<> {
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
    let bytes: Int64Array = rows.iter().map(|row| row.bytes.and_then(|bytes| i64::try_from(bytes).ok())).collect();
    columns.push(Arc::new(bytes));
    columns
}

fn text(rows: &[MetadataRow], cell: impl Fn(&MetadataRow) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(cell).collect::<StringArray>())
}

fn int32(rows: &[MetadataRow], cell: impl Fn(&MetadataRow) -> Option<u32>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| cell(row).and_then(|n| i32::try_from(n).ok())).collect::<Int32Array>())
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

    use super::*;

    fn layout() -> MetadataLayout {
        let additional = vec![("uid".to_string(), ColumnKind::Text), ("similarity".to_string(), ColumnKind::Float)];
        MetadataLayout { additional, caption: true, exif: true, hash: Some("sha256".into()) }
    }

    fn row() -> MetadataRow {
        MetadataRow {
            additional: vec![ColumnValue::Text("u1".into()), ColumnValue::Float(0.5)],
            caption: Some("café 🐈".into()),
            url: "http://a/b.jpg".into(),
            key: SampleKey::new("000000000"),
            status: Status::Success,
            error_message: None,
            width: Some(256),
            height: Some(192),
            original_width: Some(600),
            original_height: Some(450),
            exif: Some("{}".into()),
            hash: Some("ab".into()),
            error_kind: None,
            http_status: Some(200),
            bytes: Some(1234),
        }
    }

    fn failed() -> MetadataRow {
        MetadataRow {
            additional: Vec::new(),
            caption: None,
            status: Status::FailedToDownload,
            error_kind: Some("timeout".into()),
            error_message: Some("no answer".into()),
            width: None,
            ..row()
        }
    }

    #[test]
    fn the_json_member_reads_as_img2dataset_writes_it() {
        let json = row().to_json(&layout());
        assert!(json.starts_with(
            "{\n    \"uid\": \"u1\",\n    \"similarity\": 0.5,\n    \"caption\": \"caf\\u00e9 \\ud83d\\udc08\","
        ));
        let value: Value = serde_json::from_str(&json).unwrap();
        let names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "uid similarity caption url key status error_message width height original_width original_height exif sha256";
        assert_eq!(names.join(" "), expected);
        assert_eq!(value["caption"], "café 🐈");
    }

    #[test]
    fn the_table_holds_every_row_under_img2datasets_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.parquet");
        let mut writer = MetadataWriter::create(&path, layout()).unwrap();
        writer.push(row()).unwrap();
        writer.push(failed()).unwrap();
        writer.seal().unwrap();

        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
        let names: Vec<_> = reader.schema().fields().iter().map(|field| field.name().to_string()).collect();
        let expected = "uid similarity caption url key status error_message width height original_width original_height \
                        exif sha256 error_kind http_status bytes";
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
        MetadataWriter::create(&path, MetadataLayout::default()).unwrap().seal().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.schema().field(0).name(), "url");
    }

    #[test]
    fn an_additional_column_may_not_take_a_reserved_name() {
        let folder = tempfile::tempdir().unwrap();
        let layout = MetadataLayout { additional: vec![("url".into(), ColumnKind::Text)], ..Default::default() };
        let error = MetadataWriter::create(&folder.path().join("x.parquet"), layout).err().unwrap();
        assert!(error.to_string().contains("`url`"), "{error}");
    }
}
