//! Lists as users have them: a folder, a glob, an address, known data sets, damaged files.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use support::{Behaviour, Finished, Format, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

fn server(pictures: u32) -> Server {
    let routes = (0..pictures)
        .map(|seed| (format!("/{seed}.jpg"), Behaviour::Ok(picture(seed, 40, 30, Format::Jpeg), "image/jpeg")));
    Server::start(routes)
}

fn download(list: impl AsRef<Path>, output: &Path, more: &[&str]) -> Finished {
    let fixed = ["--allow-private-addresses", "--timeout", "5", "--json", "--number-sample-per-shard", "4"];
    clipdata().arg("download").arg(list.as_ref()).arg("--output-folder").arg(output).args(fixed).args(more).run()
}

fn summary(finished: &Finished) -> Value {
    finished.json_data("summary").pop().expect("the last line is a summary")
}

/// The captions of a shard's samples, in order.
fn captions(shard: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(fs::File::open(shard).unwrap());
    let texts = archive.entries().unwrap().filter_map(|entry| {
        let mut entry = entry.unwrap();
        let is_text = entry.path().unwrap().extension().is_some_and(|extension| extension == "txt");
        is_text.then(|| std::io::read_to_string(&mut entry).unwrap())
    });
    texts.collect()
}

fn gzipped(text: &str) -> Vec<u8> {
    let command = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut child = command.expect("gzip is on every system");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_folder_ends_shards_with_its_files_and_packs_them_when_told() {
    let (server, folder) = (server(6), TempDir::new().unwrap());
    let lists = folder.path().join("lists");
    fs::create_dir(&lists).unwrap();
    let rows = |range: std::ops::Range<u32>| -> String {
        range.map(|i| format!("{{\"url\":\"{}\",\"caption\":\"{i}\"}}\n", server.url(&format!("/{i}.jpg")))).collect()
    };
    fs::write(lists.join("a.jsonl.gz"), gzipped(&rows(0..3))).unwrap();
    fs::write(lists.join("b.jsonl"), rows(3..6)).unwrap();
    let (by_file, packed) = (folder.path().join("by-file"), folder.path().join("packed"));
    let flags = ["--caption-col", "caption"];
    assert_eq!(summary(&download(&lists, &by_file, &flags).success())["successes"], 6);
    assert_eq!(captions(&by_file.join("00000.tar")), ["0", "1", "2"]);
    let glob = lists.join("*.jsonl*");
    let _ = download(glob, &packed, &["--caption-col", "caption", "--pack-across-files"]).success();
    assert_eq!(captions(&packed.join("00000.tar")), ["0", "1", "2", "3"]);
    assert_eq!(captions(&packed.join("00001.tar")), ["4", "5"]);
}

#[test]
fn a_list_behind_an_address_is_asked_for_once() {
    let (server, folder) = (server(2), TempDir::new().unwrap());
    let text = format!("a cat\t{}\na dog\t{}\n", server.url("/0.jpg"), server.url("/1.jpg"));
    server.route("/cc3m.tsv.gz", Behaviour::Ok(gzipped(&text), "application/gzip"));
    let output = folder.path().join("shards");
    let finished = download(server.url("/cc3m.tsv.gz?token=secret"), &output, &["--preset", "cc3m"]).success();
    assert_eq!(summary(&finished)["successes"], 2);
    assert_eq!(captions(&output.join("00000.tar")), ["a cat", "a dog"]);
    assert_eq!(server.hits("/cc3m.tsv.gz"), 1);
}

#[test]
fn a_parquet_list_behind_an_address_is_copied_and_read() {
    let (server, folder) = (server(2), TempDir::new().unwrap());
    let text = format!("a cat\t{}\na dog\t{}\n", server.url("/0.jpg"), server.url("/1.jpg"));
    let list = folder.path().join("list.tsv");
    fs::write(&list, text).unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let _ = download(&list, &first, &[]).success();
    // The table beside a shard is a list as well.
    let table = fs::read(first.join("00000.parquet")).unwrap();
    server.route("/again.parquet", Behaviour::Ok(table, "application/octet-stream"));
    let flags = ["--caption-col", "caption", "--save-additional-columns", "error_kind_before"];
    let missing = download(server.url("/again.parquet"), &second, &flags).expect_code(2);
    assert!(missing.stderr.contains("error_kind_before"), "{}", missing.stderr);
    let _ = download(server.url("/again.parquet"), &second, &flags[..2]).success();
    assert_eq!(captions(&second.join("00000.tar")), ["a cat", "a dog"]);
    assert_eq!(server.hits("/again.parquet"), 2, "one request for each run");
}

#[test]
fn an_address_that_fails_is_told_with_its_reason() {
    let (server, folder) = (server(0), TempDir::new().unwrap());
    let finished = download(server.url("/list.csv"), &folder.path().join("shards"), &[]).expect_code(2);
    assert!(finished.stderr.contains("list.csv") && finished.stderr.contains("404"), "{}", finished.stderr);
    let rows = format!("{}\n", server.url("/gone.jpg")).repeat(20);
    server.route("/half.txt", Behaviour::HalfBody(rows.into_bytes()));
    let half = download(server.url("/half.txt"), &folder.path().join("half"), &[]).expect_code(2);
    assert!(half.stderr.contains("body"), "a connection that broke is no end of a list: {}", half.stderr);
}

#[test]
fn a_list_that_was_cut_off_is_told_and_its_rows_are_used() {
    let (server, folder) = (server(2), TempDir::new().unwrap());
    let [a, b] = ["/0.jpg", "/1.jpg"].map(|path| server.url(path));
    let text =
        format!("[{{\"url\":\"{a}\",\"caption\":\"a cat\"}},{{\"url\":\"{b}\",\"caption\":\"a dog\"}},{{\"url\":");
    let list = folder.path().join("list.json");
    fs::write(&list, text).unwrap();
    let output = folder.path().join("shards");
    let finished = download(&list, &output, &["--caption-col", "caption"]).expect_code(1);
    let summary = summary(&finished);
    assert_eq!((&summary["count"], &summary["successes"]), (&json!(3), &json!(2)), "{summary}");
    assert_eq!(summary["cut_lists"], 1);
    assert_eq!(summary["failures_by_kind"], json!({ "bad_row": 1 }), "{summary}");
    assert!(finished.stderr.contains("the file ends early"), "{}", finished.stderr);
}

#[test]
fn columns_of_sbu_become_samples() {
    let (server, folder) = (server(2), TempDir::new().unwrap());
    let urls = ["/0.jpg", "/1.jpg"].map(|path| server.url(path));
    let list = folder.path().join("sbu-captions-all.json");
    fs::write(&list, json!({ "image_urls": urls, "user_ids": ["x", "y"], "captions": ["one", "two"] }).to_string())
        .unwrap();
    let output = folder.path().join("shards");
    let _ = download(&list, &output, &["--preset", "sbu", "--save-additional-columns", "user_ids"]).success();
    assert_eq!(captions(&output.join("00000.tar")), ["one", "two"]);
}

#[test]
fn presets_and_formats_that_are_not_there_are_refused_with_those_that_are() {
    let refused =
        |flag: &str, value: &str| clipdata().args(["download", "list.txt", flag, value]).run().expect_code(2).stderr;
    assert!(refused("--preset", "imagenet").contains("cc3m, cc12m, laion"));
    assert!(refused("--input-format", "xml").contains("jsonl"));
}
