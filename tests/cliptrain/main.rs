//! `cliptrain` as a user runs it: what it refuses, and what a tiny run leaves behind.

mod beginning;
mod evaluation;
mod finetune;
mod going_on;
mod telling;
mod urls;
mod zoo;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Command, Format, picture, tarball};
use tempfile::TempDir;

fn cliptrain() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cliptrain"))
}

/// A model small enough to train in a test, with the CLIP tokenizer's vocabulary.
fn model(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("model.json");
    let config = r#"{"model_cfg": {"embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}}}"#;
    fs::write(&path, config).unwrap();
    path
}

/// Two shards of eight pairs each, with their sizes beside them; returns the specification.
fn shards(folder: &TempDir) -> String {
    let root = folder.path().join("shards");
    fs::create_dir(&root).unwrap();
    for shard in 0..2u32 {
        let members = (0..8u32).flat_map(|i| {
            let key = format!("{shard:05}{i:04}");
            let jpeg = picture(shard * 8 + i, 24, 20, Format::Jpeg);
            [(format!("{key}.jpg"), jpeg), (format!("{key}.txt"), format!("picture {i}").into_bytes())]
        });
        fs::write(root.join(format!("{shard:05}.tar")), tarball(members)).unwrap();
    }
    fs::write(root.join("sizes.json"), r#"{"00000.tar": 8, "00001.tar": 8}"#).unwrap();
    root.join("{00000..00001}.tar").display().to_string()
}

/// Two class folders with one picture each.
fn class_folders(folder: &TempDir) -> PathBuf {
    let root = folder.path().join("classes");
    for (seed, name) in ["red_fox", "zebra"].into_iter().enumerate() {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.jpg"), picture(seed as u32, 24, 24, Format::Jpeg)).unwrap();
    }
    root
}

fn train(folder: &TempDir, spec: &str, name: &str) -> Command {
    let fixed = ["--batch-size", "4", "--epochs", "2", "--warmup", "2", "--log-every-n-steps", "1", "--workers", "2"];
    cliptrain()
        .args(["--train-data", spec, "--name", name, "--model"])
        .arg(model(folder))
        .arg("--logs")
        .arg(folder.path().join("logs"))
        .args(fixed)
}

fn weights(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("logs").join(name).join("checkpoints/epoch_2")
}

#[test]
fn a_tiny_run_leaves_log_checkpoints_and_results() {
    let folder = TempDir::new().unwrap();
    let (spec, classes) = (shards(&folder), class_folders(&folder));
    let finished = train(&folder, &spec, "run").arg("--zeroshot-data").arg(&classes).arg("--json").run().success();
    let summary = finished.json_data("summary").pop().unwrap();
    assert_eq!(summary["train"]["steps"], 8, "{summary}");
    assert_eq!(summary["zero_shot"][0]["samples"], 2, "{summary}");
    let run = folder.path().join("logs/run");
    let log = fs::read_to_string(run.join("out.log")).unwrap();
    assert!(log.contains("Train Epoch: 1 [16/16 (100%)]"), "{log}");
    let results = fs::read_to_string(run.join("checkpoints/results.jsonl")).unwrap();
    assert!(results.contains("zeroshot-top1"), "{results}");
    let params = fs::read_to_string(run.join("params.txt")).unwrap();
    assert!(params.contains("\nlr: 0.0005\n") && params.contains("\nbatch_size: 4\n"), "{params}");
    assert!(params.lines().is_sorted() && params.contains("\nbeta2: 0.999\n"), "{params}");
    for file in ["open_clip_model.safetensors", "open_clip_config.json", "optimizer.safetensors", "state.json"] {
        assert!(weights(&folder, "run").join(file).is_file(), "{file}");
    }
    let evaluation = cliptrain().arg("--pretrained").arg(weights(&folder, "run")).arg("--zeroshot-data").arg(&classes);
    let other = cliptrain().arg("--pretrained").arg(weights(&folder, "run")).args(["--model", "tiny-32"]);
    let refused = other.arg("--zeroshot-data").arg(&classes).run().expect_code(2);
    assert!(refused.stderr.contains("contradict each other: embed_dim is 16 there"), "{refused}");
    let again = evaluation.arg("--json").run().success().json_data("summary").pop().unwrap();
    assert_eq!(again["zero_shot"], summary["zero_shot"]);
}

#[test]
fn tables_and_synthetic_data_are_trained_on_and_the_position_is_saved() {
    let folder = TempDir::new().unwrap();
    let mut rows = "picture,words\n".to_owned();
    for i in 0..8u32 {
        let path = folder.path().join(format!("{i}.jpg"));
        fs::write(&path, picture(i, 24, 20, Format::Jpeg)).unwrap();
        rows.push_str(&format!("{},number {i}\n", path.display()));
    }
    let table = folder.path().join("table.csv");
    fs::write(&table, rows).unwrap();
    let columns = ["--csv-separator", ",", "--csv-img-key", "picture", "--csv-caption-key", "words"];
    let command = train(&folder, &table.display().to_string(), "table").args(columns).args(["--resize", "exact"]);
    let summary = command.arg("--json").run().success().json_data("summary").pop().unwrap();
    assert_eq!((&summary["train"]["steps"], &summary["loader"]["repeated"]), (&4.into(), &0.into()), "{summary}");
    let position = fs::read_to_string(weights(&folder, "table").join("loader.json")).unwrap();
    assert!(position.contains(r#""version":1"#) && position.contains(r#""epoch":2"#), "{position}");
    let missing =
        train(&folder, &table.display().to_string(), "bad").args(["--csv-separator", ","]).run().expect_code(2);
    assert!(missing.stderr.contains("`filepath`") && missing.stderr.contains("picture, words"), "{missing}");
    let synthetic = train(&folder, "", "none").args(["--dataset-type", "synthetic", "--train-num-samples", "8"]);
    let _ = synthetic.run().success();
}

#[test]
fn what_the_data_flags_say_is_heard() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let second = folder.path().join("shards/00001.tar");
    fs::write(&second, &fs::read(&second).unwrap()[..9000]).unwrap();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--on-shard-error", "fail"], 2, "00001.tar"),
        (&["--max-bad-shards", "0"], 2, "at most 0"),
        (&["--caption-key", "text"], 2, "extensions seen: "),
        (&["--train-data-upsampling-factors", "2"], 2, "drawn with replacement"),
        (&["--aug-cfg", "use_timm=True"], 2, "timm"),
        (&["--lanes", "0"], 2, "lanes"),
        (&["--dataset-resampled", "--dataset-epochless"], 2, "--dataset-epochless"),
    ];
    for (i, (flags, code, expected)) in cases.into_iter().enumerate() {
        let finished = train(&folder, &spec, &format!("run-{i}")).args(flags).run().expect_code(code);
        assert!(finished.stderr.contains(expected), "{flags:?}: {finished}");
    }
    for (i, flags) in [
        &["--dataset-resampled", "--train-data-upsampling-factors", "2", "--open-shards", "2"][..],
        &["--dataset-epochless", "--shuffle-buffer", "0"],
        &["--aug-cfg", "scale=(0.5,1.0)", "color_jitter=(0.3,0.3,0.3,0.08)", "gray_scale_prob=0.2"],
    ]
    .into_iter()
    .enumerate()
    {
        let _ = train(&folder, &spec, &format!("good-{i}")).args(flags).run().success();
    }
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    for name in ["one", "two"] {
        let _ = train(&folder, &spec, name).run().success();
    }
    let bytes = |name: &str| fs::read(weights(&folder, name).join("open_clip_model.safetensors")).unwrap();
    assert!(bytes("one") == bytes("two"), "two runs with one seed differ");
}

#[test]
fn a_cut_shard_is_counted_and_its_whole_samples_are_used() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let second = folder.path().join("shards/00001.tar");
    let bytes = fs::read(&second).unwrap();
    fs::write(&second, &bytes[..bytes.len() / 2]).unwrap();
    let finished = train(&folder, &spec, "cut").run().success();
    let log = fs::read_to_string(folder.path().join("logs/cut/out.log")).unwrap();
    assert!(finished.stderr.contains("00001.tar"), "{}", finished.stderr);
    let counted = log.lines().last().unwrap();
    assert!(counted.contains("shards_incomplete\":{\""), "{counted}");
}

#[test]
fn what_cannot_be_done_is_refused_before_any_work() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let (classes, names) = (class_folders(&folder), folder.path().join("names.txt"));
    fs::write(&names, "zebra\nred fox\nzebra\n").unwrap();
    let nowhere = Path::new("nowhere").join("weights");
    let cases: [(Command, &str); 7] = [
        (cliptrain(), "nothing to do"),
        (cliptrain().args(["--train-data", &spec, "--model", "ViT-B-23"]), "ViT-B-32"),
        (cliptrain().args(["--train-data", "pipe:cat x -", "--model", "ViT-B-32"]), "--dataset-type"),
        (train(&folder, "missing/{0..3}.tar", "missing"), "missing/"),
        (train(&folder, &spec, "lr").args(["--lr", "-1"]), "--lr"),
        (
            train(&folder, &spec, "names")
                .arg("--zeroshot-data")
                .arg(&classes)
                .arg("--zeroshot-classnames")
                .arg(&names),
            "zebra",
        ),
        (cliptrain().arg("--pretrained").arg(&nowhere).arg("--zeroshot-data").arg(&classes), "nowhere"),
    ];
    for (command, word) in cases {
        let finished = command.run().expect_code(2);
        assert!(finished.stderr.contains(word), "expected `{word}` in: {}", finished.stderr);
        assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    }
}

#[test]
fn an_interrupt_ends_a_run_whose_source_stalls() {
    let folder = TempDir::new().unwrap();
    let started = folder.path().join("started");
    let spec = format!("pipe:touch {}; sleep 600", started.display());
    let run = train(&folder, &spec, "run").args(["--dataset-type", "webdataset", "--train-num-samples", "8"]);
    let mut child = run.spawn();
    while !started.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its source was opened");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn weights_that_are_not_numbers_have_no_score() {
    let folder = TempDir::new().unwrap();
    let (spec, classes) = (shards(&folder), class_folders(&folder));
    let _ = train(&folder, &spec, "run").run().success();
    let path = weights(&folder, "run").join("open_clip_model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - (1 << 16)..].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let evaluation = cliptrain().arg("--pretrained").arg(weights(&folder, "run")).arg("--zeroshot-data").arg(&classes);
    let finished = evaluation.run().expect_code(2);
    assert!(finished.stderr.contains("not numbers"), "{finished}");
    let image = folder.path().join("a.png");
    fs::write(&image, support::picture(1, 30, 30, support::Format::Png)).unwrap();
    for verb in ["encode", "embed"] {
        let output = folder.path().join(format!("{verb}.safetensors"));
        let image = image.display().to_string();
        let rest: &[&str] = if verb == "encode" { &["--image", &image] } else { &[&spec] };
        let run = cliptrain().arg(verb).args(rest).arg("--pretrained").arg(weights(&folder, "run")).arg("--output");
        let finished = run.arg(&output).run().expect_code(2);
        assert!(finished.stderr.contains("not numbers"), "{verb}: {finished}");
    }
}
