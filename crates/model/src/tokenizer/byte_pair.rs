//! Byte-pair encoding of one word: the merge table within this library, and the merging. Does not split text into words.
//!
//! Ids are laid out as CLIP's vocabulary is: 256 bytes, the same 256 bytes at a word's end, then one id for each merge in
//! the order of rank. So a merge's rank and its id differ by a constant, and the table needs no strings.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::Read;

use crate::error::{Error, Result};

/// `left right` lines in the order of rank, gzip.
static MERGES: &[u8] = include_bytes!("clip_merges.txt.gz");
/// Number of merges that CLIP uses.
const MERGE_COUNT: usize = 48894;
/// Ids below this are single bytes.
const FIRST_MERGE_ID: u32 = 512;
/// What the merge file appends to the last symbol of a word.
const WORD_END: &str = "</w>";
/// Stands for "no neighbour" in a word's chain of symbols.
const NONE: usize = usize::MAX;

/// The merge table.
#[derive(Debug)]
pub(super) struct BytePairs {
    byte_ids: [u32; 256],
    merged: HashMap<(u32, u32), u32>,
}

impl BytePairs {
    /// Reads the table within this library.
    pub(super) fn embedded() -> Result<Self> {
        let mut lines = String::new();
        flate2::read::GzDecoder::new(MERGES)
            .read_to_string(&mut lines)
            .map_err(|source| Error::Tokenizer { reason: format!("the embedded merges: {source}") })?;
        Self::parse(&lines)
    }

    fn parse(lines: &str) -> Result<Self> {
        let (byte_ids, mut symbols) = byte_symbols();
        let mut merged = HashMap::with_capacity(MERGE_COUNT);
        for (id, line) in (FIRST_MERGE_ID..).zip(lines.lines()) {
            let pair = merge_of(line, &symbols).ok_or_else(|| Error::Tokenizer {
                reason: format!("merge {}: expected two known symbols, got `{line}`", id - FIRST_MERGE_ID),
            })?;
            merged.insert(pair, id);
            symbols.insert(line.replace(' ', ""), id);
        }
        if merged.len() != MERGE_COUNT {
            return Err(Error::Tokenizer { reason: format!("expected {MERGE_COUNT} merges, got {}", merged.len()) });
        }
        Ok(Self { byte_ids, merged })
    }

    /// Token ids of one word (empty for an empty word): the pair of lowest rank is merged until none is left.
    pub(super) fn encode(&self, word: &str) -> Vec<u32> {
        let mut symbols: Vec<u32> = word.bytes().map(|byte| self.byte_ids[usize::from(byte)]).collect();
        if let Some(last) = symbols.last_mut() {
            *last += 256;
        }
        Chain::new(symbols).merge_all(&self.merged)
    }
}

impl BytePairs {
    /// The text of ids, a space behind each word; ids of no symbol are passed over.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let parts: HashMap<u32, (u32, u32)> = self.merged.iter().map(|(pair, id)| (*id, *pair)).collect();
        let byte_of = |id: u32| self.byte_ids.iter().position(|byte_id| *byte_id == id).map(|byte| byte as u8);
        let mut bytes = Vec::new();
        let mut waiting: Vec<u32> = ids.iter().rev().copied().collect();
        while let Some(id) = waiting.pop() {
            match parts.get(&id) {
                Some((left, right)) => waiting.extend([*right, *left]),
                None if id < 256 => bytes.extend(byte_of(id)),
                None if id < FIRST_MERGE_ID => bytes.extend(byte_of(id - 256).into_iter().chain([b' '])),
                None => {}
            }
        }
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}

/// Symbols of a word as a doubly linked list over a vector: merging unlinks the right symbol in constant time, and a heap
/// yields the next merge, so that a word of n bytes costs n log n whatever it holds.
struct Chain {
    symbols: Vec<u32>,
    before: Vec<usize>,
    after: Vec<usize>,
    live: Vec<bool>,
    due: BinaryHeap<Reverse<(u32, usize, u32, u32)>>,
}

impl Chain {
    fn new(symbols: Vec<u32>) -> Self {
        let count = symbols.len();
        let before = (0..count).map(|at| at.checked_sub(1).unwrap_or(NONE)).collect();
        let after = (0..count).map(|at| if at + 1 < count { at + 1 } else { NONE }).collect();
        Self { symbols, before, after, live: vec![true; count], due: BinaryHeap::new() }
    }

    fn merge_all(mut self, merged: &HashMap<(u32, u32), u32>) -> Vec<u32> {
        for at in 0..self.symbols.len() {
            self.consider(at, merged);
        }
        while let Some(Reverse((id, at, left, right))) = self.due.pop() {
            let next = self.after[at];
            // An earlier merge may have changed either side since this one was noted.
            if !self.live[at] || next == NONE || (self.symbols[at], self.symbols[next]) != (left, right) {
                continue;
            }
            self.join(at, next, id);
            self.consider(at, merged);
            self.consider(self.before[at], merged);
        }
        self.symbols.iter().zip(&self.live).filter(|(_, live)| **live).map(|(id, _)| *id).collect()
    }

    /// Notes the merge of the symbol at `at` with the one after it, where there is one.
    fn consider(&mut self, at: usize, merged: &HashMap<(u32, u32), u32>) {
        if at == NONE || self.after[at] == NONE {
            return;
        }
        let pair = (self.symbols[at], self.symbols[self.after[at]]);
        if let Some(id) = merged.get(&pair) {
            self.due.push(Reverse((*id, at, pair.0, pair.1)));
        }
    }

    fn join(&mut self, at: usize, next: usize, id: u32) {
        self.symbols[at] = id;
        self.live[next] = false;
        self.after[at] = self.after[next];
        if self.after[at] != NONE {
            let following = self.after[at];
            self.before[following] = at;
        }
    }
}

/// The pair of ids that a line of the merge file names.
fn merge_of(line: &str, symbols: &HashMap<String, u32>) -> Option<(u32, u32)> {
    let (left, right) = line.split_once(' ')?;
    Some((*symbols.get(left)?, *symbols.get(right)?))
}

/// The id of each byte, and the spelling of each byte in the merge file. There a printable byte of Latin-1 is itself, the
/// other 68 are the characters from U+0100 on; printable ones take the first ids.
fn byte_symbols() -> ([u32; 256], HashMap<String, u32>) {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let shown = (0..=255u8).filter(printable).map(|byte| (byte, char::from(byte)));
    let hidden = (0..=255u8).filter(|byte| !printable(byte)).zip('\u{100}'..);
    let mut ids = [0; 256];
    let mut symbols = HashMap::new();
    for (id, (byte, spelled)) in (0..).zip(shown.chain(hidden)) {
        ids[usize::from(byte)] = id;
        symbols.insert(spelled.to_string(), id);
        symbols.insert(format!("{spelled}{WORD_END}"), id + 256);
    }
    (ids, symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_table_fills_the_vocabulary() {
        let pairs = BytePairs::embedded().unwrap();
        let largest = pairs.merged.values().max().copied();
        assert_eq!(largest, Some(super::super::START_OF_TEXT - 1));
    }

    #[test]
    fn word_merges_to_known_ids() {
        let pairs = BytePairs::embedded().unwrap();
        assert_eq!(pairs.encode("cat"), [2368]);
        assert_eq!(pairs.encode("!"), [256]);
        assert!(pairs.encode("").is_empty());
    }

    #[test]
    fn equal_neighbours_merge_from_the_left() {
        let merged = HashMap::from([((1, 1), 600), ((600, 600), 601)]);
        assert_eq!(Chain::new(vec![1; 3]).merge_all(&merged), [600, 1]);
        assert_eq!(Chain::new(vec![1; 7]).merge_all(&merged), [601, 600, 1]);
    }

    #[test]
    fn damaged_merges_are_an_error() {
        let told = BytePairs::parse("a b\nzz q").unwrap_err().to_string();
        assert_eq!(told, "merge 1: expected two known symbols, got `zz q`");
        assert!(BytePairs::parse("a b").unwrap_err().to_string().contains("expected 48894 merges, got 1"));
    }
}
