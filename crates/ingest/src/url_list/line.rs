//! Lines of text, bounded in length, from plain or gzipped files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// A line longer than this is no row of a list, and is not kept in memory.
pub const MAX_LINE_BYTES: u64 = 1 << 20;

/// A list as a stream of bytes, gunzipped where the name says so, without a byte order mark.
pub type Source = Box<dyn BufRead + Send>;

/// Opens `path`.
///
/// # Errors
/// When the file cannot be read.
pub fn open(path: &Path) -> Result<Source> {
    let file = File::open(path).map_err(Error::io("open the url list", path))?;
    let gzipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let plain = BufReader::with_capacity(1 << 16, file);
    let source: Source =
        if gzipped { Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(plain))) } else { Box::new(plain) };
    without_mark(source).map_err(Error::io("read the url list", path))
}

fn without_mark(mut source: Source) -> io::Result<Source> {
    let mut start = Vec::new();
    source.by_ref().take(3).read_to_end(&mut start)?;
    if start == b"\xef\xbb\xbf" {
        return Ok(source);
    }
    Ok(Box::new(io::Cursor::new(start).chain(source)))
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The bytes without the end of the line.
    Whole(Vec<u8>),
    /// More bytes than a line may have.
    TooLong,
}

/// The lines of a source with their numbers, from 1, blank ones left out.
pub struct Lines {
    source: Source,
    number: u64,
}

impl Lines {
    /// Lines of `source`.
    pub fn new(source: Source) -> Self {
        Self { source, number: 0 }
    }

    fn read(&mut self) -> io::Result<Option<(u64, Line)>> {
        loop {
            let mut bytes = Vec::new();
            let read = self.source.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read == MAX_LINE_BYTES && bytes.last() != Some(&b'\n') {
                self.source.skip_until(b'\n')?;
                return Ok(Some((self.number, Line::TooLong)));
            }
            bytes.pop_if(|byte| *byte == b'\n');
            bytes.pop_if(|byte| *byte == b'\r');
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some((self.number, Line::Whole(bytes))));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = io::Result<(u64, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Vec<(u64, Line)> {
        Lines::new(Box::new(io::Cursor::new(bytes))).map(|line| line.unwrap()).collect()
    }

    #[test]
    fn ends_of_lines_and_blank_lines_are_left_out() {
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        assert_eq!(lines(b"a\r\n\n \t\nb".to_vec()), [(1, whole(b"a")), (4, whole(b"b"))]);
        assert_eq!(lines(Vec::new()), []);
    }

    #[test]
    fn an_endless_line_is_one_row_and_reading_goes_on() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES as usize + 5];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(lines(bytes), [(1, Line::TooLong), (2, Line::Whole(b"next".to_vec()))]);
    }
}
