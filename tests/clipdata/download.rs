//! `clipdata download`: every row ends in a named, counted state, and the shards hold what the list says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Behaviour, Finished, Format, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

/// A server with good pictures `/0.jpg`, `/1.jpg`, … and one route for every way to fail.
fn server(good: u32) -> Server {
    let jpeg = |seed| picture(seed, 120, 90, Format::Jpeg);
    let pictures = (0..good).map(|seed| (format!("/{seed}.jpg"), Behaviour::Ok(jpeg(seed), "image/jpeg")));
    let bad = [
        ("/gone.jpg", Behaviour::Status(404)),
        ("/page.jpg", Behaviour::Html("<html>not here any more</html>".to_owned())),
        ("/empty.jpg", Behaviour::Empty),
        ("/half.jpg", Behaviour::HalfBody(jpeg(99))),
        ("/never.jpg", Behaviour::Never),
    ];
    Server::start(pictures.chain(bad.map(|(path, behaviour)| (path.to_owned(), behaviour))))
}

fn list(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn download(list: &Path, output: &Path, more: &[&str]) -> Finished {
    let fixed = ["--allow-private-addresses", "--timeout", "2", "--json", "--number-sample-per-shard", "4"];
    clipdata().arg("download").arg(list).arg("--output-folder").arg(output).args(fixed).args(more).run()
}

fn summary(finished: &Finished) -> Value {
    finished.json_data("summary").pop().expect("the last line is a summary")
}

fn members(tar: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(fs::File::open(tar).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

#[test]
fn every_row_ends_in_a_counted_state() {
    let (server, folder) = (server(3), TempDir::new().unwrap());
    let rows = ["/0.jpg", "/gone.jpg", "/1.jpg", "/page.jpg", "/empty.jpg", "/half.jpg", "/never.jpg", "/2.jpg"];
    let mut text = "url\tcaption\n".to_owned();
    for row in rows {
        text.push_str(&format!("{}\tpicture {row}\n", server.url(row)));
    }
    text.push_str("not-a-url\tno picture\nlonely field\n");
    let output = folder.path().join("shards");
    let finished = download(&list(&folder, "list.tsv", &text), &output, &["--caption-col", "caption"]).success();
    let summary = summary(&finished);
    assert_eq!(summary["count"], 10, "{summary}");
    assert_eq!(summary["successes"], 3, "{summary}");
    let failed = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(failed("failed_to_download") + failed("failed_to_resize"), 7, "{summary}");
    let kinds = summary["failures_by_kind"].as_object().unwrap();
    assert_eq!(kinds.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 7, "{summary}");
    assert!(kinds.len() >= 6, "each way to fail has a name of its own: {summary}");
}

#[test]
fn shards_hold_keys_captions_and_metadata_as_img2dataset_writes_them() {
    let (server, folder) = (server(6), TempDir::new().unwrap());
    let rows: String =
        (0..6).map(|i| format!("{}\tcaption {i}, “quoted”\n", server.url(&format!("/{i}.jpg")))).collect();
    let output = folder.path().join("shards");
    let table = list(&folder, "list.tsv", &format!("url\tcaption\n{rows}"));
    let _ =
        download(&table, &output, &["--caption-col", "caption", "--image-size", "64", "--resize-mode", "keep_ratio"])
            .success();
    let first = members(&output.join("00000.tar"));
    assert_eq!(first.len(), 12, "four samples of three members");
    assert_eq!(first["000002.txt"], "caption 2, “quoted”".as_bytes());
    let fields: Value = serde_json::from_slice(&first["000002.json"]).unwrap();
    assert_eq!(fields["key"], "000002");
    assert_eq!(fields["status"], "success");
    assert_eq!((&fields["width"], &fields["height"]), (&json!(85), &json!(64)));
    assert_eq!((&fields["original_width"], &fields["original_height"]), (&json!(120), &json!(90)));
    assert_eq!(fields["sha256"].as_str().unwrap().len(), 64);
    let stats: Value = serde_json::from_slice(&fs::read(output.join("00001_stats.json")).unwrap()).unwrap();
    assert_eq!((&stats["count"], &stats["successes"]), (&json!(2), &json!(2)));
    let sizes: Value = serde_json::from_slice(&fs::read(output.join("sizes.json")).unwrap()).unwrap();
    assert_eq!(sizes, json!({ "00000.tar": 4, "00001.tar": 2 }));
    assert!(output.join("00001.parquet").is_file());
}

#[test]
fn lists_of_every_kind_give_the_same_samples() {
    let (server, folder) = (server(2), TempDir::new().unwrap());
    let urls = [server.url("/0.jpg"), server.url("/1.jpg")];
    let lists = [
        ("cc3m.tsv", format!("a cat\t{}\na dog\t{}\n", urls[0], urls[1]), true),
        ("list.tsv", format!("caption\turl\r\na cat\t{}\r\na dog\t{}\r\n", urls[0], urls[1]), true),
        ("list.csv", format!("\u{feff}url,caption\n{},a cat\n\"{}\",\"a dog\"\n", urls[0], urls[1]), true),
        ("list.txt", format!("{}\n\n{}\n", urls[0], urls[1]), false),
    ];
    for (name, text, captions) in lists {
        let output = folder.path().join(format!("{name}.shards"));
        let columns: &[&str] = if captions && name != "cc3m.tsv" { &["--caption-col", "caption"] } else { &[] };
        let finished = download(&list(&folder, name, &text), &output, columns).success();
        assert_eq!(summary(&finished)["successes"], 2, "{name}");
        let members = members(&output.join("00000.tar"));
        assert_eq!(members.contains_key("000001.txt"), captions, "{name}");
        if captions {
            assert_eq!(members["000001.txt"], b"a dog", "{name}");
        }
    }
}

#[test]
fn the_same_command_again_does_nothing_twice() {
    let (server, folder) = (server(6), TempDir::new().unwrap());
    let text: String = (0..6).map(|i| server.url(&format!("/{i}.jpg")) + "\n").collect();
    let (table, output) = (list(&folder, "list.txt", &text), folder.path().join("shards"));
    let _ = download(&table, &output, &[]).success();
    let before = fs::read(output.join("00000.tar")).unwrap();
    fs::remove_file(output.join("00001_stats.json")).unwrap();
    let again = summary(&download(&table, &output, &[]).success());
    assert_eq!((&again["count"], &again["successes"]), (&json!(6), &json!(6)), "{again}");
    assert_eq!(again["shards_already_done"], 1, "{again}");
    assert_eq!(fs::read(output.join("00000.tar")).unwrap(), before);
    assert_eq!(server.hits("/0.jpg"), 1, "a shard that is done is not fetched again");
    assert_eq!(server.hits("/5.jpg"), 2, "a shard that is not sealed is");
}

#[test]
fn private_addresses_are_refused_unless_allowed() {
    let (server, folder) = (server(1), TempDir::new().unwrap());
    let table = list(&folder, "list.txt", &format!("{}\n", server.url("/0.jpg")));
    let output = folder.path().join("shards");
    let finished = clipdata().arg("download").arg(&table).arg("--output-folder").arg(&output).arg("--json").run();
    let finished = finished.expect_code(1);
    assert_eq!(summary(&finished)["failed_to_download"], 1);
    assert_eq!(server.hits("/0.jpg"), 0);
}

#[test]
fn a_missing_list_and_a_missing_column_are_told_with_what_there_is() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("shards");
    let missing = download(&folder.path().join("nowhere.tsv"), &output, &[]).expect_code(2);
    assert!(missing.stderr.contains("nowhere.tsv"), "{}", missing.stderr);
    let table = list(&folder, "list.csv", "link,text\nhttp://example.com/a.jpg,a\n");
    let column = download(&table, &output, &["--url-col", "address"]).expect_code(2);
    for word in ["address", "link", "text"] {
        assert!(column.stderr.contains(word), "{}", column.stderr);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let finished = clipdata().args(["download", "list.txt", "--resize-mode", "stretch"]).run().expect_code(2);
    assert!(finished.stderr.contains("keep_ratio"), "{}", finished.stderr);
}

#[test]
fn a_quote_left_open_costs_its_own_row() {
    let (server, folder) = (server(3), TempDir::new().unwrap());
    let text = format!(
        "url,caption\n{},\"never closed\n{},plain\n{},\"closed, with a comma\"\n",
        server.url("/0.jpg"),
        server.url("/1.jpg"),
        server.url("/2.jpg")
    );
    let output = folder.path().join("shards");
    let finished = download(&list(&folder, "list.csv", &text), &output, &["--caption-col", "caption"]).success();
    let summary = summary(&finished);
    assert_eq!((&summary["count"], &summary["successes"]), (&json!(3), &json!(2)), "{summary}");
    assert_eq!(summary["failures_by_kind"], json!({ "bad_row": 1 }), "{summary}");
    assert_eq!(members(&output.join("00000.tar"))["000002.txt"], b"closed, with a comma");
}
