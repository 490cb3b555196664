//! A small table of text columns as a parquet file, written in one go.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::table::table_error;
use crate::error::{Error, Result};
use crate::store::OutputFile;

/// Writes columns of equal length, each a name and its cells.
///
/// # Errors
/// When the lengths differ, or the place refuses; the table then does not exist.
pub fn write_text_table(file: OutputFile, columns: &[(&str, &[String])]) -> Result<()> {
    let path = PathBuf::from(file.label());
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let array = |cells: &[String]| Arc::new(StringArray::from_iter_values(cells)) as ArrayRef;
    let arrays = columns.iter().map(|(_, cells)| array(cells)).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
        .map_err(|error| Error::Table { path: path.clone(), reason: error.to_string() })?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut parquet = ArrowWriter::try_new(file, schema, Some(properties)).map_err(table_error(&path))?;
    parquet.write(&batch).map_err(table_error(&path))?;
    parquet.into_inner().map_err(table_error(&path))?.seal()
}
