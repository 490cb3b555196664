//! What a download tells of itself: its page, its file for Prometheus, its events.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use support::{Behaviour, Finished, Format, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

/// A download of three pictures and a missing one, with a hostile caption, told in every way.
fn told(folder: &TempDir) -> (Server, Finished) {
    let pictures =
        (0..3).map(|seed| (format!("/{seed}.jpg"), Behaviour::Ok(picture(seed, 90, 60, Format::Jpeg), "image/jpeg")));
    let server = Server::start(pictures.chain([("/gone.jpg".to_owned(), Behaviour::Status(404))]));
    let row = |path: &str| format!("<script>alert(1)</script> & \"{path}\"\t{}\n", server.url(path));
    let rows: String = ["/0.jpg", "/1.jpg", "/gone.jpg", "/2.jpg"].map(row).concat();
    let list = folder.path().join("list.tsv");
    fs::write(&list, rows).unwrap();
    let finished = clipdata()
        .arg("download")
        .arg(&list)
        .args(["--allow-private-addresses", "--json", "--output-folder"])
        .arg(folder.path().join("out"))
        .arg("--report")
        .arg(folder.path().join("report.html"))
        .arg("--prometheus-file")
        .arg(folder.path().join("counts.prom"))
        .run()
        .success();
    (server, finished)
}

#[test]
fn the_page_stands_alone_and_trusts_no_caption() {
    let folder = TempDir::new().unwrap();
    let _told = told(&folder);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(!page.contains("<script"), "a caption became code");
    assert!(page.contains("&lt;script&gt;") && page.contains("http_404") && page.contains("75.0%"), "{page}");
    for start in ["src=\"", "href=\""] {
        let targets = page.split(start).skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        let mut outside = targets.filter(|target| !target.starts_with("data:") && !target.starts_with('#'));
        assert_eq!(outside.next(), None);
    }
}

#[test]
fn the_file_for_prometheus_counts_what_the_summary_counts() {
    let folder = TempDir::new().unwrap();
    let (_server, finished) = told(&folder);
    let summary = finished.json_data("summary").pop().unwrap();
    let text = fs::read_to_string(folder.path().join("counts.prom")).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples: BTreeMap<&str, f64> = samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let count = |name: &str| summary[name].as_f64().unwrap();
    assert_eq!(samples["clipdata_rows_total{status=\"success\"}"], count("successes"));
    assert_eq!(samples["clipdata_rows_total{status=\"failed_to_download\"}"], count("failed_to_download"));
    assert_eq!(samples["clipdata_failures_total{kind=\"http_404\"}"], 1.0);
    assert_eq!(samples["clipdata_bytes_downloaded_total"], count("bytes_downloaded"));
}

#[test]
fn events_end_in_the_summary_and_agree_with_it() {
    let folder = TempDir::new().unwrap();
    let (_server, finished) = told(&folder);
    let kinds: Vec<Value> = finished.json_lines().iter().map(|line| line["type"].clone()).collect();
    assert_eq!(kinds.last().unwrap(), "summary");
    let progress = finished.json_data("progress").pop().unwrap();
    assert_eq!((&progress["rows"], &progress["successes"]), (&4.into(), &3.into()), "{progress}");
}
