//! What a download writes in each format, goes on with, shares among machines, and tries again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Behaviour, Finished, Format, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

fn jpeg(seed: u32) -> Behaviour {
    Behaviour::Ok(picture(seed, 90, 60, Format::Jpeg), "image/jpeg")
}

/// A server with `count` pictures, `/0.jpg` and so on, and their list with captions.
fn served(folder: &TempDir, count: u32) -> (Server, PathBuf) {
    let server = Server::start((0..count).map(|seed| (format!("/{seed}.jpg"), jpeg(seed))));
    let rows: String = (0..count).map(|i| format!("picture {i}\t{}\n", server.url(&format!("/{i}.jpg")))).collect();
    let list = folder.path().join("list.tsv");
    fs::write(&list, rows).unwrap();
    (server, list)
}

fn download(list: &Path, output: &str, more: &[&str]) -> Finished {
    let fixed = ["--allow-private-addresses", "--timeout", "5", "--json", "--number-sample-per-shard", "3"];
    clipdata().arg("download").arg(list).args(["--output-folder", output]).args(fixed).args(more).run()
}

fn summary(finished: &Finished) -> Value {
    finished.json_data("summary").pop().expect("the last line is a summary")
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// Names and contents of all files below a folder.
fn files(root: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

fn names(root: &str) -> Vec<String> {
    files(root).into_keys().collect()
}

#[test]
fn every_format_has_its_files_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 4);
    let shared = ["00000_stats.json", "00001_stats.json", "manifest.json"];
    let cases: [(&str, &[&str]); 5] = [
        ("webdataset", &["00000.parquet", "00000.tar", "00001.parquet", "00001.tar", "sizes.json"]),
        (
            "files",
            &[
                "00000.parquet",
                "00000/000000.jpg",
                "00000/000000.json",
                "00000/000000.txt",
                "00000/000001.jpg",
                "00000/000001.json",
                "00000/000001.txt",
                "00000/000002.jpg",
                "00000/000002.json",
                "00000/000002.txt",
                "00001.parquet",
                "00001/000010.jpg",
                "00001/000010.json",
                "00001/000010.txt",
                "sizes.json",
            ],
        ),
        ("parquet", &["00000.parquet", "00001.parquet", "sizes.json"]),
        (
            "csv",
            &[
                "00000.csv",
                "00000.parquet",
                "00000/000000.jpg",
                "00000/000001.jpg",
                "00000/000002.jpg",
                "00001.csv",
                "00001.parquet",
                "00001/000010.jpg",
                "sizes.json",
            ],
        ),
        ("dummy", &[]),
    ];
    for (format, own) in cases {
        let output = path(&folder, format);
        let finished = download(&list, &output, &["--output-format", format]).success();
        assert_eq!(summary(&finished)["successes"], 4, "{finished}");
        let mut expected: Vec<&str> = own.iter().chain(&shared).copied().collect();
        expected.sort_unstable();
        assert_eq!(names(&output), expected, "{format}");
    }
    let text = fs::read_to_string(folder.path().join("csv/00000.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "title\tfilepath");
    let (title, file) = lines[2].split_once('\t').unwrap();
    assert_eq!(title, "picture 1");
    assert!(Path::new(file).is_file(), "{file}");
}

#[test]
fn a_command_gets_every_file() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 2);
    let target = path(&folder, "target");
    fs::create_dir(&target).unwrap();
    let _ = download(&list, &format!("pipe:cat > {target}/{{}}"), &[]).success();
    let expected = ["00000.parquet", "00000.tar", "00000_stats.json", "manifest.json", "sizes.json"];
    assert_eq!(names(&target), expected);
}

#[test]
fn deterministic_runs_write_equal_bytes() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 4);
    let outputs = ["one", "two"].map(|name| path(&folder, name));
    for output in &outputs {
        let _ = download(&list, output, &["--deterministic"]).success();
    }
    assert_eq!(files(&outputs[0]), files(&outputs[1]));
}

#[test]
fn another_list_and_other_options_are_told_from_the_same_ones() {
    let folder = TempDir::new().unwrap();
    let (server, list) = served(&folder, 4);
    let output = path(&folder, "out");
    let _ = download(&list, &output, &[]).success();
    let before = files(&output);

    let finished = download(&list, &output, &["--image-size", "64"]).expect_code(2);
    assert!(finished.stderr.contains("image_size was 256 and is 64"), "{finished}");

    let other: String = (0..4).map(|i| format!("other caption\t{}\n", server.url(&format!("/{i}.jpg")))).collect();
    fs::write(&list, other).unwrap();
    let finished = download(&list, &output, &[]).expect_code(2);
    assert!(finished.stderr.contains("the list changed"), "{finished}");
    assert_eq!(files(&output), before);

    let finished = download(&list, &output, &["--incremental-mode", "extend"]).success();
    assert_eq!(summary(&finished)["successes"], 4, "{finished}");
    assert!(names(&output).contains(&"00003.tar".to_owned()));
    let _ = download(&list, &output, &["--incremental-mode", "overwrite", "--image-size", "64"]).success();
    assert!(!names(&output).contains(&"00002.tar".to_owned()));
}

#[test]
fn a_tar_that_was_cut_off_later_is_made_again() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 2);
    let output = path(&folder, "out");
    let _ = download(&list, &output, &[]).success();
    let tar = Path::new(&output).join("00000.tar");
    let whole = fs::read(&tar).unwrap();
    fs::write(&tar, b"").unwrap();
    let finished = download(&list, &output, &[]).success();
    assert_eq!(summary(&finished)["shards_already_done"], 0, "{finished}");
    assert_eq!(fs::read(&tar).unwrap(), whole);
}

#[test]
fn machines_share_the_shards_and_any_of_them_can_run_again() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 10);
    let (alone, together) = (path(&folder, "alone"), path(&folder, "together"));
    let _ = download(&list, &alone, &["--deterministic"]).success();
    for rank in ["2", "0", "1", "0"] {
        let _ = download(&list, &together, &["--deterministic", "--rank", rank, "--world-size", "3"]).success();
    }
    assert_eq!(files(&together), files(&alone));
    let finished = clipdata().args(["merge-stats", &together, "--json"]).run().success();
    let totals = finished.json_data("totals").pop().unwrap();
    assert_eq!((&totals["shards"], &totals["successes"]), (&json!(4), &json!(10)), "{totals}");
}

#[test]
fn a_shard_that_another_run_is_about_is_left_to_it() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 6);
    let output = path(&folder, "out");
    fs::create_dir(&output).unwrap();
    let claim = fs::File::create(Path::new(&output).join("00001.claim")).unwrap();
    claim.try_lock().unwrap();
    let summary = summary(&download(&list, &output, &[]).success());
    assert_eq!((&summary["shards"], &summary["shards_elsewhere"]), (&json!(1), &json!(1)), "{summary}");
    assert!(!names(&output).contains(&"00001.tar".to_owned()));
}

#[test]
fn the_claim_of_a_run_that_was_killed_when_all_was_written_is_cleared() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 6);
    let output = path(&folder, "out");
    let _ = download(&list, &output, &[]).success();
    let expected = files(&output);
    fs::write(Path::new(&output).join("00001.claim"), "").unwrap();
    let _ = download(&list, &output, &[]).success();
    assert_eq!(files(&output), expected);
}

#[test]
fn failed_rows_are_tried_again_and_merged() {
    let folder = TempDir::new().unwrap();
    let (server, list) = served(&folder, 7);
    for format in ["webdataset", "parquet", "files", "csv"] {
        let complete = path(&folder, &format!("complete-{format}"));
        let _ = download(&list, &complete, &["--deterministic", "--output-format", format]).success();
        let output = path(&folder, &format!("retried-{format}"));
        server.route("/1.jpg", Behaviour::Status(503));
        server.route("/4.jpg", Behaviour::Status(404));
        let finished = download(&list, &output, &["--deterministic", "--output-format", format]).success();
        assert_eq!(summary(&finished)["successes"], 5, "{finished}");
        server.route("/1.jpg", jpeg(1));
        server.route("/4.jpg", jpeg(4));

        let retry = |more: &[&str]| {
            let fixed = ["retry", &output, "--allow-private-addresses", "--json"];
            summary(&clipdata().args(fixed).args(more).run().success())
        };
        let first = retry(&["--kinds", "http_503"]);
        assert_eq!(
            (&first["count"], &first["successes"], &first["shards"]),
            (&json!(3), &json!(3), &json!(1)),
            "{first}"
        );
        let hits = server.hits("/0.jpg");
        assert_eq!(retry(&[])["successes"], 3);
        assert_eq!(server.hits("/0.jpg"), hits, "what succeeded is not asked for again");
        // open_clip's csv has the paths of its pictures.
        let mut expected = files(&complete);
        for (_, index) in expected.iter_mut().filter(|(name, _)| name.ends_with(".csv")) {
            *index = String::from_utf8_lossy(index).replace(&complete, &output).into_bytes();
        }
        assert_eq!(files(&output), expected, "{format}");
        assert_eq!(retry(&[])["count"], 0);
    }
}

#[test]
fn a_retry_that_was_cut_off_between_its_files_is_taken_up() {
    let folder = TempDir::new().unwrap();
    let (server, list) = served(&folder, 3);
    let output = path(&folder, "out");
    server.route("/1.jpg", Behaviour::Status(503));
    let _ = download(&list, &output, &["--deterministic"]).success();
    let before = files(&output);
    server.route("/1.jpg", jpeg(1));
    let retry = || clipdata().args(["retry", &output, "--allow-private-addresses"]).run().success();
    let _ = retry();
    let after = files(&output);
    for name in ["00000.parquet", "00000_stats.json", "sizes.json"] {
        fs::write(Path::new(&output).join(name), &before[name]).unwrap();
    }
    let _ = retry();
    assert_eq!(files(&output), after);
}

#[test]
fn a_machine_for_which_there_is_nothing_is_done_and_missing_shards_are_named() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 6);
    let output = path(&folder, "out");
    let machine = |rank: &str| download(&list, &output, &["--rank", rank, "--world-size", "4"]).success();
    let merged = |code: i32| {
        let finished = clipdata().args(["merge-stats", &output, "--json"]).run().expect_code(code);
        finished.json_data("totals").pop().expect("totals")
    };
    let idle = machine("3");
    assert!(idle.stderr.contains("machine 3 of 4"), "{idle}");
    let idle = summary(&idle);
    assert_eq!((&idle["count"], &idle["shards_in_list"], &idle["rank"]), (&json!(0), &json!(2), &json!(3)), "{idle}");
    let _ = machine("1");
    assert_eq!(merged(1)["missing"], json!([0]));
    let _ = machine("0");
    let totals = merged(0);
    assert_eq!((&totals["count"], &totals["missing"], &totals["shards_in_list"]), (&json!(6), &json!([]), &json!(2)));
}

#[test]
fn kinds_that_there_are_not_are_refused() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 2);
    let output = path(&folder, "out");
    let _ = download(&list, &output, &[]).success();
    let refused = clipdata().args(["retry", &output, "--kinds", "http_404,timout"]).run().expect_code(2);
    assert!(refused.stderr.contains("got `timout`") && refused.stderr.contains("timeout"), "{refused}");
}

#[test]
fn lists_are_taken_as_img2dataset_takes_them_and_two_are_refused() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 2);
    let output = path(&folder, "out");
    let fixed = ["--output_folder", &output, "--allow-private-addresses", "--enable_wandb", "True"];
    let finished = clipdata().arg("--url_list").arg(&list).args(fixed).run().success();
    assert!(finished.stderr.contains("no wandb"), "{finished}");
    let two = clipdata().arg("download").arg(&list).arg(&list).args(fixed).run().expect_code(2);
    assert!(two.stderr.contains("hint: put a glob in quotes"), "{two}");
}

#[test]
fn failures_that_are_not_tried_again_keep_their_status() {
    let folder = TempDir::new().unwrap();
    let (server, list) = served(&folder, 3);
    let output = path(&folder, "out");
    for (name, status) in [("/0.jpg", 503), ("/1.jpg", 404), ("/2.jpg", 500)] {
        server.route(name, Behaviour::Status(status));
    }
    let _ = download(&list, &output, &[]).expect_code(1);
    server.route("/0.jpg", jpeg(0));
    server.route("/2.jpg", jpeg(2));
    let retry = |kinds: &str| {
        let fixed = ["retry", &output, "--allow-private-addresses", "--json", "--kinds", kinds];
        summary(&clipdata().args(fixed).run().success())
    };
    assert_eq!(retry("http_503")["failures_by_kind"], json!({"http_404": 1, "http_500": 1}));
    let second = retry("http_500");
    assert_eq!((&second["successes"], &second["failures_by_kind"]), (&json!(2), &json!({"http_404": 1})), "{second}");
    let gone = clipdata().args(["retry", "no/such/folder"]).run().expect_code(2);
    assert!(gone.stderr.contains("there is no folder `no/such/folder`"), "{gone}");
}

#[test]
fn lists_that_changed_are_told_with_what_helps() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 4);
    let output = path(&folder, "out");
    let _ = download(&list, &output, &[]).success();
    let rows = fs::read_to_string(&list).unwrap();
    // A list that has grown goes on where its last shard is made anew.
    fs::write(&list, format!("{rows}{rows}")).unwrap();
    let grown = download(&list, &output, &[]).expect_code(2);
    assert!(grown.stderr.contains("has only grown, remove shard 00001"), "{grown}");
    fs::remove_file(Path::new(&output).join("00001_stats.json")).unwrap();
    assert_eq!(summary(&download(&list, &output, &[]).success())["count"], 8);
    let options = download(&list, &output, &["--image-size", "99"]).expect_code(2);
    assert!(options.stderr.contains("hint: go on with the same options") && !options.stderr.contains("extend"));
    // Nothing is deleted for a list without rows.
    let before = files(&output);
    let zero = folder.path().join("zero.txt");
    fs::write(&zero, "").unwrap();
    let empty = download(&zero, &output, &["--incremental-mode", "overwrite"]).expect_code(2);
    assert!(empty.stderr.contains("no rows, and nothing is deleted"), "{empty}");
    assert_eq!(files(&output), before);
    fs::write(&list, rows.replace("picture 0\t", "")).unwrap();
    let bare = folder.path().join("bare.txt");
    fs::write(&bare, rows.lines().map(|row| format!("{}\n", row.split('\t').nth(1).unwrap())).collect::<String>())
        .unwrap();
    let mixed = download(&bare, &output, &["--incremental-mode", "extend"]).expect_code(2);
    assert!(mixed.stderr.contains("has_captions was true and is false"), "{mixed}");
    fs::write(Path::new(&output).join("manifest.json"), "{").unwrap();
    let damaged = download(&list, &output, &[]).expect_code(2);
    assert!(damaged.stderr.contains("hint: it says how the shards beside it were made"), "{damaged}");
}

#[test]
fn what_is_not_whole_is_not_counted_and_no_success() {
    let folder = TempDir::new().unwrap();
    let (_server, list) = served(&folder, 6);
    let output = path(&folder, "out");
    let _ = download(&list, &output, &[]).success();
    let merge = |code: i32| clipdata().args(["merge-stats", &output, "--json"]).run().expect_code(code);
    assert_eq!(merge(0).json_data("totals")[0]["count"], 6);
    fs::remove_file(Path::new(&output).join("00001.tar")).unwrap();
    let finished = merge(1);
    let totals = &finished.json_data("totals")[0];
    assert_eq!((&totals["count"], &totals["damaged"], &totals["missing"]), (&json!(3), &json!(1), &json!([1])));
    assert!(finished.stderr.contains("shard `00001` is not counted: `00001.tar` is missing"), "{finished}");
    let manifest = Path::new(&output).join("manifest.json");
    let mut unfinished: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    unfinished.as_object_mut().unwrap().remove("shards");
    fs::write(&manifest, unfinished.to_string()).unwrap();
    fs::remove_file(Path::new(&output).join("00001_stats.json")).unwrap();
    let _ = merge(1);
}
