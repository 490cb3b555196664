//! Shards on S3: the same bytes as on a disk, whatever the bucket does meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::s3::{Fault, Operation};
use support::{Behaviour, Command, Finished, Format, S3, Server, picture};
use tempfile::TempDir;

use crate::clipdata;

/// Pictures behind a server, their list, and a bucket.
struct Scene {
    folder: TempDir,
    server: Server,
    list: PathBuf,
    s3: S3,
}

const OUT: &str = "s3://bucket/out";

impl Scene {
    fn new(pictures: u32) -> Self {
        let jpeg = |seed| Behaviour::Ok(picture(seed, 90, 60, Format::Jpeg), "image/jpeg");
        Self::of((0..pictures).map(jpeg))
    }

    fn of(pictures: impl Iterator<Item = Behaviour>) -> Self {
        let folder = TempDir::new().unwrap();
        let routes: Vec<_> = pictures.enumerate().map(|(i, behaviour)| (format!("/{i}.jpg"), behaviour)).collect();
        let count = routes.len();
        let server = Server::start(routes);
        let rows: String = (0..count).map(|i| format!("picture {i}\t{}\n", server.url(&format!("/{i}.jpg")))).collect();
        let list = folder.path().join("list.tsv");
        fs::write(&list, rows).unwrap();
        Self { folder, server, list, s3: S3::start() }
    }

    fn clipdata(&self) -> Command {
        self.s3.environment().iter().fold(clipdata(), |command, (name, value)| command.env(name, value))
    }

    fn command(&self, list: &Path, output: &str, more: &[&str]) -> Command {
        let fixed = ["--allow-private-addresses", "--json", "--number-sample-per-shard", "3", "--deterministic"];
        self.clipdata().arg("download").arg(list).args(["--output-folder", output]).args(fixed).args(more)
    }

    fn download(&self, more: &[&str]) -> Finished {
        self.command(&self.list, OUT, more).run()
    }

    /// What the same command writes into a folder of this machine.
    fn expected(&self, more: &[&str]) -> BTreeMap<String, Vec<u8>> {
        let output = self.folder.path().join("local");
        let _ = self.command(&self.list, &output.display().to_string(), more).run().success();
        let entries = fs::read_dir(&output).unwrap().map(|entry| entry.unwrap());
        entries.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    }

    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.s3.objects("out/")
    }

    /// Panics unless the bucket holds just what a folder of this machine would.
    fn expect_whole(&self, more: &[&str]) {
        let (found, expected) = (self.objects(), self.expected(more));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let differing: Vec<_> = expected.keys().filter(|name| found[*name] != expected[*name]).collect();
        assert!(differing.is_empty(), "{differing:?} differ");
        assert!(self.s3.open_uploads().is_empty());
    }
}

fn summary(finished: &Finished) -> Value {
    finished.json_data("summary").pop().expect("the last line is a summary")
}

/// Pictures that no encoder can make small, 40 of which fill more than a part.
fn noise(seed: u64) -> Behaviour {
    let mut state = seed + 1;
    let image = image::RgbImage::from_fn(500, 400, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bytes = state.to_be_bytes();
        image::Rgb([bytes[0], bytes[1], bytes[2]])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    image.write_to(&mut file, image::ImageFormat::Jpeg).unwrap();
    Behaviour::Ok(file.into_inner(), "image/jpeg")
}

/// One shard of two parts.
const LARGE: [&str; 6] = ["--number-sample-per-shard", "40", "--resize-mode", "no", "--encode-quality", "100"];

fn large() -> Scene {
    Scene::of((0..40).map(noise))
}

impl Scene {
    fn download_large(&self) -> Finished {
        let fixed = ["--allow-private-addresses", "--json", "--deterministic"];
        let command = self.clipdata().arg("download").arg(&self.list).args(["--output-folder", OUT]);
        command.args(fixed).args(LARGE).run()
    }

    fn expected_large(&self) -> Vec<u8> {
        let output = self.folder.path().join("local");
        let fixed = ["--allow-private-addresses", "--deterministic", "--output-folder"];
        let command = clipdata().arg("download").arg(&self.list).args(fixed).arg(&output);
        let _ = command.args(LARGE).run().success();
        fs::read(output.join("00000.tar")).unwrap()
    }
}

#[test]
fn shards_are_those_of_a_local_folder() {
    let scene = Scene::new(7);
    let finished = scene.download(&[]).success();
    assert_eq!(summary(&finished)["shards"], 3);
    scene.expect_whole(&[]);
    let again = summary(&scene.download(&[]).success());
    assert_eq!((&again["shards_already_done"], &again["shards_elsewhere"]), (&json!(3), &json!(0)), "{again}");
}

#[test]
fn a_large_shard_goes_in_parts_and_is_whole() {
    let scene = large();
    let _ = scene.download_large().success();
    assert!(scene.s3.count(Operation::Part, "00000.tar") >= 2);
    assert!(scene.objects()["00000.tar"] == scene.expected_large());
    assert!(scene.s3.open_uploads().is_empty());
}

#[test]
fn faults_within_an_upload_in_parts_are_ridden_out() {
    let scene = large();
    scene.s3.fail(Operation::Begin, ".tar", 1, Fault::Error(500, "InternalError"));
    scene.s3.fail(Operation::Part, ".tar", 1, Fault::ResetInBody);
    scene.s3.fail(Operation::Part, ".tar", 1, Fault::LostAnswer);
    scene.s3.fail(Operation::Complete, ".tar", 1, Fault::ErrorIn200);
    scene.s3.fail(Operation::Complete, ".tar", 1, Fault::LostAnswer);
    let _ = scene.download_large().success();
    assert!(scene.objects()["00000.tar"] == scene.expected_large());
    assert!(scene.s3.open_uploads().is_empty());
}

#[test]
fn an_upload_that_is_refused_leaves_no_parts_and_the_same_command_completes_it() {
    let scene = large();
    scene.s3.fail(Operation::Complete, ".tar", usize::MAX, Fault::Error(403, "AccessDenied"));
    let finished = scene.download_large().expect_code(2);
    assert!(finished.stderr.contains("s3://bucket/out/00000.tar"), "{finished}");
    assert!(scene.s3.open_uploads().is_empty());
    assert_eq!(scene.s3.count(Operation::Abort, ".tar"), 1);
    let names: Vec<_> = scene.objects().into_keys().collect();
    assert_eq!(names, ["manifest.json", "sizes.json"], "{finished}");
    scene.s3.heal();
    let _ = scene.download_large().success();
    assert!(scene.objects()["00000.tar"] == scene.expected_large());
}

#[test]
fn transient_faults_are_ridden_out() {
    let scene = Scene::new(4);
    for (operation, key_end, fault) in [
        (Operation::Put, "00000.tar", Fault::Error(500, "InternalError")),
        (Operation::Put, "00000.parquet", Fault::ResetInBody),
        (Operation::Put, "00000_stats.json", Fault::LostAnswer),
        (Operation::Put, "00001.tar", Fault::Error(503, "SlowDown")),
        (Operation::Put, "00001_stats.json", Fault::ResetBeforeAnswer),
        (Operation::Put, "manifest.json", Fault::Error(400, "RequestTimeout")),
        (Operation::Get, "00000_stats.json", Fault::HalfAnswer),
        (Operation::List, "out/", Fault::Error(503, "SlowDown")),
        (Operation::Delete, "00000.claim", Fault::LostAnswer),
    ] {
        scene.s3.fail(operation, key_end, 1, fault);
    }
    // More than the SDK tries by itself.
    scene.s3.fail(Operation::Put, "00001.parquet", 4, Fault::Error(503, "SlowDown"));
    let _ = scene.download(&[]).success();
    scene.expect_whole(&[]);
}

#[test]
fn what_is_refused_for_good_ends_the_run_and_is_not_marked_as_done() {
    for refused in ["00001.tar", "00001.parquet", "00001_stats.json"] {
        let scene = Scene::new(9);
        scene.s3.fail(Operation::Put, refused, usize::MAX, Fault::Error(403, "AccessDenied"));
        let finished = scene.download(&[]).expect_code(2);
        let (object, objects) = (format!("s3://bucket/out/{refused}"), scene.objects());
        assert!(finished.stderr.contains(&object) && finished.stderr.contains("AccessDenied"), "{finished}");
        assert_eq!(scene.s3.count(Operation::Put, refused), 1, "a refusal is no reason to try again");
        assert!(!objects.contains_key("00001_stats.json"));
        for shard in objects.keys().filter_map(|name| name.strip_suffix("_stats.json")) {
            assert!([".tar", ".parquet"].iter().all(|end| objects.contains_key(&format!("{shard}{end}"))));
        }
        assert!(!objects.keys().any(|name| name.ends_with(".claim")), "{:?}", objects.keys());
        scene.s3.heal();
        let _ = scene.download(&[]).success();
        scene.expect_whole(&[]);
    }
}

#[test]
fn a_shard_that_another_run_has_claimed_is_left_to_it() {
    let scene = Scene::new(6);
    scene.s3.put("out/00001.claim", b"another run", SystemTime::now());
    let found = summary(&scene.download(&[]).success());
    assert_eq!((&found["shards"], &found["shards_elsewhere"]), (&json!(1), &json!(1)), "{found}");
    assert!(!scene.objects().contains_key("00001.tar"));
    assert_eq!(scene.objects()["00001.claim"], b"another run");
}

#[test]
fn a_claim_of_long_ago_is_taken_over() {
    let scene = Scene::new(6);
    let long_ago = SystemTime::now() - Duration::from_secs(7200);
    scene.s3.put("out/00001.claim", b"a run that is gone", long_ago);
    let found = summary(&scene.download(&[]).success());
    assert_eq!((&found["shards"], &found["shards_elsewhere"]), (&json!(2), &json!(0)), "{found}");
    scene.expect_whole(&[]);
}

#[test]
fn a_claim_whose_answer_was_lost_is_ones_own() {
    let scene = Scene::new(6);
    scene.s3.fail(Operation::Put, "00001.claim", 1, Fault::LostAnswer);
    let found = summary(&scene.download(&[]).success());
    assert_eq!((&found["shards"], &found["shards_elsewhere"]), (&json!(2), &json!(0)), "{found}");
    scene.expect_whole(&[]);
}

#[test]
fn a_claim_that_cannot_be_looked_at_is_an_error_and_no_other_runs() {
    let scene = Scene::new(3);
    scene.s3.put("out/00000.claim", b"another run", SystemTime::now());
    scene.s3.fail(Operation::Head, "00000.claim", usize::MAX, Fault::Error(403, "AccessDenied"));
    let finished = scene.download(&[]).expect_code(2);
    assert!(finished.stderr.contains("00000.claim"), "{finished}");
}

#[test]
fn failed_rows_are_tried_again_and_merged() {
    let scene = Scene::new(7);
    scene.server.route("/1.jpg", Behaviour::Status(503));
    assert_eq!(summary(&scene.download(&["--retries", "0"]).success())["successes"], 6);
    scene.server.route("/1.jpg", Behaviour::Ok(picture(1, 90, 60, Format::Jpeg), "image/jpeg"));
    let finished = scene.clipdata().args(["retry", OUT, "--allow-private-addresses", "--json"]).run().success();
    assert_eq!(summary(&finished)["shards"], 1, "{finished}");
    scene.expect_whole(&[]);
}

#[test]
fn lists_of_many_pages_are_read_to_their_end() {
    let scene = Scene::new(14);
    scene.s3.page_size(2);
    let _ = scene.download(&[]).success();
    scene.expect_whole(&[]);
    let finished = scene.clipdata().args(["merge-stats", OUT, "--json"]).run().success();
    let totals = finished.json_data("totals").pop().unwrap();
    assert_eq!((&totals["shards"], &totals["successes"]), (&json!(5), &json!(14)), "{totals}");
}

#[test]
fn shards_are_replaced_or_continued() {
    let scene = Scene::new(4);
    let files = ["--output-format", "files"];
    let _ = scene.download(&files).success();
    assert!(scene.objects().contains_key("00001/000010.jpg"));
    let extended = scene.download(&[&files[..], &["--incremental-mode", "extend"]].concat()).success();
    assert_eq!(summary(&extended)["successes"], 4);
    assert!(scene.objects().contains_key("00003/000030.jpg"));
    scene.s3.put("out/mine.txt", b"mine", SystemTime::now());
    let _ = scene.download(&["--incremental-mode", "overwrite"]).success();
    assert_eq!(scene.objects().remove("mine.txt").unwrap(), b"mine");
    assert!(!scene.objects().keys().any(|name| name.contains('/')), "{:?}", scene.objects().keys());
}

#[test]
fn samples_of_a_try_that_was_cut_off_are_gone() {
    let scene = Scene::new(2);
    scene.s3.put("out/00000/000002.jpg", b"left behind", SystemTime::now());
    let _ = scene.download(&["--output-format", "files"]).success();
    assert!(!scene.objects().contains_key("00000/000002.jpg"));
}

#[test]
fn a_list_is_read_from_the_bucket() {
    let scene = Scene::new(4);
    scene.s3.put("lists/list.tsv", &fs::read(&scene.list).unwrap(), SystemTime::now());
    let _ = scene.command(Path::new("s3://bucket/lists/list.tsv"), OUT, &[]).run().success();
    let from_disk = scene.expected(&[]);
    assert_eq!(scene.objects()["00001.tar"], from_disk["00001.tar"]);
}

#[test]
fn a_run_that_is_interrupted_while_the_bucket_refuses_ends_by_itself() {
    let scene = Scene::new(3);
    scene.s3.fail(Operation::Put, "00000.tar", usize::MAX, Fault::Error(503, "SlowDown"));
    let mut child = scene.command(&scene.list, OUT, &[]).timeout(Duration::from_secs(60)).spawn();
    while scene.s3.count(Operation::Put, "00000.tar") < 4 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(matches!(status.code(), Some(2 | 130)), "{status}: {stderr}");
    // Three tries of the pause that it was in, at the most, and not those of all pauses.
    assert!(scene.s3.count(Operation::Put, "00000.tar") <= 9, "{stderr}");
    assert!(!scene.objects().keys().any(|name| name.starts_with("00000")), "{:?}", scene.objects().keys());
}
