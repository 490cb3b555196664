//! Whole downloads from a server on the loopback address.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shards::image::{Channels, Picture, encode_jpeg};
use tempfile::TempDir;

use super::*;
use crate::fetch::address_guard::AddressGuard;

/// A server on this machine with one behaviour a path, its threads left to the test's end.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

/// Answers one request after another until the client leaves or the behaviour is to hang up.
fn answer_all(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut silent = Vec::new();
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap_or(0) > 2 {
            header.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or("").to_string();
        match answer(&path) {
            Some((bytes, true)) => _ = stream.write_all(&bytes),
            Some((bytes, false)) => {
                _ = stream.write_all(&bytes);
                return;
            }
            None => silent.push(path),
        }
    }
}

/// The bytes to send and whether the connection stays; `None`: no answer, ever.
fn answer(path: &str) -> Option<(Vec<u8>, bool)> {
    let whole = |head: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        Some(([head.as_bytes(), body].concat(), true))
    };
    let picture = jpeg();
    match path {
        "/missing" => whole("404 Not Found", b"no"),
        "/html" => whole("200 OK\r\nContent-Type: text/html", b"<html>hello</html>"),
        "/empty" => whole("200 OK", b""),
        "/truncated" => Some((b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\xff\xd8\xff".to_vec(), false)),
        "/half" => whole("200 OK", &picture[..picture.len() / 2]),
        "/robots" => whole("200 OK\r\nX-Robots-Tag: noai", &picture),
        "/moved" => whole("302 Found\r\nLocation: /good/moved.jpg", b""),
        "/loop" => whole("302 Found\r\nLocation: /loop", b""),
        "/file" => whole("302 Found\r\nLocation: file:///etc/passwd", b""),
        "/gzip" => whole("200 OK\r\nContent-Encoding: gzip", &gzip(&picture)),
        "/large" => Some((b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n".to_vec(), false)),
        "/endless" => {
            let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            Some((
                [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunk.repeat(20)].concat(),
                false,
            ))
        }
        "/silent" => None,
        "/nonsense" => Some((b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec(), false)),
        _ => whole("200 OK\r\nContent-Type: image/jpeg", &picture),
    }
}

fn jpeg() -> Vec<u8> {
    let pixels = (0..60 * 40).flat_map(|i: u32| [(i % 60 * 4) as u8, (i / 60 * 6) as u8, 90]).collect();
    encode_jpeg(&Picture { width: 60, height: 40, channels: Channels::Rgb, pixels }, 90).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Rig {
    folder: TempDir,
    config: DownloadConfig,
}

/// A download of the lines `caption TAB path` from a server of its own.
fn rig(lines: &[(&str, &str)]) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let address = serve();
    let lines: Vec<_> = lines.iter().map(|(caption, path)| format!("{caption}\t{}", absolute(address, path))).collect();
    let list = folder.path().join("list.tsv");
    fs::write(&list, format!("caption\turl\n{}\n", lines.join("\n"))).unwrap();
    let mut config = DownloadConfig::new(list, folder.path().join("out"));
    config.input.caption_col = Some("caption".into());
    config.fetch.guard = AddressGuard::AllowPrivate;
    config.process.image_size = 16;
    config.fetch.max_body_bytes = 1_000_000;
    config.fetch.timeout = Duration::from_secs(120);
    Rig { folder, config }
}

fn absolute(address: SocketAddr, path: &str) -> String {
    if path.starts_with('/') { format!("http://{address}{path}") } else { path.to_string() }
}

impl Rig {
    fn download(&self) -> Result<DownloadReport> {
        download(&self.config, Arc::new(()), &StopToken::new())
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.out()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn column(&self, shard: &str, name: &str) -> Vec<Option<String>> {
        let file = fs::File::open(self.out().join(format!("{shard}.parquet"))).unwrap();
        let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let mut cells = Vec::new();
        for batch in batches {
            let batch = batch.unwrap();
            let column = batch.column_by_name(name).unwrap();
            match column.as_string_opt::<i32>() {
                Some(texts) => cells.extend(texts.iter().map(|cell| cell.map(String::from))),
                None => cells.extend(column.as_primitive::<Int32Type>().iter().map(|cell| cell.map(|n| n.to_string()))),
            }
        }
        cells
    }

    fn members(&self, shard: &str) -> Vec<String> {
        let mut archive = tar::Archive::new(fs::File::open(self.out().join(format!("{shard}.tar"))).unwrap());
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }
}

#[test]
fn every_row_ends_in_the_expected_kind() {
    let expected = [
        ("/good/1.jpg", None),
        ("/missing", Some("http_status")),
        ("/html", Some("not_an_image")),
        ("/empty", Some("empty")),
        ("/truncated", Some("truncated_body")),
        ("/robots", Some("opt_out")),
        ("/moved", None),
        ("/loop", Some("redirect")),
        ("/file", Some("scheme")),
        ("/gzip", None),
        ("/large", Some("too_large")),
        ("/endless", Some("too_large")),
        ("/nonsense", Some("protocol")),
        ("file:///etc/passwd", Some("scheme")),
        ("http://", Some("bad_url")),
        ("http://127.0.0.1:1/", Some("connect")),
        ("", Some("bad_row")),
        ("/good/a b.jpg", None),
    ];
    let rig = rig(&expected.map(|(path, _)| ("a caption", path)));
    let report = rig.download().unwrap();
    let kinds = rig.column("00000", "error_kind");
    for ((path, kind), found) in expected.iter().zip(&kinds) {
        assert_eq!(found.as_deref(), *kind, "{path}");
    }
    assert_eq!(kinds.len(), expected.len());
    assert_eq!((report.count, report.successes), (18, 4));
    assert_eq!((report.failed_to_download, report.failed_to_resize), (12, 2));
    assert_eq!(report.failures_by_kind["http_404"], 1);
    assert_eq!(report.failures_by_kind.values().sum::<u64>(), 14);
    assert_eq!(rig.column("00000", "http_status")[1].as_deref(), Some("404"));
    assert_eq!(rig.column("00000", "status")[2].as_deref(), Some("failed_to_resize"));
    assert!(!report.interrupted);
}

#[test]
fn half_a_picture_is_no_sample() {
    let rig = rig(&[("x", "/half")]);
    let report = rig.download().unwrap();
    assert_eq!((report.successes, report.failed_to_resize), (0, 1), "{:?}", report.failures_by_kind);
}

#[test]
fn a_host_that_never_answers_costs_one_deadline() {
    let mut rig = rig(&[("x", "/silent")]);
    rig.config.fetch.timeout = Duration::from_millis(300);
    let report = rig.download().unwrap();
    assert_eq!(report.failures_by_kind, BTreeMap::from([("timeout".to_string(), 1)]));
}

#[test]
fn private_addresses_are_refused_by_default() {
    let mut rig = rig(&[("x", "/good.jpg"), ("y", "http://localhost/")]);
    rig.config.fetch.guard = AddressGuard::PublicOnly;
    let report = rig.download().unwrap();
    assert_eq!(report.failures_by_kind, BTreeMap::from([("forbidden_address".to_string(), 2)]));
}

#[test]
fn samples_stand_in_the_order_of_the_list() {
    let mut rig =
        rig(&[("one", "/good/1"), ("two", "/missing"), ("three", "/good/3"), ("four", "/good/4"), ("five", "/5")]);
    rig.config.output.number_sample_per_shard = 3;
    let report = rig.download().unwrap();
    assert_eq!((report.shards, report.count, report.successes), (2, 5, 4));
    let names = ["000000.jpg", "000000.json", "000000.txt", "000002.jpg", "000002.json", "000002.txt"];
    assert_eq!(rig.members("00000"), names);
    assert_eq!(rig.members("00001").len(), 6);
    assert_eq!(rig.column("00000", "key")[1].as_deref(), Some("000001"));
    assert_eq!(rig.column("00001", "caption")[0].as_deref(), Some("four"));
    assert_eq!(rig.column("00000", "original_width")[0].as_deref(), Some("60"));
    let sizes = shards::summary::read_sizes(&rig.out().into()).unwrap();
    assert_eq!(sizes, BTreeMap::from([("00000.tar".to_string(), 2), ("00001.tar".to_string(), 2)]));
}

#[test]
fn two_runs_give_equal_bytes() {
    let rig = rig(&[("one", "/good/1"), ("two", "/good/2"), ("three", "/html")]);
    rig.download().unwrap();
    let (tar, stats) = (rig.out().join("00000.tar"), rig.out().join("00000_stats.json"));
    let first = fs::read(&tar).unwrap();
    fs::remove_file(&stats).unwrap();
    rig.download().unwrap();
    assert_eq!(fs::read(&tar).unwrap(), first);
}

#[test]
fn sealed_shards_are_not_downloaded_again() {
    let mut rig = rig(&[("one", "/good/1"), ("two", "/missing"), ("three", "/good/3")]);
    rig.config.output.number_sample_per_shard = 2;
    let first = rig.download().unwrap();
    fs::remove_file(rig.out().join("00001_stats.json")).unwrap();
    let second = rig.download().unwrap();
    assert_eq!((first.count, first.shards_already_done), (3, 0));
    assert_eq!((second.count, second.shards_already_done, second.rows_already_done), (3, 1, 2));
    assert_eq!((second.successes, second.made_by_this_run), (2, 1));
    assert_eq!(second.failures_by_kind, first.failures_by_kind);
}

#[test]
fn a_folder_of_another_plan_is_refused() {
    let mut rig = rig(&[("one", "/good/1"), ("two", "/good/2")]);
    rig.config.output.number_sample_per_shard = 2;
    rig.download().unwrap();
    rig.config.output.number_sample_per_shard = 1;
    let error = rig.download().unwrap_err().to_string();
    assert!(error.contains("number_sample_per_shard was 2 and is 1"), "{error}");
    rig.config.output.number_sample_per_shard = 2;
    let list = fs::read_to_string(&rig.config.input.url_list).unwrap();
    fs::write(&rig.config.input.url_list, list.trim_end().rsplit_once('\n').unwrap().0).unwrap();
    let error = rig.download().unwrap_err().to_string();
    assert!(error.contains("was finished with 2 rows, and the list has 1"), "{error}");
}

#[test]
fn a_tiny_budget_slows_but_does_not_block() {
    let lines: Vec<_> = (0..40).map(|_| ("x", "/good.jpg")).collect();
    let mut rig = rig(&lines);
    rig.config.memory_budget_bytes = 1;
    rig.config.output.number_sample_per_shard = 7;
    let report = rig.download().unwrap();
    assert_eq!((report.count, report.successes, report.shards), (40, 40, 6));
}

/// Stops the run when the first row has ended.
struct StopAtFirstRow(StopToken, Mutex<u64>);

impl Observer for StopAtFirstRow {
    fn row_finished(&self, _: &RowEnd<'_>) {
        *self.1.lock().unwrap() += 1;
        self.0.stop();
    }
}

#[test]
fn a_stopped_run_leaves_nothing_torn() {
    let rig = rig(&[("one", "/good/1"), ("two", "/silent")]);
    fs::create_dir(rig.out()).unwrap();
    fs::write(rig.out().join("00000.tar.tmp-1-0"), b"of a killed run").unwrap();
    let stop = StopToken::new();
    let observer = Arc::new(StopAtFirstRow(stop.clone(), Mutex::new(0)));
    let report = download(&rig.config, Arc::clone(&observer) as Arc<dyn Observer>, &stop).unwrap();
    assert!(report.interrupted);
    assert_eq!((report.count, *observer.1.lock().unwrap()), (0, 1));
    assert_eq!(rig.files(), ["manifest.json", "sizes.json"]);
}

#[test]
fn an_output_that_is_no_folder_ends_the_run() {
    let mut rig = rig(&[("one", "/good/1")]);
    rig.config.output.output_folder = rig.folder.path().join("list.tsv").into();
    assert!(rig.download().unwrap_err().to_string().contains("cannot create"));
}

#[test]
fn a_missing_column_ends_the_run_before_it_starts() {
    let mut rig = rig(&[("one", "/good/1")]);
    rig.config.input.url_col = "link".into();
    assert!(rig.download().unwrap_err().to_string().contains("(it has: `caption`, `url`)"));
    assert!(!rig.out().exists());
}
