//! Tables read back: those written here, and img2dataset's.

use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{ColumnKind, ColumnValue, MetadataLayout, MetadataRow, OWN_COLUMNS, Status};
use crate::error::{Error, Result};
use crate::key::SampleKey;

/// Formats of pictures that a column may be called after.
const IMAGES: [&str; 3] = ["jpg", "png", "webp"];

/// A row and its picture, where the table holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// What is known of the row.
    pub row: MetadataRow,
    /// The picture, in tables that hold pictures.
    pub image: Option<Bytes>,
}

/// A whole table; shards have some ten thousand rows.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTable {
    /// Which columns it has.
    pub layout: MetadataLayout,
    /// Its rows, in order.
    pub rows: Vec<StoredRow>,
}

impl StoredTable {
    /// Reads the table in `bytes`; `path` is for messages.
    ///
    /// # Errors
    /// When it is no parquet file, or lacks one of `url`, `key` and `status`.
    pub fn read(path: &Path, bytes: Bytes) -> Result<Self> {
        let broken = |reason: String| Error::Table { path: path.to_path_buf(), reason };
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| broken(error.to_string()))?;
        let layout = layout(reader.schema()).map_err(broken)?;
        let mut rows = Vec::new();
        for batch in reader.build().map_err(|error| broken(error.to_string()))? {
            let batch = batch.map_err(|error| broken(error.to_string()))?;
            rows.extend(stored_rows(&layout, &batch).map_err(broken)?);
        }
        Ok(Self { layout, rows })
    }
}

fn layout(schema: &Schema) -> std::result::Result<MetadataLayout, String> {
    let has = |name: &str| schema.column_with_name(name).is_some();
    if let Some(missing) = ["url", "key", "status"].into_iter().find(|name| !has(name)) {
        return Err(format!("it has no column `{missing}`: it does not describe a shard"));
    }
    let first = |names: &[&str]| names.iter().find(|name| has(name)).map(|name| (*name).to_owned());
    let fields = schema.fields().iter().filter(|field| !OWN_COLUMNS.contains(&field.name().as_str()));
    let fields = fields.filter(|field| !IMAGES.contains(&field.name().as_str()));
    Ok(MetadataLayout {
        additional: fields.map(|field| (field.name().clone(), ColumnKind::of(field.data_type()))).collect(),
        caption: has("caption"),
        exif: has("exif"),
        hash: first(&["sha256", "md5", "sha512"]),
        image: first(&IMAGES),
    })
}

fn stored_rows(layout: &MetadataLayout, batch: &RecordBatch) -> std::result::Result<Vec<StoredRow>, String> {
    let texts = |name: &str| texts(batch, name);
    let numbers = |name: &str| numbers(batch, name);
    let mut additional = Vec::new();
    for (name, kind) in &layout.additional {
        additional.push(values(batch, name, *kind)?);
    }
    let (urls, keys, status) = (texts("url")?, texts("key")?, texts("status")?);
    let (captions, messages, exif) = (texts("caption")?, texts("error_message")?, texts("exif")?);
    let (kinds, final_urls, mimes) = (texts("error_kind")?, texts("final_url")?, texts("mime")?);
    let hashes = layout.hash.as_deref().map_or_else(|| Ok(vec![None; batch.num_rows()]), texts)?;
    let (width, height) = (numbers("width")?, numbers("height")?);
    let (original_width, original_height) = (numbers("original_width")?, numbers("original_height")?);
    let (http, bytes, ms, attempts) =
        (numbers("http_status")?, numbers("bytes")?, numbers("ms")?, numbers("attempts")?);
    let images = layout.image.as_deref().map(|name| images(batch, name)).transpose()?;
    let row = |i: usize| StoredRow {
        row: MetadataRow {
            additional: additional.iter().map(|column| column[i].clone()).collect(),
            caption: captions[i].clone(),
            url: urls[i].clone().unwrap_or_default(),
            key: SampleKey::new(keys[i].as_deref().unwrap_or_default()),
            status: status_of(status[i].as_deref()),
            error_message: messages[i].clone(),
            width: small(width[i]),
            height: small(height[i]),
            original_width: small(original_width[i]),
            original_height: small(original_height[i]),
            exif: exif[i].clone(),
            hash: hashes[i].clone(),
            error_kind: kinds[i].clone(),
            http_status: small(http[i]),
            bytes: small(bytes[i]),
            final_url: final_urls[i].clone(),
            mime: mimes[i].clone(),
            ms: small(ms[i]),
            attempts: small(attempts[i]),
        },
        image: images.as_ref().and_then(|images| images[i].clone()),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn status_of(text: Option<&str>) -> Status {
    match text {
        Some("success") => Status::Success,
        Some("failed_to_resize") => Status::FailedToResize,
        _ => Status::FailedToDownload,
    }
}

fn small<T: TryFrom<i64>>(number: Option<i64>) -> Option<T> {
    number.and_then(|number| T::try_from(number).ok())
}

/// A column as text; nulls where there is no such column.
fn texts(batch: &RecordBatch, name: &str) -> std::result::Result<Vec<Option<String>>, String> {
    let Some(column) = batch.column_by_name(name) else { return Ok(vec![None; batch.num_rows()]) };
    let column = cast(column, &DataType::Utf8).map_err(|error| format!("column `{name}`: {error}"))?;
    Ok(column.as_string::<i32>().iter().map(|cell| cell.map(String::from)).collect())
}

fn numbers(batch: &RecordBatch, name: &str) -> std::result::Result<Vec<Option<i64>>, String> {
    let Some(column) = batch.column_by_name(name) else { return Ok(vec![None; batch.num_rows()]) };
    let column = cast(column, &DataType::Int64).map_err(|error| format!("column `{name}`: {error}"))?;
    Ok(column.as_primitive::<Int64Type>().iter().collect())
}

fn images(batch: &RecordBatch, name: &str) -> std::result::Result<Vec<Option<Bytes>>, String> {
    let Some(column) = batch.column_by_name(name) else { return Ok(vec![None; batch.num_rows()]) };
    let column = cast(column, &DataType::Binary).map_err(|error| format!("column `{name}`: {error}"))?;
    Ok(column.as_binary::<i32>().iter().map(|cell| cell.map(Bytes::copy_from_slice)).collect())
}

fn values(batch: &RecordBatch, name: &str, kind: ColumnKind) -> std::result::Result<Vec<ColumnValue>, String> {
    let wrapped =
        |cells: Vec<Option<i64>>| cells.into_iter().map(|n| n.map_or(ColumnValue::Null, ColumnValue::Integer));
    Ok(match kind {
        ColumnKind::Text => {
            texts(batch, name)?.into_iter().map(|text| text.map_or(ColumnValue::Null, ColumnValue::Text)).collect()
        }
        ColumnKind::Integer => wrapped(numbers(batch, name)?).collect(),
        ColumnKind::Float => {
            let Some(column) = batch.column_by_name(name) else { return Ok(Vec::new()) };
            let column = cast(column, &DataType::Float64).map_err(|error| error.to_string())?;
            let cells = column.as_primitive::<Float64Type>().iter();
            cells.map(|n| n.map_or(ColumnValue::Null, ColumnValue::Float)).collect()
        }
        ColumnKind::Boolean => {
            let Some(column) = batch.column_by_name(name) else { return Ok(Vec::new()) };
            column.as_boolean().iter().map(|b| b.map_or(ColumnValue::Null, ColumnValue::Boolean)).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::MetadataWriter;
    use super::super::tests::{failed, layout, row};
    use super::*;
    use crate::store::OutputFile;
    use crate::store::local::AtomicFile;

    #[test]
    fn a_table_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.parquet");
        let layout = MetadataLayout { image: Some("jpg".into()), ..layout() };
        let file = OutputFile::Local(AtomicFile::create(&path).unwrap());
        let mut writer = MetadataWriter::new(file, layout.clone()).unwrap();
        writer.push(row(), Some(Bytes::from_static(b"picture"))).unwrap();
        writer.push(failed(), None).unwrap();
        writer.seal().unwrap();
        let table = StoredTable::read(&path, std::fs::read(&path).unwrap().into()).unwrap();
        assert_eq!(table.layout, layout);
        assert_eq!(table.rows[0], StoredRow { row: row(), image: Some(Bytes::from_static(b"picture")) });
        let nulls = MetadataRow { additional: vec![ColumnValue::Null; 2], ..failed() };
        assert_eq!(table.rows[1], StoredRow { row: nulls, image: None });
    }

    #[test]
    fn what_is_no_table_of_a_shard_is_named() {
        let read = |bytes: &'static [u8]| StoredTable::read(Path::new("a.parquet"), Bytes::from_static(bytes));
        assert!(read(b"nonsense").unwrap_err().to_string().contains("a.parquet"));
    }
}
