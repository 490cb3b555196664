//! Splits JSON text into its values, holding one of them at a time and of that no more than a row may be long.
//!
//! Only brackets, quotes and what separates values are looked at; whether a value is well-formed shows when it is used.

use std::io::BufRead;

use crate::error::Error;
use crate::url_list::line::MAX_LINE_BYTES;
use crate::url_list::source::{Source, damage, rest_is_lost};

/// Why a text cannot be read on.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is not JSON from some byte on, or damaged.
    Damage(String),
    /// Its place fails.
    Failed(Error),
}

/// What a step comes to.
pub(super) type Step<T> = std::result::Result<T, Stop>;

/// The bytes of one value; `None` where they are more than a row may have.
pub(super) type Value = Option<Vec<u8>>;

/// A text that is being split.
pub(super) struct Scanner {
    source: Source,
    /// Bytes behind us.
    offset: u64,
}

impl Scanner {
    /// The start of a text.
    pub(super) fn new(source: Source) -> Self {
        Self { source, offset: 0 }
    }

    /// The list that the text is.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Skips white space; the byte behind it, `None` at the end.
    pub(super) fn peek(&mut self) -> Step<Option<u8>> {
        loop {
            let chunk = fill(&mut self.source)?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let next = chunk.get(blank).copied();
            self.consume(blank);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Takes the byte `expected`, or the reason why not.
    pub(super) fn take(&mut self, expected: u8) -> Step<()> {
        match self.peek()? {
            Some(found) if found == expected => {
                self.consume(1);
                Ok(())
            }
            found => Err(self.expected(&format!("`{}`", char::from(expected)), found)),
        }
    }

    /// Whether another value follows within brackets that `close` ends; goes to its start, or behind the bracket.
    pub(super) fn another(&mut self, first: bool, close: u8) -> Step<bool> {
        match self.peek()? {
            Some(found) if found == close => {
                self.consume(1);
                Ok(false)
            }
            Some(b',') if !first => {
                self.consume(1);
                Ok(true)
            }
            Some(_) if first => Ok(true),
            found => Err(self.expected(&format!("`,` or `{}`", char::from(close)), found)),
        }
    }

    /// The end of the text, or the reason why it goes on.
    pub(super) fn end(&mut self) -> Step<()> {
        match self.peek()? {
            None => Ok(()),
            found => Err(self.expected("the end of the file", found)),
        }
    }

    /// A name and the colon behind it.
    pub(super) fn key(&mut self) -> Step<Value> {
        match self.peek()? {
            Some(b'"') => {}
            found => return Err(self.expected("a name in quotes", found)),
        }
        let key = self.value()?;
        self.take(b':')?;
        Ok(key)
    }

    /// One value.
    pub(super) fn value(&mut self) -> Step<Value> {
        match self.peek()? {
            Some(b',' | b':' | b']' | b'}') | None => {
                let found = self.peek()?;
                return Err(self.expected("a value", found));
            }
            Some(_) => {}
        }
        let (start, mut extent, mut text) = (self.offset, Extent::default(), Vec::new());
        let mut too_long = false;
        loop {
            let chunk = fill(&mut self.source)?;
            if chunk.is_empty() {
                if extent.is_open() {
                    return Err(self.stopped(format!("the file ends early, within the value at byte {start}")));
                }
                break;
            }
            let (taken, ended) = extent.advance(chunk);
            too_long |= (text.len() + taken) as u64 > MAX_LINE_BYTES;
            if !too_long {
                text.extend_from_slice(&chunk[..taken]);
            }
            self.consume(taken);
            if ended {
                break;
            }
        }
        Ok((!too_long).then_some(text))
    }

    fn consume(&mut self, bytes: usize) {
        self.source.bytes.consume(bytes);
        self.offset += bytes as u64;
    }

    fn expected(&self, what: &str, found: Option<u8>) -> Stop {
        let offset = self.offset;
        self.stopped(match found {
            Some(found) => format!("expected {what} at byte {offset}, got `{}`", char::from(found).escape_default()),
            None => format!("the file ends early, expected {what} at byte {offset}"),
        })
    }

    fn stopped(&self, how: String) -> Stop {
        Stop::Damage(rest_is_lost(&self.source.file, &self.source.read, &how))
    }
}

/// Not a method of [`Scanner`], whose offset is counted while the chunk is looked at.
fn fill(source: &mut Source) -> Step<&[u8]> {
    let Source { file, bytes, read } = source;
    bytes.fill_buf().map_err(|error| damage(file, read, error).map_or_else(Stop::Failed, Stop::Damage))
}

/// How far a value reaches.
#[derive(Default)]
pub(super) struct Extent {
    depth: u64,
    within_text: bool,
    escaped: bool,
}

impl Extent {
    /// How many bytes of `chunk` belong to the value, and whether it ends there.
    pub(super) fn advance(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (at, byte) in chunk.iter().enumerate() {
            if self.within_text {
                self.within_text = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
                if !self.within_text && self.depth == 0 {
                    return (at + 1, true);
                }
                continue;
            }
            match byte {
                b'"' => self.within_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                b'}' | b']' | b',' | b':' if self.depth == 0 => return (at, true),
                byte if self.depth == 0 && byte.is_ascii_whitespace() => return (at, true),
                _ => {}
            }
        }
        (chunk.len(), false)
    }

    fn is_open(&self) -> bool {
        self.within_text || self.depth > 0
    }
}
