//! What a download shows of itself: events for machines, a page for people, counts for Prometheus.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use support::{Behaviour, Finished, Format, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

const HOSTILE: &str = "<script>alert(1)</script>";

/// A download of three pictures and three failures, told in every way.
fn told(folder: &TempDir, more: &[&str]) -> Finished {
    let good = |seed| Behaviour::Ok(picture(seed, 120, 90, Format::Jpeg), "image/jpeg");
    let server = Server::start([
        ("/0.jpg".to_owned(), good(0)),
        ("/1.jpg".to_owned(), good(1)),
        ("/2.jpg".to_owned(), good(2)),
        ("/gone.jpg".to_owned(), Behaviour::Status(404)),
        ("/gone-as-well.jpg".to_owned(), Behaviour::Status(404)),
        ("/page.jpg".to_owned(), Behaviour::Html("<html>not here any more</html>".to_owned())),
    ]);
    let rows = ["/0.jpg", "/gone.jpg", "/1.jpg", "/gone-as-well.jpg", "/page.jpg", "/2.jpg"];
    let rows: String = rows.iter().map(|path| format!("{}\t{HOSTILE}\n", server.url(path))).collect();
    let list = folder.path().join("list.tsv");
    fs::write(&list, format!("url\tcaption\n{rows}")).unwrap();
    clipdata()
        .arg("download")
        .arg(&list)
        .arg("--output-folder")
        .arg(folder.path().join("shards"))
        .args(["--allow-private-addresses", "--caption-col", "caption", "--number-sample-per-shard", "4"])
        .arg("--report")
        .arg(folder.path().join("report.html"))
        .arg("--prometheus-file")
        .arg(folder.path().join("clipdata.prom"))
        .args(more)
        .run()
        .success()
}

#[test]
fn the_page_holds_counts_and_pictures_and_loads_nothing() {
    let folder = TempDir::new().unwrap();
    let told = told(&folder, &[]);
    assert!(told.stdout.contains("hosts with most failures") && told.stdout.contains("/s\n"), "{told}");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    for loaded in ["<script", "<link", "@import", "url(", "src=\"http", "href="] {
        assert!(!page.contains(loaded), "{loaded}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "captions are shown as texts");
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 3);
    for shown in ["<code>http_404</code>", "<code>not_an_image</code>", "/gone", "50.0%", "Width", "Time of a download"]
    {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn prometheus_counts_are_those_of_the_summary() {
    let folder = TempDir::new().unwrap();
    let summary = told(&folder, &["--json"]).json_data("summary").remove(0);
    let text = fs::read_to_string(folder.path().join("clipdata.prom")).unwrap();
    let values: BTreeMap<&str, f64> = text
        .lines()
        .filter(|line| !line.starts_with("# HELP ") && !line.starts_with("# TYPE "))
        .map(|line| line.rsplit_once(' ').map(|(name, value)| (name, value.parse().unwrap())).unwrap())
        .collect();
    let expect = |name: &str, value: &Value| assert_eq!(values.get(name).copied(), value.as_f64(), "{name}\n{text}");
    expect("clipdata_rows_total{status=\"success\"}", &summary["successes"]);
    expect("clipdata_rows_total{status=\"failed_to_download\"}", &summary["failed_to_download"]);
    expect("clipdata_rows_total{status=\"failed_to_resize\"}", &summary["failed_to_resize"]);
    expect("clipdata_failures_total{kind=\"http_404\"}", &summary["failures_by_kind"]["http_404"]);
    expect("clipdata_failures_total{kind=\"not_an_image\"}", &summary["failures_by_kind"]["not_an_image"]);
    expect("clipdata_bytes_downloaded_total", &summary["bytes_downloaded"]);
    expect("clipdata_shards_total", &summary["shards"]);
    let left = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(left.count(), 0, "nothing unfinished stays behind");
}

#[test]
fn events_end_in_a_summary_with_the_documented_fields() {
    let folder = TempDir::new().unwrap();
    let told = told(&folder, &["--json"]);
    let last = told.json_lines().pop().unwrap();
    assert_eq!(last["type"], "summary");
    for field in ["count", "successes", "failed_to_download", "failed_to_resize", "seconds", "images_per_second"] {
        assert!(last["data"][field].is_number(), "{field}: {last}");
    }
    assert!(last["data"]["bytes_per_second"].is_number(), "{last}");
    assert_eq!(told.json_data("shard").len(), 2);
    let progress = told.json_data("progress").pop().expect("the last moment is told");
    assert_eq!((&progress["rows"], &progress["successes"]), (&last["data"]["count"], &last["data"]["successes"]));
}

#[test]
fn a_report_that_could_not_be_written_is_refused_before_the_download() {
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("nowhere").join("report.html");
    let refused = clipdata().args(["download", "list.txt", "--report"]).arg(&report).run().expect_code(2);
    assert!(refused.stderr.contains("nowhere"), "{refused}");
}
