//! A source of bytes as tar's 512-byte blocks, with the offset kept.

use std::io::{self, BufReader, Read};

pub(super) const BLOCK: usize = 512;

/// Enough that headers cost few reads; contents larger than this pass by the buffer.
const BUFFER_BYTES: usize = 1 << 18;

pub(super) struct Blocks<R> {
    source: BufReader<R>,
    offset: u64,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(BUFFER_BYTES, source), offset: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Fills `block`; returns fewer bytes than it has only at the end of the source.
    pub(super) fn read_block(&mut self, block: &mut [u8; BLOCK]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Content of `size` bytes and its padding; `None` where the source ends before. Memory
    /// grows with what arrives, not with what a header announces.
    pub(super) fn read_content(&mut self, size: u64) -> io::Result<Option<Vec<u8>>> {
        let mut content = Vec::with_capacity(size.min(BUFFER_BYTES as u64) as usize);
        let read = (&mut self.source).take(size).read_to_end(&mut content)? as u64;
        self.offset += read;
        let is_whole = read == size && self.skip_exactly(padding(size))?;
        Ok(is_whole.then_some(content))
    }

    /// Passes over content of `size` bytes and its padding; false where the source ends before.
    pub(super) fn skip_content(&mut self, size: u64) -> io::Result<bool> {
        Ok(self.skip_exactly(size)? && self.skip_exactly(padding(size))?)
    }

    /// Reads to the end of the source; whether only zeros were left. Without this a source that
    /// fails after its last useful byte would not be heard.
    pub(super) fn only_zeros_remain(&mut self) -> io::Result<bool> {
        let (mut rest, mut only_zeros) = ([0; 8 * BLOCK], true);
        loop {
            match self.source.read(&mut rest) {
                Ok(0) => return Ok(only_zeros),
                Ok(count) => only_zeros &= rest[..count].iter().all(|byte| *byte == 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn skip_exactly(&mut self, size: u64) -> io::Result<bool> {
        let skipped = io::copy(&mut (&mut self.source).take(size), &mut io::sink())?;
        self.offset += skipped;
        Ok(skipped == size)
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
