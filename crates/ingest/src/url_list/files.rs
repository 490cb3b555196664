//! Which files a list is: one, those of a folder or of a glob, or one behind an address.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shards::spec::ShardSpec;
use shards::uri::ShardUri;

use super::{InputFormat, InputOptions};
use crate::error::{Error, Result};

/// One file of a list.
#[derive(Clone, Debug)]
pub(super) struct ListFile {
    /// Where it is.
    pub(super) uri: ShardUri,
    /// What messages call it: its path, or its address without what may be secret.
    pub(super) name: Arc<Path>,
}

impl ListFile {
    /// A file on this machine.
    pub(super) fn local(path: &Path) -> Self {
        Self { uri: ShardUri::Local(path.to_path_buf()), name: Arc::from(path) }
    }

    fn at(uri: ShardUri) -> Self {
        let name = match &uri {
            ShardUri::Local(path) => path.clone(),
            ShardUri::Http(address) => PathBuf::from(without_secrets(address)),
            other => PathBuf::from(other.to_string()),
        };
        Self { uri, name: Arc::from(name) }
    }
}

/// Signatures stand in the query of an address, passwords before its host; names end up in tables.
fn without_secrets(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else { return address.split(['?', '#']).next().unwrap_or("").into() };
    url.set_query(None);
    url.set_fragment(None);
    // Both are refused only by addresses without a host, which have no password.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// The files that `options` name, in the order they are read, and the format that they have in common.
///
/// # Errors
/// When there are none, or their format is unknown or not the same.
pub(super) fn find(options: &InputOptions) -> Result<(Vec<ListFile>, InputFormat)> {
    let given = &options.url_list;
    let files = match given.to_str().filter(|text| is_address(text)) {
        Some(text) => remote(text, given)?,
        None => return local(given, options),
    };
    let named = files.into_iter().map(|file| format_of(&file.name, options).map(|format| (file, format)));
    of_one_format(given, named.collect::<Result<_>>()?)
}

fn is_address(text: &str) -> bool {
    text.contains("://") || ["file:", "pipe:"].iter().any(|scheme| text.starts_with(scheme))
}

fn remote(text: &str, given: &Path) -> Result<Vec<ListFile>> {
    let wrong = |reason: String| Error::List { path: given.to_path_buf(), reason };
    if text.ends_with('/') {
        return Err(wrong(
            "a folder behind an address cannot be listed: name its files, as in {000..127}.parquet".into(),
        ));
    }
    Ok(expanded(text, given)?.into_iter().map(ListFile::at).collect())
}

/// The names that braces such as `{00..31}` stand for.
fn expanded(text: &str, given: &Path) -> Result<Vec<ShardUri>> {
    let wrong = |reason: String| Error::List { path: given.to_path_buf(), reason };
    let spec = ShardSpec::parse(text).map_err(|error| match error {
        shards::Error::Spec { reason, .. } => wrong(reason),
        other => wrong(other.to_string()),
    })?;
    Ok(spec.uris().cloned().collect())
}

fn local(path: &Path, options: &InputOptions) -> Result<(Vec<ListFile>, InputFormat)> {
    let found = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => folder(path, options.input_format)?,
        Ok(_) => vec![path.to_path_buf()],
        Err(error) => match path.to_str() {
            Some(names) if names.contains('{') => braced(path, names)?,
            Some(pattern) if is_glob(pattern) => globbed(path, pattern)?,
            _ => return Err(Error::io("open the url list", path)(error)),
        },
    };
    let named = found.into_iter().map(|file| Ok((ListFile::local(&file), format_of(&file, options)?)));
    of_one_format(path, named.collect::<Result<_>>()?)
}

/// The files of a folder, not of those within it, whose names say `format`, or any format.
fn folder(path: &Path, format: Option<InputFormat>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io("read", path))? {
        let file = entry.map_err(Error::io("read", path))?.path();
        let found = InputFormat::of(&file).ok().filter(|_| file.is_file());
        if found.is_some_and(|found| format.is_none_or(|wanted| wanted == found)) {
            files.push(file);
        }
    }
    if files.is_empty() {
        let wanted = format.map_or("txt, csv, tsv, json, jsonl or parquet", InputFormat::as_str);
        return Err(Error::List { path: path.to_path_buf(), reason: format!("the folder has no {wanted} file") });
    }
    files.sort();
    Ok(files)
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// In the order of the braces; every file has to be there.
fn braced(path: &Path, names: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in expanded(names, path)? {
        let ShardUri::Local(file) = name else {
            return Err(Error::List {
                path: path.to_path_buf(),
                reason: format!("`{name}` is no file of this machine"),
            });
        };
        match file.to_str().filter(|name| is_glob(name)) {
            Some(pattern) => files.extend(globbed(&file, pattern)?),
            None => files.push(file),
        }
    }
    Ok(files)
}

fn globbed(path: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let wrong = |reason: String| Error::List { path: path.to_path_buf(), reason };
    // As in a shell: a star stops at a slash, and hidden files are asked for by their dot.
    let like_a_shell =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let matches = glob::glob_with(pattern, like_a_shell).map_err(|error| wrong(error.to_string()))?;
    let mut files = Vec::new();
    for file in matches {
        let file = file.map_err(|error| wrong(error.to_string()))?;
        if !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(wrong("no file matches".into())) } else { Ok(files) }
}

/// What the options say, or the name, or the preset. Data sets in tsv are handed out as `.txt` as well.
fn format_of(name: &Path, options: &InputOptions) -> Result<InputFormat> {
    if let Some(format) = options.input_format {
        return Ok(format);
    }
    let by_name = InputFormat::of(name);
    match options.preset.map(|preset| preset.format()) {
        Some(format) if by_name.is_err() => Ok(format),
        Some(InputFormat::Tsv) if matches!(by_name, Ok(InputFormat::Txt)) => Ok(InputFormat::Tsv),
        _ => by_name,
    }
}

fn of_one_format(given: &Path, files: Vec<(ListFile, InputFormat)>) -> Result<(Vec<ListFile>, InputFormat)> {
    let wrong = |reason: String| Error::List { path: given.to_path_buf(), reason };
    let first = files.first().map(|(_, format)| *format).ok_or_else(|| wrong("it names no file".into()))?;
    if let Some((other, format)) = files.iter().find(|(_, format)| *format != first) {
        return Err(wrong(format!(
            "{first} and {format} (`{}`) are mixed: name the input format",
            other.name.display()
        )));
    }
    Ok((files.into_iter().map(|(file, _)| file).collect(), first))
}
