//! The bytes of a list: of a file, a server or a bucket, unpacked as they are read, without a byte order mark.
//!
//! Trouble is of two kinds. Where the place that the bytes come from fails (a disk, a connection), the run ends: the
//! same command goes on later. Where the bytes themselves are damaged (a compressed file that was cut off), asking
//! again does not help: the rows before the damage count, and a bad row stands for what is behind it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use shards::store;
use shards::uri::ShardUri;

use super::compression::Compression;
use super::files::ListFile;
use super::read_so_far::ReadSoFar;
use crate::error::{Error, Result};

/// Bytes that are read as they are asked for.
pub(super) type Bytes = Box<dyn BufRead + Send>;

/// Bytes enough to tell compressions and byte order marks.
const MARK_BYTES: u64 = 16;

/// A list as a stream of bytes.
pub(super) struct Source {
    /// What messages call the list.
    pub(super) file: Arc<Path>,
    /// Its text.
    pub(super) bytes: Bytes,
    /// Hears where the rest of it is lost.
    pub(super) read: ReadSoFar,
}

impl Source {
    /// Opens a list of text, whose bytes count as `read` when they are.
    ///
    /// # Errors
    /// When it cannot be read, or is no text.
    pub(super) fn open(list: &ListFile, read: &ReadSoFar) -> Result<Self> {
        let raw = Counted { raw: open_raw(list)?, read: read.clone() };
        let said = Compression::of_name(&list.name.to_string_lossy()).1;
        let buffered: Bytes = Box::new(BufReader::with_capacity(1 << 16, raw));
        Self::of(Arc::clone(&list.name), buffered, said, read.clone())
    }

    /// The text within `bytes`, which by the list's name have the compression `said`.
    fn of(file: Arc<Path>, bytes: Bytes, said: Option<Compression>, read: ReadSoFar) -> Result<Self> {
        let failed = |error: io::Error| Error::io("read the url list", &file)(error);
        let (start, bytes) = peeked(bytes).map_err(failed)?;
        let found = Compression::of_bytes(&start);
        let wrong = |reason: String| Err(Error::List { path: file.to_path_buf(), reason });
        if let Some(said) = said.filter(|said| found != Some(*said)) {
            return wrong(format!("its name says {}, and it does not begin like such a file", said.as_str()));
        }
        let bytes = match found {
            Some(compression) => compression.unpacked(bytes).map_err(failed)?,
            None => bytes,
        };
        let (start, mut bytes) = peeked(bytes).map_err(failed)?;
        match start.as_slice() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return wrong("it is UTF-16 text (expected UTF-8)".into()),
            [b'P', b'A', b'R', b'1', ..] => return wrong("it is a parquet file (expected text)".into()),
            [0xef, 0xbb, 0xbf, ..] => bytes.consume(3),
            _ => {}
        }
        Ok(Self { file, bytes, read })
    }
}

/// Why reading `file` ended early, in words for a bad row.
///
/// # Errors
/// When it is not the bytes that are damaged.
pub(super) fn damage(file: &Path, read: &ReadSoFar, error: io::Error) -> Result<String> {
    if error.get_ref().is_some_and(|inner| inner.is::<Broken>()) {
        return Err(Error::io("read the url list", file)(error));
    }
    let how = if error.kind() == io::ErrorKind::UnexpectedEof { "ends early" } else { "is damaged" };
    Ok(rest_is_lost(file, read, &format!("the file {how}: {error}")))
}

/// A reason that costs more than one row; it is worth a line of its own.
pub(super) fn rest_is_lost(file: &Path, read: &ReadSoFar, how: &str) -> String {
    read.add_cut();
    tracing::error!(url_list = %file.display(), "no row behind the damage is read: {how}");
    format!("no row from here on is read: {how}")
}

/// The whole of a list as a file that can be read in any order: itself, or a nameless copy.
///
/// # Errors
/// When it is compressed, or cannot be read or copied.
pub(super) fn seekable(list: &ListFile) -> Result<File> {
    if let (_, Some(compression)) = Compression::of_name(&list.name.to_string_lossy()) {
        let packed = compression.as_str();
        let reason =
            format!("{packed} over parquet cannot be read, parquet is compressed within: unpack the file first");
        return Err(Error::List { path: list.name.to_path_buf(), reason });
    }
    if let ShardUri::Local(path) = &list.uri {
        let file = File::open(path).map_err(Error::io("open the url list", path))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(file);
        }
    }
    let mut copy = tempfile::tempfile().map_err(Error::io("make a file in", &std::env::temp_dir()))?;
    io::copy(&mut open_raw(list)?, &mut copy).map_err(Error::io("copy the url list", &list.name))?;
    copy.rewind().map_err(Error::io("read the copied url list", &list.name))?;
    Ok(copy)
}

fn open_raw(list: &ListFile) -> Result<Raw> {
    if let ShardUri::Local(path) = &list.uri {
        let file = File::open(path).map_err(Error::io("open the url list", path))?;
        return Ok(Raw(Box::new(file)));
    }
    let reason = |error| match error {
        shards::Error::Source { reason, .. } | shards::Error::Spec { reason, .. } => reason,
        other => other.to_string(),
    };
    let opened = store::open(&list.uri);
    opened.map(Raw).map_err(|error| Error::List { path: list.name.to_path_buf(), reason: reason(error) })
}

/// The first bytes, and all of them again.
fn peeked(mut bytes: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut start = Vec::new();
    bytes.by_ref().take(MARK_BYTES).read_to_end(&mut start)?;
    let all = io::Cursor::new(start.clone()).chain(bytes);
    Ok((start, Box::new(all)))
}

/// Bytes as they come, whose errors are marked so that a decoder's are told from them.
struct Raw(Box<dyn Read + Send>);

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, Broken(error)),
        })
    }
}

/// Bytes that are counted as they come.
struct Counted {
    raw: Raw,
    read: ReadSoFar,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.read.add(count as u64);
        Ok(count)
    }
}

/// Trouble of the place that the bytes come from.
#[derive(Debug)]
struct Broken(io::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
impl Source {
    /// Bytes in memory as a list of this name.
    pub(super) fn in_memory(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::reading(name, io::Cursor::new(bytes.into())).unwrap()
    }

    /// What `reader` gives as a list of this name.
    pub(super) fn reading(name: &str, reader: impl Read + Send + 'static) -> Result<Self> {
        let raw = BufReader::with_capacity(1 << 16, Raw(Box::new(reader)));
        Self::of(Arc::from(Path::new(name)), Box::new(raw), None, ReadSoFar::of(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives some bytes, then fails as a disk does.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let given = buffer.len().min(self.0);
            self.0 -= given;
            buffer[..given].fill(b'x');
            if given == 0 { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the cable came off")) } else { Ok(given) }
        }
    }

    #[test]
    fn trouble_of_the_place_is_told_from_damage_within() {
        let mut source = Source::reading("list.txt", Failing(100)).unwrap();
        let error = source.bytes.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(damage(&source.file, &source.read, error).unwrap_err().to_string().contains("list.txt"));
        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "premature eof");
        assert!(damage(&source.file, &source.read, cut).unwrap().ends_with("the file ends early: premature eof"));
    }

    #[test]
    fn what_is_no_utf8_text_is_named() {
        let error = |bytes: &[u8]| {
            let bytes: Bytes = Box::new(io::Cursor::new(bytes.to_vec()));
            Source::of(Arc::from(Path::new("list.txt")), bytes, None, ReadSoFar::of(&[])).err().unwrap().to_string()
        };
        assert!(error(b"\xff\xfeh\0t\0").contains("UTF-16"));
        assert!(error(b"PAR1....").contains("parquet"));
    }
}
