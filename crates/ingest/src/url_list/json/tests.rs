//! Lists in JSON, well-formed and not.

use std::io::Read;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::url_list::ListedRow;

fn wanted(extra: &[&str]) -> Wanted {
    let extra = extra.iter().map(ToString::to_string).collect();
    Wanted { url: "url".into(), caption: Some("caption".into()), extra, preset: None }
}

fn lossy() -> Lossy {
    Lossy(Arc::new(AtomicU64::new(0)))
}

fn rows_of(json: &str, extra: &[&str]) -> Result<Vec<ListedRow>> {
    text(Source::in_memory("list.json", json), &wanted(extra), lossy())?.1.collect()
}

/// Rows as `url caption`, or what is wrong with them.
fn shown(json: &str) -> Vec<String> {
    shown_rows(rows_of(json, &[]).unwrap())
}

fn shown_rows(rows: Vec<ListedRow>) -> Vec<String> {
    let shown = |row: ListedRow| match row {
        Ok(row) => format!("{} {}", row.url, row.caption.unwrap_or_else(|| "-".into())),
        Err(bad) => format!("{}: {}", bad.line, bad.reason),
    };
    rows.into_iter().map(shown).collect()
}

#[test]
fn every_shape_gives_the_same_rows() {
    let records = r#" [ {"url":"http://a/","caption":"a \"cat\", [one]"} , {"caption":null,"url":"http://b/"}] "#;
    let columns = r#"{"id":[1,2],"url":["http://a/","http://b/"],"caption":["a \"cat\", [one]",null]}"#;
    let labelled = r#"{"url":{"0":"http://a/","7":"http://b/"},"x":{},"caption":{"0":"a \"cat\", [one]","7":null}}"#;
    for json in [records, columns, labelled] {
        assert_eq!(shown(json), ["http://a/ a \"cat\", [one]", "http://b/ -"]);
    }
}

#[test]
fn a_record_that_is_no_row_costs_itself() {
    let json = r#"[{"url":"http://a/","caption":"x"}, {"url" "http://b/"}, 7, {"caption":"y"}, {"url":"http://c/"}]"#;
    let expected = [
        "http://a/ x",
        "2: expected `:` at byte 7, got `\"`",
        "3: expected an object in braces at byte 0, got `7`",
        "4: the URL is missing",
        "http://c/ -",
    ];
    assert_eq!(shown(json), expected);
}

#[test]
fn a_syntax_error_is_a_row_that_says_where() {
    let json = r#"[{"url":"http://a/","caption":"x"} {"url":"http://b/"}]"#;
    let expected = "2: no row from here on is read: expected `,` or `]` at byte 35, got `{`";
    assert_eq!(shown(json), ["http://a/ x", expected]);
    let behind = shown(r#"[{"url":"http://a/","caption":"x"}] [3]"#);
    assert!(behind[1].contains("expected the end of the file at byte 36"), "{behind:?}");
}

#[test]
fn a_text_that_ends_early_keeps_what_came_before() {
    for cut in [r#"[{"url":"http://a/","caption":"x"},{"url":"ht"#, r#"[{"url":"http://a/","caption":"x"}"#] {
        let rows = shown(cut);
        assert_eq!((rows.len(), rows[0].as_str()), (2, "http://a/ x"));
        assert!(rows[1].contains("the file ends early"), "{rows:?}");
    }
    let columns = shown(r#"{"url":["http://a/","http://b/"],"caption":["x""#);
    assert_eq!(columns[..2], ["http://a/ x", "2: column `caption` ends after 1 rows"]);
    assert!(columns[2].contains("the file ends early"), "{columns:?}");
}

#[test]
fn columns_that_do_not_belong_together_are_bad_rows() {
    let uneven = shown(r#"{"url":["http://a/"],"caption":["x","y"]}"#);
    assert_eq!(uneven, ["http://a/ x", "2: column `url` ends after 1 rows"]);
    let labels = shown(r#"{"url":{"0":"http://a/","1":"http://b/"},"caption":{"0":"x","2":"y"}}"#);
    assert_eq!(labels, ["http://a/ x", "2: column `url` has the cell `1` where `caption` has `2`"]);
}

#[test]
fn additional_columns_are_the_text_that_stands_there() {
    let json = r#"[{"url":"u","caption":"c","id":12345678901234567890,"boxes":[[0.10, 1]],"none":null,"name":"é"}]"#;
    let row = rows_of(json, &["id", "boxes", "none", "name"]).unwrap().remove(0).unwrap();
    let text = |text: &str| shards::metadata::ColumnValue::Text(text.into());
    let null = shards::metadata::ColumnValue::Null;
    assert_eq!(row.extra, [text("12345678901234567890"), text("[[0.10, 1]]"), null, text("é")]);
}

#[test]
fn what_is_no_list_is_refused_with_a_reason() {
    let refused = |json: &str| rows_of(json, &[]).unwrap_err().to_string();
    assert!(refused("").contains("it is empty"));
    assert!(refused("<html>").contains("expected a list of records or columns, got `<`"));
    assert!(refused(r#"{"url":"http://a/","caption":"x"}"#).contains("jsonl"));
    assert!(refused(r#"{"a":[1],"b":[2]}"#).ends_with("has no column `url` (it has: `a`, `b`)"));
    assert!(refused(r#"["http://a/"]"#).contains("it begins without a record: row 1: expected an object"));
    assert!(refused(r#"{"captions":["x","#).contains("the file ends early"));
}

#[test]
fn json_lines_cost_the_lines_that_are_none() {
    let text = b"{\"URL\":\"http://a/\"}\r\n\n{bad\n{\"URL\":\"http://b/\",\"caption\":\"\\u00e9\"}".to_vec();
    let (columns, rows) = lines(Source::in_memory("list.jsonl", text), &wanted(&[]), lossy()).unwrap();
    assert!(columns.caption);
    let rows = shown_rows(rows.collect::<Result<_>>().unwrap());
    assert_eq!(rows, ["http://a/ -", "3: expected a name in quotes at byte 1, got `b`", "http://b/ é"]);
}

/// A list that never ends.
struct Endless(Vec<u8>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            self.0 = br#",{"url":"http://a/","caption":"x"}"#.to_vec();
        }
        let given = self.0.len().min(buffer.len());
        buffer[..given].copy_from_slice(&self.0[..given]);
        self.0.drain(..given);
        Ok(given)
    }
}

#[test]
fn records_are_not_waited_for_to_the_end_of_the_list() {
    let source = Source::reading("list.json", Endless(br#"[{"url":"http://a/","caption":"x"}"#.to_vec())).unwrap();
    let (_, rows) = text(source, &wanted(&[]), lossy()).unwrap();
    assert_eq!(rows.take(5000).filter(|row| matches!(row, Ok(Ok(_)))).count(), 5000);
}
