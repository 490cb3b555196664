//! The same rows in every format and compression, and damage that each has to survive.

use std::io::Write;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::compression::Compression;
use super::*;

type Pair = (String, Option<String>);

const COMPRESSIONS: [(&str, Option<Compression>); 5] = [
    ("", None),
    (".gz", Some(Compression::Gzip)),
    (".zst", Some(Compression::Zstd)),
    (".bz2", Some(Compression::Bzip2)),
    (".xz", Some(Compression::Xz)),
];

fn packed(bytes: &[u8], compression: Option<Compression>) -> Vec<u8> {
    match compression {
        None => bytes.to_vec(),
        Some(Compression::Gzip) => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Some(Compression::Zstd) => zstd::encode_all(bytes, 1).unwrap(),
        Some(Compression::Bzip2) => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Some(Compression::Xz) => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// Rows that each format has its own trouble with.
fn tricky() -> Vec<Pair> {
    let captions = [
        Some("a \"quoted\" cat, and more"),
        Some("\"unbalanced"),
        Some("ends with a backslash \\"),
        Some("{\"json\": [1, 2]}"),
        Some("naïve 猫 \u{1f431}"),
        Some("a\0nul"),
        Some("NA"),
        None,
    ];
    let url = |i: usize| format!("https://example.com/{i}.jpg?crop=1,2&tag=[a]{{b}}");
    (0..200).map(|i| (url(i), captions[i % captions.len()].map(String::from))).collect()
}

/// LAION rows with commas, quotes and letters of every script; none where they are not at hand.
fn laion() -> Vec<Pair> {
    let table =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/img2dataset/test_files/test_10000.parquet");
    if !table.is_file() {
        eprintln!("skipped: the LAION rows of shared/data are not here");
        return Vec::new();
    }
    let rows = read(&Preset::Laion.options(table)).unwrap();
    assert_eq!(rows.len(), 10_000);
    rows.into_iter().map(|row| row.map(|row| (row.url, row.caption)).unwrap()).collect()
}

fn read(options: &InputOptions) -> Result<Vec<ListedRow>> {
    UrlList::open(options)?.rows(0)?.collect()
}

/// What tsv can hold of a caption.
fn untabbed(caption: &str) -> String {
    caption.replace(['\t', '\r', '\n'], " ")
}

/// The texts that hold `pairs`, by extension.
fn texts(pairs: &[Pair]) -> Vec<(&'static str, Vec<u8>)> {
    let urls: Vec<_> = pairs.iter().map(|(url, _)| url.as_str()).collect();
    let captions: Vec<_> = pairs.iter().map(|(_, caption)| caption.as_deref()).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["caption", "url"]).unwrap();
    let mut tsv = "url\tcaption\n".to_owned();
    for (url, caption) in pairs {
        csv.write_record([caption.as_deref().unwrap_or(""), url]).unwrap();
        tsv.push_str(&format!("{url}\t{}\r\n", untabbed(caption.as_deref().unwrap_or(""))));
    }
    let record = |(url, caption): &Pair| serde_json::json!({ "n": 1, "url": url, "caption": caption });
    let records: Vec<_> = pairs.iter().map(record).collect();
    let jsonl: String = records.iter().map(|record| format!("{record}\n")).collect();
    let columns = serde_json::json!({ "url": urls, "caption": captions });
    let labelled = |cells: Vec<serde_json::Value>| -> serde_json::Value {
        cells.into_iter().enumerate().map(|(i, cell)| (i.to_string(), cell)).collect::<serde_json::Map<_, _>>().into()
    };
    let labelled = serde_json::json!({
        "caption": labelled(captions.iter().map(|text| (*text).into()).collect()),
        "url": labelled(urls.iter().map(|text| (*text).into()).collect()),
    });
    vec![
        ("txt", (urls.join("\n") + "\n").into_bytes()),
        ("csv", csv.into_inner().unwrap()),
        ("tsv", tsv.into_bytes()),
        ("json", serde_json::to_vec_pretty(&records).unwrap()),
        ("json", serde_json::to_vec(&columns).unwrap()),
        ("json", serde_json::to_vec(&labelled).unwrap()),
        ("jsonl", jsonl.into_bytes()),
    ]
}

/// A list of text has no other word for what is missing than an empty one.
fn comparable(rows: Vec<ListedRow>, captions: bool) -> Vec<Pair> {
    let pair = |row: ListedRow| row.map(|row| (row.url, captions.then(|| row.caption.unwrap_or_default())));
    rows.into_iter().map(|row| pair(row).unwrap_or_else(|bad| panic!("{bad}"))).collect()
}

fn check_every_format(pairs: &[Pair]) {
    let folder = tempfile::tempdir().unwrap();
    for (number, (extension, text)) in texts(pairs).into_iter().enumerate() {
        let captions = extension != "txt";
        let text_of = |caption: &Option<String>| match caption.as_deref().unwrap_or_default() {
            text if extension == "tsv" => untabbed(text),
            text => text.to_owned(),
        };
        let pair = |(url, caption): &Pair| (url.clone(), captions.then(|| text_of(caption)));
        let expected: Vec<Pair> = pairs.iter().map(pair).collect();
        for (suffix, compression) in COMPRESSIONS {
            let path = folder.path().join(format!("{number}.{extension}{suffix}"));
            std::fs::write(&path, packed(&text, compression)).unwrap();
            let mut options = InputOptions::new(&path);
            options.caption_col = captions.then(|| "caption".into());
            let rows = read(&options).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(comparable(rows, captions) == expected, "{} gives other rows", path.display());
        }
    }
}

#[test]
fn tricky_rows_are_the_same_in_every_format_and_compression() {
    check_every_format(&tricky());
}

#[test]
fn ten_thousand_laion_rows_are_the_same_in_every_format_and_compression() {
    let rows = laion();
    if !rows.is_empty() {
        check_every_format(&rows);
    }
}

#[test]
fn a_compressed_list_that_was_cut_off_gives_its_rows_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (extension, text) in texts(&tricky()) {
        for (suffix, compression) in &COMPRESSIONS[1..] {
            let path = folder.path().join(format!("list.{extension}{suffix}"));
            // Two files joined: the first is whole whatever the size of a block.
            let mut bytes = packed(&text, *compression);
            let second = packed(&text, *compression);
            bytes.extend_from_slice(&second[..second.len() / 2]);
            std::fs::write(&path, bytes).unwrap();
            let mut options = InputOptions::new(&path);
            options.caption_col = (extension != "txt").then(|| "caption".into());
            let rows = read(&options).unwrap();
            assert!(rows.len() > 200 && rows[..199].iter().all(|row| row.is_ok()), "{}", path.display());
            let last = rows.last().unwrap().as_ref().unwrap_err();
            assert!(last.reason.contains("no row from here on is read"), "{last}");
            assert!(last.to_string().contains(&*path.to_string_lossy()), "{last}");
        }
    }
}

#[test]
fn a_name_that_promises_a_compression_is_held_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt.gz");
    std::fs::write(&path, "http://a/\n").unwrap();
    let error = read(&InputOptions::new(&path)).unwrap_err().to_string();
    assert!(error.contains("its name says gzip"), "{error}");
    let table = folder.path().join("list.parquet.gz");
    std::fs::write(&table, packed(b"PAR1", Some(Compression::Gzip))).unwrap();
    let error = read(&InputOptions::new(&table)).unwrap_err().to_string();
    assert!(error.contains("unpack the file first"), "{error}");
    let unnamed = folder.path().join("list.txt");
    std::fs::write(&unnamed, packed(b"http://a/\n", Some(Compression::Zstd))).unwrap();
    assert_eq!(read(&InputOptions::new(&unnamed)).unwrap().len(), 1);
}

fn nonblank_lines(bytes: &[u8]) -> usize {
    let is_row = |line: &&[u8]| !line.trim_ascii().is_empty() || line.contains(&b'\t');
    bytes.split(|byte| *byte == b'\n').filter(is_row).count()
}

fn in_memory(format: InputFormat, bytes: Vec<u8>, caption: bool) -> Result<Vec<ListedRow>> {
    let caption = caption.then(|| "caption".to_owned());
    let wanted = Wanted { url: "url".into(), caption, extra: Vec::new(), preset: None };
    let (source, lossy) = (Source::reading("list", std::io::Cursor::new(bytes))?, Lossy(Arc::default()));
    let (_, rows) = match format {
        InputFormat::Txt => text::lines(source, &wanted, lossy)?,
        InputFormat::Tsv => text::tabbed(source, &wanted, lossy)?,
        InputFormat::Csv => quoted::rows(source, &wanted, lossy)?,
        InputFormat::Json => json::text(source, &wanted, lossy)?,
        InputFormat::Jsonl | InputFormat::Parquet => json::lines(source, &wanted, lossy)?,
    };
    rows.collect()
}

/// Bytes that are often those that formats are made of.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(b"\n\r\t,\"\\{}[]:x \0\xff".to_vec());
    vec(prop_oneof![3 => special, 1 => any::<u8>()], 0..400)
}

proptest! {
    #[test]
    fn no_line_of_text_is_lost_whatever_it_holds(rest in bytes()) {
        let starts = [(InputFormat::Txt, "http://a/\n"), (InputFormat::Tsv, "url\tcaption\nhttp://a/\tb\n")];
        for (format, header) in starts {
            let all = [header.as_bytes(), &rest].concat();
            let rows = in_memory(format, all.clone(), format == InputFormat::Tsv).unwrap();
            let headers = usize::from(format == InputFormat::Tsv);
            prop_assert_eq!(rows.len(), nonblank_lines(&all) - headers);
        }
    }

    #[test]
    fn no_line_of_json_lines_is_lost_whatever_it_holds(rest in bytes()) {
        let all = [b"{\"url\":\"http://a/\",\"caption\":\"b\"}\n".as_slice(), &rest].concat();
        let rows = in_memory(InputFormat::Jsonl, all.clone(), true).unwrap();
        prop_assert_eq!(rows.len(), nonblank_lines(&all));
    }

    #[test]
    fn what_follows_a_record_is_more_records_or_a_bad_row(rest in bytes()) {
        for start in ["[{\"url\":\"http://a/\",\"caption\":\"b\"}", "{\"url\":[\"http://a/\"],\"caption\":[\"b\"]"] {
            let all = [start.as_bytes(), &rest].concat();
            let ended = serde_json::from_slice::<serde::de::IgnoredAny>(&all).is_ok();
            let rows = in_memory(InputFormat::Json, all, true);
            let rows = rows.unwrap();
            prop_assert!(rows[0].is_ok());
            prop_assert!(ended || rows.iter().any(|row| row.is_err()));
        }
    }

    #[test]
    fn nothing_makes_a_reader_panic(all in bytes()) {
        for format in InputFormat::ALL {
            let _ = in_memory(format, all.clone(), false);
        }
        let csv = [b"url,caption\nhttp://a/,b\n".as_slice(), &all].concat();
        prop_assert!(in_memory(InputFormat::Csv, csv, true).unwrap()[0].is_ok());
    }
}
