//! `clipdata ls`, `head`, `cat` and `bench`: what is in shards, and that no shard that was cut is taken for a whole one, wherever
//! it is read from.

use std::fs;
use std::time::SystemTime;

use serde_json::Value;
use support::{Behaviour, Command, Finished, Format, S3, Server, picture, tarball};
use tempfile::TempDir;

use crate::clipdata;

const SAMPLES: u32 = 10;

/// Ten samples, whole.
fn shard() -> Vec<u8> {
    tarball((0..SAMPLES).flat_map(|i| {
        let jpeg = picture(i, 60, 40, Format::Jpeg);
        [(format!("{i:04}.jpg"), jpeg), (format!("{i:04}.txt"), format!("picture {i}").into_bytes())]
    }))
}

/// Where the header of a member stands.
fn header(shard: &[u8], name: &str) -> usize {
    let at = shard.chunks(512).position(|block| block.starts_with(name.as_bytes()));
    at.unwrap_or_else(|| panic!("no {name}")) * 512
}

/// Reference/loader.md's failure matrix: what of the shard comes, what is said of it, and how many samples are told.
fn cuts() -> Vec<(&'static str, Vec<u8>, &'static str, u64)> {
    let whole = shard();
    let third = header(&whole, "0003.jpg");
    let mut damaged = whole.clone();
    damaged[third + 150] ^= 1;
    let cut = |length: usize| whole[..length].to_vec();
    vec![
        ("at a member boundary", cut(third), "ends without the end marker", 3),
        ("between jpg and txt", cut(header(&whole, "0003.txt")), "ends without the end marker", 3),
        ("within a header", cut(third + 100), "cut within a header", 3),
        ("within data", cut(third + 600), "cut within a member's content", 3),
        ("a damaged header", damaged, "checksum", 3),
        ("two tars in one", [&whole[..], &whole[..]].concat(), "more than zeros follows", 10),
        ("nothing at all", Vec::new(), "ends without the end marker", 0),
        ("no end marker", cut(header(&whole, "0009.txt") + 1024), "ends without the end marker", 10),
    ]
}

fn ls(spec: &str) -> Command {
    clipdata().args(["ls", spec, "--json"])
}

/// The one shard is told as incomplete, for this reason, after so many samples.
fn expect_incomplete(finished: Finished, context: &str, reason: &str, samples: u64) {
    let finished = finished.expect_code(1);
    let shard = finished.json_data("shard").pop().unwrap();
    assert_eq!(shard["complete"], false, "{context}: {finished}");
    assert!(shard["reason"].as_str().unwrap().contains(reason), "{context}: expected `{reason}` in {shard}");
    assert_eq!(shard["samples"], samples, "{context}: {shard}");
    let summary = finished.json_data("summary").pop().unwrap();
    assert_eq!((&summary["samples"], &summary["shards_incomplete"]), (&samples.into(), &1.into()), "{context}");
    assert_eq!(finished.json_data("sample").len() as u64, samples, "{context}");
}

#[test]
fn a_cut_file_is_incomplete() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    for (context, bytes, reason, samples) in cuts() {
        fs::write(&path, bytes).unwrap();
        for scheme in ["", "file:"] {
            expect_incomplete(ls(&format!("{scheme}{}", path.display())).run(), context, reason, samples);
        }
    }
}

#[test]
fn a_cut_shard_is_incomplete_over_http_though_its_length_is_as_announced() {
    for (context, bytes, reason, samples) in cuts() {
        let server = Server::start([("/0.tar", Behaviour::Ok(bytes, "application/x-tar"))]);
        expect_incomplete(ls(&server.url("/0.tar")).run(), context, reason, samples);
    }
}

#[test]
fn a_cut_shard_is_incomplete_on_s3() {
    let s3 = S3::start();
    for (context, bytes, reason, samples) in cuts() {
        s3.put("data/0.tar", &bytes, SystemTime::now());
        let command = s3.environment().iter().fold(ls("s3://bucket/data/0.tar"), |c, (name, value)| c.env(name, value));
        expect_incomplete(command.run(), context, reason, samples);
    }
}

#[test]
fn a_cut_shard_is_incomplete_from_a_command_that_ends_well() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    for (context, bytes, reason, samples) in cuts() {
        fs::write(&path, bytes).unwrap();
        for command in ["cat FILE", "(cat FILE; exit 7) | cat"] {
            let command = format!("pipe:{}", command.replace("FILE", &path.display().to_string()));
            expect_incomplete(ls(&command).run(), context, reason, samples);
        }
    }
}

#[test]
fn a_command_that_fails_is_incomplete_whatever_it_wrote() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    fs::write(&path, shard()).unwrap();
    for (script, reason, samples) in [
        ("cat FILE; echo no luck >&2; exit 3", "no luck", 10),
        ("cat FILE; exec 1>&-; exit 1", "exit status: 1", 10),
        ("head -c 9000 FILE; exit 1", "exit status: 1", 0),
        ("no-such-command-here", "127", 0),
        ("true", "ends without the end marker", 0),
        ("echo password:; cat FILE", "password:", 0),
    ] {
        let command = format!("pipe:{}", script.replace("FILE", &path.display().to_string()));
        let finished = ls(&command).run().expect_code(1);
        let shard = finished.json_data("shard").pop().unwrap();
        assert!(shard["reason"].as_str().unwrap().contains(reason), "{script}: {shard}");
        assert!(shard["samples"].as_u64().unwrap() >= samples, "{script}: {shard}");
    }
}

#[test]
fn bodies_that_break_off_go_on_where_the_server_can_and_are_incomplete_where_not() {
    let whole = shard();
    let tagged = |sent| Box::new(Behaviour::Tagged { body: whole.clone(), tag: "\"1\"", sent });
    let server = Server::start([
        ("/on.tar", Behaviour::Then(3, tagged(4000), tagged(usize::MAX))),
        ("/half.tar", Behaviour::HalfBody(whole.clone())),
    ]);
    let finished = ls(&server.url("/on.tar")).run().success();
    assert_eq!(finished.json_data("summary")[0]["samples"], SAMPLES);
    assert!(server.hits("/on.tar") >= 4);
    let finished = ls(&server.url("/half.tar")).run().expect_code(1);
    assert!(finished.json_data("shard")[0]["reason"].as_str().unwrap().contains("body fails after"), "{finished}");
}

#[test]
fn s3_bodies_that_break_off_go_on() {
    use support::s3::{Fault, Operation};
    let s3 = S3::start();
    s3.put("0.tar", &shard(), SystemTime::now());
    s3.fail(Operation::Get, "0.tar", 2, Fault::HalfAnswer);
    let command = s3.environment().iter().fold(ls("s3://bucket/0.tar"), |c, (name, value)| c.env(name, value));
    let finished = command.run().success();
    assert_eq!(finished.json_data("summary")[0]["samples"], SAMPLES, "{finished}");
}

#[test]
fn a_missing_end_marker_is_accepted_where_it_is_counted_or_asked_for() {
    let folder = TempDir::new().unwrap();
    let (path, whole) = (folder.path().join("0.tar"), shard());
    fs::write(&path, &whole[..header(&whole, "0009.txt") + 1024]).unwrap();
    let spec = path.display().to_string();
    let _ = ls(&spec).run().expect_code(1);
    let _ = ls(&spec).arg("--accept-missing-end").run().success();
    fs::write(folder.path().join("sizes.json"), r#"{"0.tar": 10}"#).unwrap();
    let finished = ls(&spec).run().success();
    assert_eq!(finished.json_data("summary")[0]["shards_complete"], 1);
    fs::write(folder.path().join("sizes.json"), r#"{"0.tar": 11}"#).unwrap();
    let _ = ls(&spec).run().expect_code(1);
}

#[test]
fn samples_are_listed_with_their_parts() {
    let folder = TempDir::new().unwrap();
    for i in 0..2 {
        fs::write(folder.path().join(format!("{i}.tar")), shard()).unwrap();
    }
    let spec = folder.path().join("{0..1}.tar").display().to_string();
    let finished = ls(&spec).run().success();
    let sample: Value = finished.json_data("sample").remove(3);
    assert_eq!((sample["key"].as_str(), sample["caption"].as_str()), (Some("0003"), Some("picture 3")));
    assert_eq!(sample["extensions"], serde_json::json!(["jpg", "txt"]));
    assert_eq!(sample["sizes"][1], "picture 3".len());
    let text = clipdata().args(["ls", &spec]).run().success().stdout;
    assert!(text.contains("0003  jpg ") && text.ends_with("20 samples; shards: 2 complete, 0 incomplete\n"), "{text}");
    let two = ["0.tar", "1.tar"].map(|name| folder.path().join(name).display().to_string());
    assert_eq!(clipdata().arg("ls").args(&two).run().success().stdout, text, "a pattern that the shell expanded");
    let quiet = clipdata().args(["ls", &spec, "--quiet"]).run().success().stdout;
    assert_eq!(quiet.lines().count(), 3, "{quiet}");
    let head = clipdata().args(["head", &spec, "-n", "12", "--json"]).run().success();
    assert_eq!(head.json_data("sample").len(), 12);
}

#[test]
fn one_member_goes_to_standard_output() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    fs::write(&path, shard()).unwrap();
    let cat = |member: &str| clipdata().arg("cat").arg(&path).arg(member);
    assert_eq!(cat("0007.txt").run().success().stdout, "picture 7");
    for (member, expected) in [("0007.png", "it has: jpg, txt"), ("7.txt", "clipdata ls"), ("readme", "an extension")] {
        let finished = cat(member).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{member}: {finished}");
    }
}

#[test]
fn head_and_cat_tell_of_shards_that_are_not_whole() {
    let folder = TempDir::new().unwrap();
    let (path, whole) = (folder.path().join("0.tar"), shard());
    fs::write(&path, &whole[..header(&whole, "0003.jpg")]).unwrap();
    let spec = path.display().to_string();
    let cut = "0.tar: INCOMPLETE after 3 samples: ends without the end marker";
    let head = clipdata().args(["head", &spec]).run().expect_code(1);
    assert!(head.stdout.lines().count() == 3 && head.stderr.contains(cut), "{head}");
    let head = clipdata().args(["head", &spec, "--json"]).run().expect_code(1);
    assert_eq!((head.json_data("sample").len(), &head.json_data("shard")[0]["complete"]), (3, &false.into()), "{head}");
    for good in [&["head", &spec, "-n", "3"][..], &["head", &spec, "--accept-missing-end"], &["cat", &spec, "0002.txt"]]
    {
        let _ = clipdata().args(good).run().success();
    }
    let cat = clipdata().args(["cat", &spec, "0003.txt"]).run().expect_code(2);
    assert!(cat.stderr.contains("no sample `0003` among the 3 samples read") && cat.stderr.contains(cut), "{cat}");
    fs::write(&path, [0; 1024]).unwrap();
    let empty = clipdata().args(["head", &spec]).run().expect_code(1);
    assert!(empty.stderr.contains("no sample in"), "{empty}");
}

#[test]
fn what_a_shard_has_beside_samples_and_what_was_recorded_of_it_is_told() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    fs::write(&path, tarball([("\u{1b}[31m.txt".to_owned(), b"red".to_vec()), ("README".to_owned(), Vec::new())]))
        .unwrap();
    fs::write(folder.path().join("sizes.json"), r#"{"0.tar": 7}"#).unwrap();
    let spec = path.display().to_string();
    let text = clipdata().args(["ls", &spec]).run().success().stdout;
    assert!(text.starts_with("\\u{1b}[31m  txt 3 B  red\n"), "a terminal would turn red: {text}");
    let said = "0.tar: complete, 1 sample, but 7 in its sizes.json or _stats.json; left out: 1 member that are";
    assert!(text.contains(said), "{text}");
    let shard = ls(&spec).run().success().json_data("shard").remove(0);
    assert_eq!((&shard["samples_recorded"], &shard["members_left_out"]), (&7.into(), &1.into()), "{shard}");
    fs::write(folder.path().join("sizes.json"), "{").unwrap();
    let broken = clipdata().args(["ls", &spec]).run().success();
    assert!(broken.stderr.contains("sizes.json`: EOF") && broken.stdout.contains("0.tar: complete"), "{broken}");
}

#[test]
fn folders_and_patterns_in_place_of_shards_are_refused_with_advice() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("00000.tar"), shard()).unwrap();
    fs::write(folder.path().join("00001.tar"), shard()).unwrap();
    let root = folder.path().display().to_string();
    for arguments in [vec!["ls", &root], vec!["head", &root], vec!["cat", &root, "0.txt"], vec!["bench", &root]] {
        let finished = clipdata().args(&arguments).run().expect_code(2);
        let hint = format!("hint: braces name its shards: {root}/{{00000..00001}}.tar");
        assert!(
            finished.stderr.contains("is a folder") && finished.stderr.contains(&hint),
            "{arguments:?}: {finished}"
        );
    }
    let pattern = clipdata().args(["ls", &format!("{root}/*.tar")]).run().expect_code(2);
    assert!(pattern.stderr.contains("`*` and `?` are not expanded"), "{pattern}");
}

#[test]
fn a_reader_who_has_had_enough_ends_the_listing_without_a_word() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    fs::write(&path, shard()).unwrap();
    for verb in [vec!["ls"], vec!["ls", "--json"], vec!["head"]] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let finished = clipdata().args(&verb).arg(&path).stdout(write).run().expect_code(141);
        assert_eq!(finished.stderr, "", "{verb:?}");
    }
}

#[test]
fn a_bench_measures_every_stage_and_the_same_batches() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("0.tar");
    fs::write(&path, shard()).unwrap();
    let bench = |workers: &str| {
        let fixed =
            ["--samples", "64", "--seconds", "60", "--batch-size", "8", "--image-size", "32", "--json", "--workers"];
        let finished = clipdata().arg("bench").arg(&path).args(fixed).arg(workers).run().success();
        finished.json_data("summary").pop().unwrap()
    };
    let (one, three) = (bench("1"), bench("3"));
    assert_eq!(one["samples"], 64);
    assert_eq!(one["checksum"], three["checksum"], "threads must not change what is loaded");
    for stage in ["read_ms", "decode_ms", "transform_ms", "tokenize_ms", "assemble_ms", "samples_per_second"] {
        assert!(one[stage].as_f64().unwrap() > 0.0, "{stage}: {one}");
    }
    assert!(
        ["training", "reading", "decoding", "transforming", "tokenizing"]
            .contains(&one["bottleneck"].as_str().unwrap())
    );
    let started = std::time::Instant::now();
    let stalled = clipdata().args(["bench", "pipe:sleep 600", "--seconds", "1", "--json"]).run().success();
    assert_eq!(stalled.json_data("summary")[0]["samples"], 0);
    assert!(started.elapsed().as_secs() < 60, "the source would have been waited for");
    let missing = clipdata().args(["bench", "nowhere/{0..3}.tar"]).run().expect_code(2);
    assert!(missing.stderr.contains("cannot open `nowhere/"), "{missing}");
}
