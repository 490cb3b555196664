//! What the list says about single pictures: boxes to blur and the hash that is expected. Both are columns of the list,
//! read as additional ones; this is where they are found among a row's cells.

use serde::{Deserialize, Serialize};
use shards::metadata::{ColumnKind, ColumnValue};

use super::ProcessOptions;
use crate::blur::{RelativeBox, parse_boxes};
use crate::failure::{FailureKind, SampleFailure};
use crate::hash::HashKind;

/// A column of expected hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyHash {
    /// The column's name.
    pub column: String,
    /// Which hash it holds.
    pub kind: HashKind,
}

/// What is to be done with one picture, beside what is done with all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowInstructions {
    /// Boxes to blur.
    pub boxes: Vec<RelativeBox>,
    /// What the body's hash must be; `None`: anything.
    pub expected_hash: Option<String>,
}

/// Where the instructions stand among the additional cells of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstructionColumns {
    boxes: Option<usize>,
    hash: Option<usize>,
    /// How many columns are stored, where the one of hashes behind them is not.
    stored: Option<usize>,
}

impl InstructionColumns {
    /// Finds them, and adds to `columns` those that are not read anyway. As in img2dataset, boxes are stored with the
    /// additional columns and expected hashes are not: the computed one is the same.
    pub fn find(options: &ProcessOptions, columns: &mut Vec<String>) -> Self {
        let boxes = options.bbox_col.as_ref().map(|name| place(name, columns));
        let asked_for = columns.len();
        let hash = options.verify_hash.as_ref().map(|verify| place(&verify.column, columns));
        Self { boxes, hash, stored: hash.filter(|place| *place >= asked_for) }
    }

    /// The columns of `read` that are stored.
    pub fn stored(&self, mut read: Vec<(String, ColumnKind)>) -> Vec<(String, ColumnKind)> {
        read.truncate(self.stored.unwrap_or(read.len()));
        read
    }

    /// The instructions in `cells`, which keep what is stored.
    ///
    /// # Errors
    /// A bad row, when boxes cannot be read: a picture is not stored with its faces because of a typing error.
    pub fn take(&self, cells: &mut Vec<ColumnValue>) -> Result<RowInstructions, SampleFailure> {
        let boxes = match self.boxes.and_then(|place| cells.get(place)) {
            Some(ColumnValue::Text(text)) => parse_boxes(text).map_err(|reason| bad_boxes(&reason))?,
            Some(ColumnValue::Null) | None => Vec::new(),
            Some(_) => return Err(bad_boxes("a number")),
        };
        let expected_hash = self.hash.map(|place| match cells.get(place) {
            Some(ColumnValue::Text(text)) => text.trim().to_ascii_lowercase(),
            _ => String::new(),
        });
        cells.truncate(self.stored.unwrap_or(cells.len()));
        Ok(RowInstructions { boxes, expected_hash })
    }
}

/// The place of the column `name`, which is added where it is not there.
fn place(name: &str, columns: &mut Vec<String>) -> usize {
    columns.iter().position(|column| column == name).unwrap_or_else(|| {
        columns.push(name.to_string());
        columns.len() - 1
    })
}

fn bad_boxes(reason: &str) -> SampleFailure {
    let message = format!("expected boxes to blur such as [[0.1, 0.2, 0.3, 0.4]]: {reason}");
    SampleFailure::new(FailureKind::BadRow, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ProcessOptions {
        ProcessOptions {
            bbox_col: Some("faces".into()),
            verify_hash: Some(VerifyHash { column: "md5".into(), kind: HashKind::Md5 }),
            ..ProcessOptions::default()
        }
    }

    fn text(text: &str) -> ColumnValue {
        ColumnValue::Text(text.into())
    }

    #[test]
    fn boxes_are_stored_and_expected_hashes_are_not() {
        let mut names = vec!["uid".to_string()];
        let columns = InstructionColumns::find(&options(), &mut names);
        assert_eq!(names, ["uid", "faces", "md5"]);
        let read = names.into_iter().map(|name| (name, ColumnKind::Text)).collect();
        assert_eq!(columns.stored(read).len(), 2);
        let mut cells = vec![text("u1"), text("[[0, 0, 0.5, 1]]"), text(" AB12 ")];
        let found = columns.take(&mut cells).unwrap();
        assert_eq!(found.boxes, [RelativeBox([0.0, 0.0, 0.5, 1.0])]);
        assert_eq!(found.expected_hash.as_deref(), Some("ab12"));
        assert_eq!(cells, [text("u1"), text("[[0, 0, 0.5, 1]]")]);
    }

    #[test]
    fn a_column_that_was_asked_for_stays() {
        let mut names = vec!["faces".to_string(), "md5".to_string()];
        let columns = InstructionColumns::find(&options(), &mut names);
        let mut cells = vec![ColumnValue::Null, text("ab")];
        let found = columns.take(&mut cells).unwrap();
        assert_eq!((found.boxes.len(), cells.len()), (0, 2));
    }

    #[test]
    fn without_columns_there_are_no_instructions() {
        let mut names = vec!["uid".to_string()];
        let columns = InstructionColumns::find(&ProcessOptions::default(), &mut names);
        assert_eq!(columns.take(&mut vec![text("u1")]), Ok(RowInstructions::default()));
        assert_eq!(names, ["uid"]);
    }

    #[test]
    fn boxes_that_cannot_be_read_cost_the_row() {
        let columns = InstructionColumns::find(&options(), &mut Vec::new());
        let failure = columns.take(&mut vec![text("face"), text("ab")]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadRow);
    }
}
