//! `--dataset-type urls`: what is downloaded is trained on meanwhile, counted to the last row, and found again.

use std::fs;
use std::path::{Path, PathBuf};

use support::{Behaviour, Command, Format, Server, picture};
use tempfile::TempDir;

use crate::train;

/// A server with pictures at `/0.jpg` and so on; every fifth is missing.
fn server(count: u32) -> Server {
    let server = Server::start::<String>([]);
    for i in (0..count).filter(|i| i % 5 != 4) {
        server.route(format!("/{i}.jpg"), Behaviour::Ok(picture(i, 40, 30, Format::Jpeg), "image/jpeg"));
    }
    server
}

fn list(folder: &TempDir, server: &Server, count: u32) -> PathBuf {
    let path = folder.path().join("list.tsv");
    let rows: String = (0..count).map(|i| format!("picture {i}\t{}\n", server.url(&format!("/{i}.jpg")))).collect();
    fs::write(&path, rows).unwrap();
    path
}

fn train_on(folder: &TempDir, list: &Path, name: &str) -> Command {
    let command = train(folder, &list.display().to_string(), name).args(["--dataset-type", "urls"]);
    command.args(["--number-sample-per-shard", "10", "--image-size", "32", "--allow-private-addresses", "--json"])
}

#[test]
fn rows_are_downloaded_trained_on_and_counted() {
    let folder = TempDir::new().unwrap();
    let server = server(40);
    let list = list(&folder, &server, 40);
    let finished = train_on(&folder, &list, "first").run().success();
    let summary = finished.json_data("summary").pop().unwrap();
    let download = &summary["download"];
    assert_eq!(
        (&download["count"], &download["successes"], &download["failed_to_download"]),
        (&40.into(), &32.into(), &8.into())
    );
    // An epoch has as many pairs as the list has rows; those that failed are made up for by others.
    assert_eq!((&summary["train"]["samples_seen"], &summary["train"]["epochs"]), (&80.into(), &2.into()), "{summary}");
    assert!(
        finished.stderr.contains("urls: 40 rows of the list: 32 downloaded, 8 failed to download (http_404: 8)"),
        "{finished}"
    );
    let shards = folder.path().join("list-shards");
    assert!((0..4).all(|shard| shards.join(format!("{shard:05}.tar")).is_file()));
    // Whoever comes again asks for nothing, and sees the same pairs in the same order.
    let asked = server.requests().len();
    let again = train_on(&folder, &list, "again").run().success();
    assert_eq!(server.requests().len(), asked);
    let losses = |finished: &support::Finished| {
        finished.json_data("step").iter().map(|step| step["loss"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses(&finished), losses(&again));
}

/// One picture of the third shard does not come until the run has ended.
#[test]
fn a_run_that_is_ended_in_its_download_goes_on_with_both() {
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(0)), ("-KILL", None)] {
        let folder = TempDir::new().unwrap();
        let server = server(40);
        server.route("/25.jpg".to_owned(), Behaviour::Never);
        let list = list(&folder, &server, 40);
        let mut child = train_on(&folder, &list, "ended").spawn();
        while server.hits("/25.jpg") == 0 {
            assert!(child.try_wait().unwrap().is_none(), "it waits for a picture");
            std::thread::yield_now();
        }
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), code, "{signal}");
        server.route("/25.jpg".to_owned(), Behaviour::Ok(picture(25, 40, 30, Format::Jpeg), "image/jpeg"));
        let again = train_on(&folder, &list, "ended").args(["--resume", "latest"]).run().success();
        let summary = again.json_data("summary").pop().unwrap();
        let download = &summary["download"];
        assert_eq!((&download["count"], &download["successes"]), (&40.into(), &32.into()), "{signal}: {summary}");
        assert_eq!(summary["train"]["epochs"], 2, "{signal}: {summary}");
        let folder = folder.path().join("list-shards");
        let left = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        assert!(left.into_iter().all(|name| !name.contains("tmp")), "{signal}");
    }
}

#[test]
fn a_list_of_which_nothing_arrives_is_an_error() {
    let folder = TempDir::new().unwrap();
    let server = Server::start::<String>([]);
    let list = list(&folder, &server, 20);
    let finished = train_on(&folder, &list, "none").run().expect_code(2);
    assert!(finished.stderr.contains("no usable sample") && finished.stderr.contains("urls: 20 rows"), "{finished}");
    assert!(finished.stderr.contains("20 failed to download (http_404: 20)"), "{finished}");
}

#[test]
fn what_is_no_list_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = train_on(&folder, &folder.path().join("nowhere.tsv"), "missing").run().expect_code(2);
    assert!(missing.stderr.contains("nowhere.tsv"), "{missing}");
    let empty = folder.path().join("empty.tsv");
    fs::write(&empty, "url\tcaption\n").unwrap();
    let finished = train_on(&folder, &empty, "empty").run().expect_code(2);
    assert!(finished.stderr.contains("the list has no rows"), "{finished}");
    let bare = folder.path().join("bare.txt");
    fs::write(&bare, "http://127.0.0.1:1/a.jpg\n").unwrap();
    let finished = train_on(&folder, &bare, "bare").run().expect_code(2);
    assert!(finished.stderr.contains("caption"), "{finished}");
}
