//! Files to lazy tables, and which of their columns is what.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use crate::error::{Error, Result};
use crate::url_list::{InputFormat, first_row_columns};

/// Rows looked at to tell the types of a text file's columns.
const ROWS_FOR_TYPES: usize = 10_000;

/// The files that `paths` stand for: themselves, or the tables in a folder, sorted by name.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(Error::io("open the table", path))?;
        if !metadata.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(Error::io("read", path))? {
            let file = entry.map_err(Error::io("read", path))?.path();
            if separator(&file).is_ok() {
                found.push(file);
            }
        }
        if found.is_empty() {
            let reason = "the folder has no parquet, csv or tsv file".into();
            return Err(Error::Table { path: path.clone(), reason });
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// What separates the fields of a text table; `None` for parquet.
fn separator(path: &Path) -> Result<Option<u8>> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("parquet") => Ok(None),
        Some("csv") => Ok(Some(b',')),
        Some("tsv") => Ok(Some(b'\t')),
        _ => Err(Error::Table { path: path.into(), reason: "expected a parquet, csv or tsv file".into() }),
    }
}

/// One file as a lazy table.
pub(super) fn scan(path: &Path) -> Result<LazyFrame> {
    let at = PlRefPath::try_from_path(path).map_err(broken(path))?;
    match separator(path)? {
        None => {
            let arguments = ScanArgsParquet { glob: false, ..Default::default() };
            LazyFrame::scan_parquet(at, arguments).map_err(broken(path))
        }
        Some(separator) => scan_text(path, at, separator, ROWS_FOR_TYPES),
    }
}

/// A text file with all of its columns as texts; `None` for parquet, whose values are of their column's type.
pub(super) fn scan_as_texts(path: &Path) -> Result<Option<LazyFrame>> {
    let at = PlRefPath::try_from_path(path).map_err(broken(path))?;
    separator(path)?.map(|separator| scan_text(path, at, separator, 0)).transpose()
}

fn scan_text(path: &Path, at: PlRefPath, separator: u8, rows_for_types: usize) -> Result<LazyFrame> {
    let format = if separator == b'\t' { InputFormat::Tsv } else { InputFormat::Csv };
    let headerless = first_row_columns(path, format)?;
    let reader = LazyCsvReader::new(at)
        .with_separator(separator)
        // Tabs separate raw text; quotes protect only between commas.
        .with_quote_char((separator == b',').then_some(b'"'))
        .with_has_header(headerless.is_none())
        .with_infer_schema_length(Some(rows_for_types))
        .with_encoding(CsvEncoding::LossyUtf8)
        .with_ignore_errors(true)
        .with_truncate_ragged_lines(true)
        .with_glob(false);
    let table = reader.finish().map_err(broken(path))?;
    let Some((url, caption)) = headerless else { return Ok(table) };
    let mut names = vec![(format!("column_{}", url + 1), "url")];
    names.extend(caption.map(|caption| (format!("column_{}", caption + 1), "caption")));
    let (old, new): (Vec<_>, Vec<_>) = names.into_iter().unzip();
    Ok(table.rename(old, new, true))
}

/// Wraps polars' reasons.
pub(super) fn broken(path: &Path) -> impl Fn(PolarsError) -> Error + use<> {
    let path = path.to_path_buf();
    move |e| Error::Table { path: path.clone(), reason: e.to_string() }
}

/// The first column whose name is, but for case, one of `names`, tried in their order.
pub(super) fn column<'a>(schema: &'a Schema, names: &[&str]) -> Option<&'a PlSmallStr> {
    names.iter().find_map(|name| schema.iter_names().find(|column| column.eq_ignore_ascii_case(name)))
}
