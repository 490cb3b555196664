//! Deals rows out to shards: `number_sample_per_shard` rows each, in the order of the files.
//! A shard never spans two files, as with img2dataset, so that keys agree with its; unless they are to be packed.
//!
//! The rows of a shard are in memory together, so they may be so large together and no larger: rows beyond are bad ones.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::url_list::{BadRow, ListedRow, Rows, UrlList};

/// What the URLs, captions and other cells of a shard may take: so much, or so much for each of its rows if that is more.
/// Ten times what lists of the web have.
const SHARD_BYTES: usize = 32 << 20;
const ROW_BYTES: usize = 4096;

/// Where shards end besides where they are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// At the end of each file.
    ByFile,
    /// At the end of the last file only.
    AcrossFiles,
}

/// The rows of one shard; their place is their number within the shard.
#[derive(Debug)]
pub struct ShardTask {
    /// Number of the shard.
    pub shard_id: u64,
    /// The rows, unreadable ones included; at least one.
    pub rows: Vec<ListedRow>,
}

/// An iterator over the shards of a list. Rows are read as the shards are asked for.
pub struct Plan {
    list: UrlList,
    rows_per_shard: usize,
    next_shard: u64,
    packing: Packing,
    next_file: usize,
    current: Option<Rows>,
}

impl Plan {
    /// A plan over all files of `list`.
    pub fn new(list: UrlList, rows_per_shard: usize, packing: Packing) -> Self {
        Self { list, rows_per_shard, next_shard: 0, packing, next_file: 0, current: None }
    }

    fn next_task(&mut self) -> Result<Option<ShardTask>> {
        let mut rows: Vec<ListedRow> = Vec::new();
        let mut room = SHARD_BYTES.max(self.rows_per_shard.saturating_mul(ROW_BYTES));
        while rows.len() < self.rows_per_shard {
            if self.current.is_none() && !self.open_next()? {
                break;
            }
            let free = self.rows_per_shard - rows.len();
            let file = self.list.file_name(self.next_file.saturating_sub(1));
            for row in self.current.iter_mut().flatten().take(free) {
                rows.push(within(&mut room, row?, &file));
            }
            if rows.len() == self.rows_per_shard {
                break;
            }
            self.current = None;
            if self.packing == Packing::ByFile && !rows.is_empty() {
                break;
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let shard_id = self.next_shard;
        self.next_shard += 1;
        Ok(Some(ShardTask { shard_id, rows }))
    }

    fn open_next(&mut self) -> Result<bool> {
        if self.next_file >= self.list.file_count() {
            return Ok(false);
        }
        self.current = Some(self.list.rows(self.next_file)?);
        self.next_file += 1;
        Ok(true)
    }
}

/// The row, if there is room for it; takes its room.
fn within(room: &mut usize, row: ListedRow, file: &Arc<Path>) -> ListedRow {
    let row = row?;
    let bytes = row.text_bytes();
    if bytes <= *room {
        *room -= bytes;
        return Ok(row);
    }
    let reason = format!("the rows of its shard are too large together: {bytes} bytes, and there is room for {room}");
    Err(BadRow { index: row.index, file: Arc::clone(file), line: row.index + 1, reason })
}

impl Iterator for Plan {
    type Item = Result<ShardTask>;

    fn next(&mut self) -> Option<Self::Item> {
        let task = self.next_task();
        if task.is_err() {
            self.current = None;
            self.next_file = usize::MAX;
        }
        task.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_list::{InputOptions, UrlRow};

    fn sizes(lists: &[(&str, &str)], rows_per_shard: usize) -> Vec<(u64, usize)> {
        packed(lists, rows_per_shard, Packing::ByFile)
    }

    fn packed(lists: &[(&str, &str)], rows_per_shard: usize, packing: Packing) -> Vec<(u64, usize)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in lists {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut config = InputOptions::new(folder.path());
        config.input_format = Some(crate::url_list::InputFormat::Txt);
        let plan = Plan::new(UrlList::open(&config).unwrap(), rows_per_shard, packing);
        plan.map(|task| task.map(|task| (task.shard_id, task.rows.len())).unwrap()).collect()
    }

    #[test]
    fn the_last_shard_holds_the_rest() {
        let text = "http://a/1\nhttp://a/2\nhttp://a/3\nhttp://a/4\nhttp://a/5\n";
        assert_eq!(sizes(&[("a.txt", text)], 2), [(0, 2), (1, 2), (2, 1)]);
        assert_eq!(sizes(&[("a.txt", text)], 5), [(0, 5)]);
    }

    #[test]
    fn rows_that_are_too_large_together_are_bad_ones() {
        let row = |length: usize| UrlRow { index: 3, url: "u".repeat(length), caption: None, extra: Vec::new() };
        let (mut room, file) = (10, Arc::from(Path::new("list.txt")));
        assert!(within(&mut room, Ok(row(6)), &file).is_ok());
        let bad = within(&mut room, Ok(row(5)), &file).unwrap_err().to_string();
        assert_eq!(
            bad,
            "`list.txt` line 4: the rows of its shard are too large together: 5 bytes, and there is room for 4"
        );
        assert!(within(&mut room, Ok(row(4)), &file).is_ok());
    }

    #[test]
    fn a_shard_ends_with_its_list() {
        let (a, b) = ("http://a/1\nhttp://a/2\nhttp://a/3\n", "http://b/1\n");
        assert_eq!(sizes(&[("b.txt", b), ("a.txt", a), ("c.txt", "")], 2), [(0, 2), (1, 1), (2, 1)]);
    }

    #[test]
    fn packed_shards_are_filled_from_the_next_file() {
        let (a, b) = ("http://a/1\nhttp://a/2\nhttp://a/3\n", "http://b/1\n");
        let lists = [("a.txt", a), ("b.txt", ""), ("c.txt", b), ("d.txt", a)];
        assert_eq!(packed(&lists, 2, Packing::AcrossFiles), [(0, 2), (1, 2), (2, 2), (3, 1)]);
        assert_eq!(packed(&lists, 10, Packing::AcrossFiles), [(0, 7)]);
    }
}
