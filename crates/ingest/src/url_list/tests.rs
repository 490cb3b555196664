//! Lists of every kind, well-formed and not.

use std::sync::Arc;

use arrow::array::{Float32Array, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::*;

struct Read {
    columns: Columns,
    rows: Vec<ListedRow>,
    invalid_utf8: u64,
}

fn read_with(name: &str, bytes: &[u8], change: impl Fn(&mut InputOptions)) -> Result<Read> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut config = InputOptions::new(&path);
    change(&mut config);
    let mut list = UrlList::open(&config)?;
    let rows = list.rows(0)?.collect::<Result<_>>()?;
    let invalid_utf8 = list.invalid_utf8_counter().load(Ordering::Relaxed);
    Ok(Read { columns: list.columns().clone(), rows, invalid_utf8 })
}

fn read(name: &str, bytes: &[u8]) -> Read {
    read_with(name, bytes, |_| ()).unwrap()
}

fn pairs(read: &Read) -> Vec<(&str, Option<&str>)> {
    read.rows.iter().flatten().map(|row| (row.url.as_str(), row.caption.as_deref())).collect()
}

#[test]
fn a_txt_keeps_commas_and_drops_blank_lines() {
    let read = read("list.txt", b"\xef\xbb\xbfhttp://a/1,2.jpg\r\n\r\n  http://b/\n");
    assert_eq!(pairs(&read), [("http://a/1,2.jpg", None), ("http://b/", None)]);
}

#[test]
fn a_tsv_without_header_is_told_by_its_urls() {
    let captions_first = read("cc3m.tsv", b"a \"cat\thttp://a/1.jpg\na dog\"\thttp://a/2.jpg\n");
    assert!(captions_first.columns.caption);
    let expected = [("http://a/1.jpg", Some("a \"cat")), ("http://a/2.jpg", Some("a dog\""))];
    assert_eq!(pairs(&captions_first), expected);
    let urls_first = read("cc12m.tsv", b"http://a/1.jpg\ta cat\n");
    assert_eq!(pairs(&urls_first), [("http://a/1.jpg", Some("a cat"))]);
}

#[test]
fn a_tsv_with_header_gives_the_named_columns() {
    let text = b"uid\tTEXT\tURL\nu1\ta cat\thttp://a/1.jpg\n";
    let read = read_with("list.tsv", text, |config| {
        config.caption_col = Some("text".into());
        config.save_additional_columns = vec!["uid".into()];
    })
    .unwrap();
    assert_eq!(pairs(&read), [("http://a/1.jpg", Some("a cat"))]);
    assert_eq!(read.rows[0].as_ref().unwrap().extra, [ColumnValue::Text("u1".into())]);
    assert_eq!(read.columns.extra, [("uid".to_string(), ColumnKind::Text)]);
}

#[test]
fn rows_of_other_widths_are_bad_rows_with_their_line() {
    let read = read("list.tsv", b"url\tcaption\nhttp://a/\tx\n\nhttp://b/\n\tno url\nhttp://c/\ty\tz\nhttp://d/\tw\n");
    let bad: Vec<_> = read.rows.iter().filter_map(|row| row.as_ref().err()).collect();
    let seen: Vec<_> = bad.iter().map(|row| (row.index, row.line, row.reason.as_str())).collect();
    let expected =
        [(1, 4, "expected 2 columns, got 1"), (2, 5, "the URL is missing"), (3, 6, "expected 2 columns, got 3")];
    assert_eq!(seen, expected);
    assert_eq!(read.rows.len(), 5);
    assert!(bad[0].to_string().contains("list.tsv` line 4: "));
}

#[test]
fn a_csv_honours_quotes() {
    let text = b"url,caption\n\"http://a/1,2.jpg\",\"say \"\"hi\"\",\nthere\"\nhttp://b/,plain\n";
    let read = read_with("list.csv", text, |config| config.caption_col = Some("caption".into())).unwrap();
    let expected = [("http://a/1,2.jpg", Some("say \"hi\",\nthere")), ("http://b/", Some("plain"))];
    assert_eq!(pairs(&read), expected);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_counted() {
    let read = read("list.tsv", b"caf\xe9\thttp://a/\nfine\thttp://b/\n");
    assert_eq!(pairs(&read)[0].1, Some("caf\u{fffd}"));
    assert_eq!(read.invalid_utf8, 1);
}

#[test]
fn a_missing_column_lists_those_there_are() {
    let error = read_with("list.tsv", b"link\tcaption\nx\ty\n", |_| ()).err().unwrap().to_string();
    assert!(error.ends_with("has no column `url` (it has: `link`, `caption`)"), "{error}");
}

#[test]
fn a_gzipped_list_is_read_as_it_is() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, b"http://a/\n").unwrap();
    assert_eq!(pairs(&read("list.txt.gz", &encoder.finish().unwrap())), [("http://a/", None)]);
}

#[test]
fn a_missing_file_and_an_unknown_format_are_errors() {
    let open = |path: &str| UrlList::open(&InputOptions::new(path)).err().unwrap().to_string();
    assert!(open("no/such/list.txt").contains("cannot open the url list `no/such/list.txt`"));
    let error = read_with("list.xml", b"", |_| ()).err().unwrap().to_string();
    assert!(error.contains("unknown input format `xml`"), "{error}");
}

#[test]
fn a_parquet_list_gives_columns_with_their_types() {
    let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
        ("similarity", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(0.25)]))),
        ("URL", Arc::new(StringArray::from(vec![Some("http://a/"), None, Some("http://c/")]))),
        ("unused", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ("TEXT", Arc::new(StringArray::from(vec![None, Some("b"), Some("c")]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let read = read_with("list.parquet", &bytes, |config| {
        config.caption_col = Some("TEXT".into());
        config.save_additional_columns = vec!["similarity".into()];
    })
    .unwrap();
    assert_eq!(pairs(&read), [("http://a/", None), ("http://c/", Some("c"))]);
    assert_eq!(read.rows[0].as_ref().unwrap().extra, [ColumnValue::Float(0.5)]);
    assert_eq!(read.rows[1].as_ref().unwrap_err().line, 2);
    assert_eq!(read.columns.extra, [("similarity".to_string(), ColumnKind::Float)]);
}

/// A table of 600 rows in row groups of 300, of which row 450 has a URL that is not UTF-8.
fn table_with_damage() -> Vec<u8> {
    let urls: Vec<String> = (0..600).map(|row| format!("http://a/{row}-unlike-the-others.jpg")).collect();
    let batch = RecordBatch::try_from_iter([("url", Arc::new(StringArray::from(urls)) as _)]).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(300))
        .set_dictionary_enabled(false)
        .set_compression(parquet::basic::Compression::UNCOMPRESSED)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let wanted = b"450-unlike";
    let place = bytes.windows(wanted.len()).position(|window| window == wanted).unwrap();
    bytes[place] = 0xff;
    bytes
}

#[test]
fn a_parquet_value_that_is_not_utf8_costs_its_own_row() {
    let read = read("list.parquet", &table_with_damage());
    assert_eq!(read.rows.len(), 600);
    let bad: Vec<_> = read.rows.iter().filter_map(|row| row.as_ref().err()).collect();
    assert_eq!(bad.iter().map(|row| row.line).collect::<Vec<_>>(), [451]);
    assert!(bad[0].reason.to_lowercase().contains("utf"), "{}", bad[0]);
    assert_eq!(read.rows[599].as_ref().unwrap().url, "http://a/599-unlike-the-others.jpg");
}

#[test]
fn a_damaged_parquet_page_costs_its_row_group_at_most() {
    let mut bytes = table_with_damage();
    // The first page follows the magic number; its header is the first thing in it.
    bytes[4..24].fill(0xff);
    let read = read("list.parquet", &bytes);
    assert_eq!(read.rows.len(), 600);
    assert!(read.rows[..300].iter().all(|row| row.is_err()));
    assert_eq!(read.rows[300..].iter().filter(|row| row.is_err()).count(), 1);
}
