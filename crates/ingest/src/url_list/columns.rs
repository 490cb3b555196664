//! Which column of a list is which, by header or by looking at the first row.

use std::path::Path;
use std::sync::Once;

use shards::metadata::{ColumnKind, ColumnValue};

use super::preset::{Preset, url_decoded};
use super::{BadRow, Columns, ListedRow, UrlRow, Wanted};
use crate::error::{Error, Result};

/// What columns of captions are called.
const CAPTIONS: [&str; 5] = ["caption", "text", "title", "alt_text", "alt"];

/// Places of the wanted columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Fields that every row must have.
    pub width: usize,
    /// The URL's field.
    pub url: usize,
    /// The caption's field.
    pub caption: Option<usize>,
    /// The field to take where there is no caption.
    pub second_caption: Option<usize>,
    /// The additional columns' fields.
    pub extra: Vec<usize>,
    /// Whether texts other than the URL are encoded as in one.
    pub url_encoded: bool,
}

/// The place of `name` among `header`: exactly, or else but for case.
pub(super) fn find(header: &[String], name: &str) -> Option<usize> {
    let exact = header.iter().position(|column| column.trim() == name);
    exact.or_else(|| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name)))
}

/// The places of the wanted columns under a header.
///
/// # Errors
/// When one is not there; the message lists those that are.
pub(super) fn by_header(path: &Path, header: &[String], wanted: &Wanted) -> Result<Places> {
    let missing = |name: &str| Error::MissingColumn {
        path: path.to_path_buf(),
        column: name.into(),
        available: header.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let place = |name: &str| find(header, name).ok_or_else(|| missing(name));
    let url = place(&wanted.url)?;
    let caption = wanted.caption.as_deref().map(place).transpose()?;
    if wanted.caption.is_none() && wanted.preset.is_none() {
        tell_of_captions(path, header);
    }
    let extra = wanted.extra.iter().map(|name| place(name)).collect::<Result<_>>()?;
    let second_caption = wanted.second_caption().and_then(|name| find(header, name));
    Ok(Places { width: header.len(), url, caption, second_caption, extra, url_encoded: false })
}

/// Says, once, that a list has what look like captions and that nobody asked for them: found out later, it is a download
/// to be made again.
fn tell_of_captions(path: &Path, header: &[String]) {
    static TOLD: Once = Once::new();
    let is_caption = |name: &&String| CAPTIONS.iter().any(|caption| name.trim().eq_ignore_ascii_case(caption));
    if let Some(name) = header.iter().find(is_caption) {
        let path = path.display();
        TOLD.call_once(|| {
            tracing::warn!("`{path}` has a column `{name}`, and no captions are stored: --caption-col {name} stores it")
        });
    }
}

/// The places in a text file, told from its first row, and whether that row is a header.
///
/// # Errors
/// When a wanted column is not there.
pub(super) fn of_text(path: &Path, first: &[String], wanted: &Wanted) -> Result<(Places, bool)> {
    let Some(names) = wanted.preset.and_then(|preset| preset.names(first.len())) else {
        let headerless = by_first_row(path, first, wanted)?;
        return headerless.map_or_else(|| Ok((by_header(path, first, wanted)?, true)), |places| Ok((places, false)));
    };
    let url_encoded = wanted.preset.is_some_and(Preset::url_encoded);
    // Some put a header over such a list, as img2dataset needs one.
    if let Ok(places) = by_header(path, first, wanted) {
        return Ok((Places { url_encoded, ..places }, true));
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let places = by_header(path, &names, wanted)?;
    Ok((Places { width: first.len().max(names.len()), url_encoded, ..places }, false))
}

/// The places in a list without a header, told from its first row; `None` where no field of
/// that row is an http URL, so that it is a header.
///
/// # Errors
/// When additional columns are wanted, which need names.
fn by_first_row(path: &Path, row: &[String], wanted: &Wanted) -> Result<Option<Places>> {
    let Some((url, caption)) = url_and_caption(row) else { return Ok(None) };
    if let Some(column) = wanted.extra.first() {
        let available = "no header: a field of its first row is a URL".to_string();
        return Err(Error::MissingColumn { path: path.to_path_buf(), column: column.clone(), available });
    }
    let extra = Vec::new();
    Ok(Some(Places { width: row.len(), url, caption, second_caption: None, extra, url_encoded: false }))
}

/// The place of the first http URL and of the first other field; `None` without a URL.
pub(super) fn url_and_caption(row: &[String]) -> Option<(usize, Option<usize>)> {
    let url = row.iter().position(|field| is_http_url(field))?;
    Some((url, (0..row.len()).find(|place| *place != url)))
}

fn is_http_url(field: &str) -> bool {
    let start = field.trim_start().get(..8).unwrap_or(field.trim_start()).to_ascii_lowercase();
    (start.starts_with("http://") && start.len() > 7) || start.starts_with("https://")
}

impl Places {
    /// What rows at these places have; additional columns of text files are text.
    pub(super) fn columns(&self, wanted: &Wanted) -> Columns {
        let extra = wanted.extra.iter().map(|name| (name.clone(), ColumnKind::Text)).collect();
        Columns { caption: self.caption.is_some(), extra }
    }

    /// The row that `fields` are, or why they are none.
    pub(super) fn row(&self, mut fields: Vec<String>, index: u64, line: u64, file: &std::sync::Arc<Path>) -> ListedRow {
        let bad = |reason: String| BadRow { index, file: std::sync::Arc::clone(file), line, reason };
        if fields.len() != self.width {
            return Err(bad(format!("expected {} columns, got {}", self.width, fields.len())));
        }
        let extra = self.extra.iter().map(|place| ColumnValue::Text(self.text(&fields[*place]))).collect();
        let caption = self.caption_place(&fields).map(|place| self.text(&fields[place]));
        let url = std::mem::take(&mut fields[self.url]);
        if url.trim().is_empty() {
            return Err(bad("the URL is missing".into()));
        }
        Ok(UrlRow { index, url, caption, extra })
    }

    fn caption_place(&self, fields: &[String]) -> Option<usize> {
        let first = self.caption?;
        Some(self.second_caption.filter(|_| fields[first].trim().is_empty()).unwrap_or(first))
    }

    fn text(&self, field: &str) -> String {
        if self.url_encoded { url_decoded(field) } else { field.to_owned() }
    }
}
