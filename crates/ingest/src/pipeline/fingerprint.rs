//! What the rows of a shard are, as one hash: by it a later run tells that the list is still the same.

use sha2::{Digest, Sha256};
use shards::metadata::ColumnValue;

use crate::url_list::ListedRow;

/// A hash over URLs, captions and additional cells, in hexadecimal.
pub(super) fn of(rows: &[ListedRow]) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        // The length keeps apart what two fields would else share.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for row in rows {
        match row {
            Ok(row) => {
                add(&row.url);
                add(row.caption.as_deref().unwrap_or_default());
                row.extra.iter().for_each(|cell| add(&text(cell)));
            }
            Err(bad) => add(&bad.reason),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(cell: &ColumnValue) -> String {
    match cell {
        ColumnValue::Null => String::new(),
        ColumnValue::Text(text) => text.clone(),
        ColumnValue::Integer(number) => number.to_string(),
        ColumnValue::Float(number) => number.to_string(),
        ColumnValue::Boolean(truth) => truth.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url_list::UrlRow;

    fn row(url: &str, caption: &str) -> ListedRow {
        Ok(UrlRow { index: 0, url: url.into(), caption: Some(caption.into()), extra: Vec::new() })
    }

    #[test]
    fn a_change_anywhere_changes_the_hash() {
        let rows = [row("a", "b"), row("c", "d")];
        assert_eq!(of(&rows), of(&[row("a", "b"), row("c", "d")]));
        assert_ne!(of(&rows), of(&[row("ab", ""), row("c", "d")]));
        assert_ne!(of(&rows), of(&[row("c", "d"), row("a", "b")]));
    }
}
