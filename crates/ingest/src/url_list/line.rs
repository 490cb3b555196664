//! Lines of text, bounded in length.

use std::io::{self, BufRead, Read};

use super::source::{Source, damage};
use crate::error::Result;

/// A line longer than this is no row of a list, and is not kept in memory.
pub(super) const MAX_LINE_BYTES: u64 = 1 << 20;

/// What stands where a row is expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The bytes without the end of the line.
    Whole(Vec<u8>),
    /// Bytes that are no row, and why.
    Lost(String),
}

/// The lines of a source with their numbers, from 1, blank ones left out.
pub(super) struct Lines {
    source: Source,
    number: u64,
    ended: bool,
}

impl Lines {
    /// Lines of `source`.
    pub(super) fn new(source: Source) -> Self {
        Self { source, number: 0, ended: false }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        loop {
            self.number += 1;
            let mut bytes = Vec::new();
            let read = self.source.bytes.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? as u64;
            if read == 0 {
                return Ok(None);
            }
            if read == MAX_LINE_BYTES && bytes.last() != Some(&b'\n') {
                self.source.bytes.skip_until(b'\n')?;
                return Ok(Some(Line::Lost("the line is too long".into())));
            }
            bytes.pop_if(|byte| *byte == b'\n');
            bytes.pop_if(|byte| *byte == b'\r');
            // A tab separates cells, if empty ones.
            if !bytes.trim_ascii().is_empty() || bytes.contains(&b'\t') {
                return Ok(Some(Line::Whole(bytes)));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let line = self.read();
        self.ended = !matches!(line, Ok(Some(_)));
        let line = line.or_else(|error| {
            damage(&self.source.file, &self.source.read, error).map(|reason| Some(Line::Lost(reason)))
        });
        line.map(|line| line.map(|line| (self.number, line))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Vec<(u64, Line)> {
        Lines::new(Source::in_memory("list.txt", bytes)).map(|line| line.unwrap()).collect()
    }

    #[test]
    fn ends_of_lines_and_blank_lines_are_left_out() {
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        assert_eq!(lines(b"a\r\n\n  \nb\n\t".to_vec()), [(1, whole(b"a")), (4, whole(b"b")), (5, whole(b"\t"))]);
        assert_eq!(lines(Vec::new()), []);
    }

    #[test]
    fn an_endless_line_is_one_row_and_reading_goes_on() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES as usize + 5];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(lines(bytes), [(1, Line::Lost("the line is too long".into())), (2, Line::Whole(b"next".to_vec()))]);
    }
}
