//! `clipdata download`: what its flags do to pictures.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{Behaviour, Finished, Format, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

fn server() -> Server {
    let jpeg = picture(1, 120, 90, Format::Jpeg);
    Server::start([("/a.jpg".to_owned(), Behaviour::Ok(jpeg, "image/jpeg"))])
}

fn download(list: &Path, output: &Path, more: &[&str]) -> Finished {
    let fixed = ["--allow-private-addresses", "--timeout", "5", "--json"];
    clipdata().arg("download").arg(list).arg("--output-folder").arg(output).args(fixed).args(more).run()
}

fn summary(finished: &Finished) -> Value {
    finished.json_data("summary").pop().expect("the last line is a summary")
}

/// The hash of the picture at `/a.jpg`, as a download without a list of hashes stores it.
fn md5(server: &Server, folder: &TempDir) -> String {
    let (list, output) = (folder.path().join("one.txt"), folder.path().join("one"));
    fs::write(&list, server.url("/a.jpg")).unwrap();
    let _ = download(&list, &output, &["--compute-hash", "md5"]).success();
    sample_json(&output)["md5"].as_str().unwrap().to_owned()
}

fn sample_json(output: &Path) -> Value {
    let mut archive = tar::Archive::new(fs::File::open(output.join("00000.tar")).unwrap());
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| entry.path().unwrap().extension().is_some_and(|end| end == "json"));
    serde_json::from_reader(entry.unwrap()).unwrap()
}

#[test]
fn a_row_whose_body_has_another_hash_fails_to_download() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let (url, right) = (server.url("/a.jpg"), md5(&server, &folder));
    let list = folder.path().join("list.csv");
    fs::write(&list, format!("url,md5\n{url},{}\n{url},{}\n", right.to_uppercase(), &right[1..])).unwrap();
    let output = folder.path().join("shards");
    let flags = ["--compute-hash", "md5", "--verify-hash", "[\"md5\",\"md5\"]"];
    let summary = summary(&download(&list, &output, &flags).success());
    assert_eq!((&summary["successes"], &summary["failed_to_download"]), (&json!(1), &json!(1)), "{summary}");
    assert_eq!(summary["failures_by_kind"], json!({ "hash_mismatch": 1 }), "{summary}");
    assert_eq!(sample_json(&output)["md5"], json!(right), "stored once, as it was computed");
}

#[test]
fn a_hash_of_another_kind_is_wrong_usage() {
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("list.csv");
    fs::write(&list, "url,md5\nhttp://127.0.0.1:9/a.jpg,abc\n").unwrap();
    let refused = download(&list, &folder.path().join("shards"), &["--verify-hash", "[\"md5\",\"md5\"]"]);
    let refused = refused.expect_code(2);
    assert!(refused.stderr.contains("which is sha256, got md5"), "{}", refused.stderr);
}

#[test]
fn boxes_are_blurred_and_stored() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let url = server.url("/a.jpg");
    let list = folder.path().join("list.csv");
    fs::write(&list, format!("url,faces\n{url},\"[[0.2, 0.2, 0.8, 0.8]]\"\n{url},face\n")).unwrap();
    let output = folder.path().join("shards");
    let finished = download(&list, &output, &["--bbox-col", "faces", "--resize-mode", "no"]).success();
    let summary = summary(&finished);
    assert_eq!(summary["failures_by_kind"], json!({ "bad_row": 1 }), "{summary}");
    assert_eq!(sample_json(&output)["faces"], "[[0.2, 0.2, 0.8, 0.8]]");
}

#[test]
fn interpolations_have_opencv_names_in_any_case() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let list = folder.path().join("list.txt");
    fs::write(&list, server.url("/a.jpg")).unwrap();
    for (up, down) in [("nearest", "BILINEAR"), ("cubic", "Lanczos4"), ("AREA", "bicubic"), ("lanczos", "linear")] {
        let output = folder.path().join(up);
        let flags = ["--upscale-interpolation", up, "--downscale-interpolation", down, "--compute-hash", "sha512"];
        let _ = download(&list, &output, &flags).success();
        assert_eq!(sample_json(&output)["sha512"].as_str().map(str::len), Some(128));
    }
    let refused = download(&list, folder.path(), &["--upscale-interpolation", "smooth"]).expect_code(2);
    assert!(refused.stderr.contains("`smooth`"), "{}", refused.stderr);
}
