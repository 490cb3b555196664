//! Deals rows out to shards: `number_sample_per_shard` rows each, in the order of the lists.
//! A shard never spans two lists, as with img2dataset, so that keys agree with its.

use crate::error::Result;
use crate::url_list::{ListedRow, Rows, UrlList};

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
    next_list: usize,
    current: Option<Rows>,
}

impl Plan {
    /// A plan over all files of `list`.
    pub fn new(list: UrlList, rows_per_shard: usize) -> Self {
        Self { list, rows_per_shard, next_shard: 0, next_list: 0, current: None }
    }

    fn next_task(&mut self) -> Result<Option<ShardTask>> {
        loop {
            let Some(rows) = &mut self.current else {
                if self.next_list >= self.list.files().len() {
                    return Ok(None);
                }
                self.current = Some(self.list.rows(self.next_list)?);
                self.next_list += 1;
                continue;
            };
            let rows: Vec<ListedRow> = rows.take(self.rows_per_shard).collect::<Result<_>>()?;
            if rows.is_empty() {
                self.current = None;
                continue;
            }
            let shard_id = self.next_shard;
            self.next_shard += 1;
            return Ok(Some(ShardTask { shard_id, rows }));
        }
    }
}

impl Iterator for Plan {
    type Item = Result<ShardTask>;

    fn next(&mut self) -> Option<Self::Item> {
        let task = self.next_task();
        if task.is_err() {
            self.current = None;
            self.next_list = usize::MAX;
        }
        task.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_list::InputOptions;

    fn sizes(lists: &[(&str, &str)], rows_per_shard: usize) -> Vec<(u64, usize)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in lists {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut config = InputOptions::new(folder.path());
        config.input_format = Some(crate::url_list::InputFormat::Txt);
        let plan = Plan::new(UrlList::open(&config).unwrap(), rows_per_shard);
        plan.map(|task| task.map(|task| (task.shard_id, task.rows.len())).unwrap()).collect()
    }

    #[test]
    fn the_last_shard_holds_the_rest() {
        let text = "http://a/1\nhttp://a/2\nhttp://a/3\nhttp://a/4\nhttp://a/5\n";
        assert_eq!(sizes(&[("a.txt", text)], 2), [(0, 2), (1, 2), (2, 1)]);
        assert_eq!(sizes(&[("a.txt", text)], 5), [(0, 5)]);
    }

    #[test]
    fn a_shard_ends_with_its_list() {
        let (a, b) = ("http://a/1\nhttp://a/2\nhttp://a/3\n", "http://b/1\n");
        assert_eq!(sizes(&[("b.txt", b), ("a.txt", a), ("c.txt", "")], 2), [(0, 2), (1, 1), (2, 1)]);
    }
}
