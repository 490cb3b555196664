//! `cliptrain finetune` and `cliptrain interpolate`: from zero-shot to tuned weights, and between.

use std::fs;
use std::path::PathBuf;

use support::{Command, Format, picture, tarball};
use tempfile::TempDir;

use crate::{class_folders, cliptrain, shards, train, weights};

/// Weights that nobody trained well, and class folders with a few pictures each.
fn start(folder: &TempDir) -> PathBuf {
    let spec = shards(folder);
    let _ = train(folder, &spec, "run").args(["--epochs", "2"]).run().success();
    let classes = class_folders(folder);
    for (seed, name) in ["red_fox", "zebra"].into_iter().enumerate() {
        for i in 0..6u32 {
            let jpeg = picture(seed as u32 * 40 + 3, 24 + i, 24, Format::Jpeg);
            fs::write(classes.join(name).join(format!("{i}.jpg")), jpeg).unwrap();
        }
    }
    classes
}

fn finetune(folder: &TempDir, data: &str, name: &str) -> Command {
    let command =
        cliptrain().arg("finetune").arg("--pretrained").arg(weights(folder, "run")).args(["--train-data", data]);
    let command = command.args(["--name", name, "--logs"]).arg(folder.path().join("logs"));
    command.args(["--epochs", "6", "--batch-size", "4", "--warmup", "2", "--lr", "2e-3", "--workers", "2", "--json"])
}

#[test]
fn a_tuned_tower_learns_and_is_between_two_models() {
    let folder = TempDir::new().unwrap();
    let classes = start(&folder).display().to_string();
    let finished = finetune(&folder, &classes, "tuned")
        .args(["--val-data", &classes, "--report-to", "tensorboard"])
        .run()
        .success();
    let steps = finished.json_data("step");
    let loss = |step: &serde_json::Value| step["mean_loss"].as_f64().unwrap();
    assert!(loss(steps.last().unwrap()) < loss(&steps[0]), "{steps:?}");
    let summary = &finished.json_data("summary")[0]["finetune"];
    assert_eq!((&summary["interrupted"], &summary["validation"]["samples"]), (&false.into(), &14.into()), "{summary}");
    assert!(summary["validation"]["top1"].as_f64().unwrap() > 0.5, "{summary}");
    let tuned = folder.path().join("logs/tuned/checkpoints/epoch_6");
    for file in ["open_clip_model.safetensors", "open_clip_config.json", "head.safetensors", "head.json"] {
        assert!(tuned.join(file).is_file(), "{file}");
    }
    let run = folder.path().join("logs/tuned");
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("done: ") && page.contains("zebra"), "the page ends with the run and names classes");
    assert!(fs::read_dir(run.join("tensorboard")).unwrap().count() == 1);
    let output = folder.path().join("wise");
    let between = || cliptrain().arg("interpolate").arg(weights(&folder, "run")).arg(&tuned);
    let flags = ["--alpha", "0:1:0.5", "--zeroshot-data", &classes, "--save", "--json", "--output"];
    let finished = between().args(flags).arg(&output).run().success();
    let lines = finished.json_data("alpha");
    assert_eq!(lines.iter().map(|line| line["alpha"].as_f64().unwrap()).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
    assert_eq!(lines[2]["head-top1"], summary["validation"]["top1"], "{lines:?}");
    assert!(lines.iter().all(|line| line["zeroshot-top1"].as_f64().is_some()));
    assert_eq!(fs::read_to_string(output.join("results.jsonl")).unwrap().lines().count(), 3);
    // The middle is a model like any other, and its head lies beside it.
    let middle = output.join("alpha_0.5");
    assert!(middle.join("head.safetensors").is_file());
    let scores =
        cliptrain().arg("--pretrained").arg(&middle).args(["--zeroshot-data", &classes, "--json"]).run().success();
    assert_eq!(scores.json_data("summary")[0]["zero_shot"][0]["top1"], lines[1]["zeroshot-top1"]);
    // The text tower is as it was.
    let features = |weights: &PathBuf, name: &str| {
        let file = folder.path().join(name);
        let _ = cliptrain()
            .arg("encode")
            .arg("--pretrained")
            .arg(weights)
            .args(["--text", "a fox", "--output"])
            .arg(&file)
            .run()
            .success();
        fs::read(file).unwrap()
    };
    assert!(features(&weights(&folder, "run"), "a.safetensors") == features(&tuned, "b.safetensors"));
    let chart = folder.path().join("between.svg");
    let _ =
        cliptrain().arg("plot").arg(&output).args(["--only", "interpolation", "--output"]).arg(&chart).run().success();
    assert!(fs::read_to_string(chart).unwrap().contains("alpha"));
}

#[test]
fn shards_with_labels_are_tuned_on_and_the_head_alone_leaves_the_tower() {
    let folder = TempDir::new().unwrap();
    let _ = start(&folder);
    let members = (0..12u32).flat_map(|i| {
        let label = i % 2;
        [
            (format!("{i}.jpg"), picture(label * 40, 24 + i, 20, Format::Jpeg)),
            (format!("{i}.cls"), label.to_string().into_bytes()),
        ]
    });
    let shard = folder.path().join("labelled.tar");
    fs::write(&shard, tarball(members)).unwrap();
    let names = folder.path().join("names.txt");
    fs::write(&names, "red fox\nzebra\n").unwrap();
    let shard = shard.display().to_string();
    let named = |name: &str| {
        finetune(&folder, &shard, name).args(["--train-num-samples", "12", "--zeroshot-classnames"]).arg(&names)
    };
    let _ = named("head").arg("--head-only").run().success();
    let bytes = |path: PathBuf| fs::read(path.join("open_clip_model.safetensors")).unwrap();
    assert!(bytes(weights(&folder, "run")) == bytes(folder.path().join("logs/head/checkpoints/epoch_6")));
    fs::write(&names, "red fox\n").unwrap();
    let finished = named("few").run().expect_code(2);
    assert!(finished.stderr.contains("has the class 1, but there are 1 names"), "{finished}");
}

#[test]
fn what_cannot_be_tuned_or_mixed_is_named() {
    let folder = TempDir::new().unwrap();
    let classes = start(&folder).display().to_string();
    let (run, other) = (weights(&folder, "run").display().to_string(), folder.path().join("other.json"));
    let config = fs::read_to_string(folder.path().join("model.json"))
        .unwrap()
        .replace("\"layers\": 1, \"width\": 32", "\"layers\": 2, \"width\": 32");
    fs::write(&other, config).unwrap();
    let spec = folder.path().join("shards/{00000..00001}.tar").display().to_string();
    let command = cliptrain().args([
        "--train-data",
        &spec,
        "--name",
        "other",
        "--batch-size",
        "4",
        "--epochs",
        "1",
        "--workers",
        "1",
        "--model",
    ]);
    let _ = command.arg(&other).arg("--logs").arg(folder.path().join("logs")).run().success();
    let deeper = folder.path().join("logs/other/checkpoints/epoch_1").display().to_string();
    let cases: [(Vec<&str>, &str); 11] = [
        (vec!["finetune", "--train-data", &classes], "--pretrained"),
        (vec!["finetune", "--pretrained", &run, "--train-data", "nowhere"], "--train-data: cannot open `nowhere`"),
        (vec!["finetune", "--pretrained", &run, "--train-data", &classes, "--lr", "0"], "--lr"),
        (vec!["finetune", "--pretrained", &run, "--train-data", &spec], "--zeroshot-classnames: needed for shards"),
        (vec!["interpolate", &run, &deeper, "--zeroshot-data", &classes], "expected two of one architecture"),
        (
            vec!["finetune", "--pretrained", &run, "--train-data", &classes, "--batch-size", "100"],
            "fewer than one batch",
        ),
        (vec!["finetune", "--pretrained", &run, "--train-data", &classes, "--logs", "None"], "--logs None"),
        (vec!["interpolate", &run, &run], "nothing to do"),
        (vec!["interpolate", &run, &run, "--alpha", "0:1", "--zeroshot-data", &classes], "FROM:TO:STEP"),
        (vec!["interpolate", &run, "nowhere", "--zeroshot-data", &classes], "nowhere"),
        (vec!["interpolate", &run, &run, "--save"], "--output"),
    ];
    for (arguments, expected) in cases {
        let finished = cliptrain().args(&arguments).current_dir(folder.path()).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{arguments:?}: expected `{expected}` in: {finished}");
    }
}

#[test]
fn a_tuning_that_was_ended_goes_on_to_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let classes = start(&folder).display().to_string();
    let tune = |name: &str| finetune(&folder, &classes, name).args(["--val-data", &classes]);
    let _ = tune("whole").run().success();
    let checkpoints = |name: &str| folder.path().join("logs").join(name).join("checkpoints");
    // What a run leaves that was killed in its fourth epoch, and before the validation of its third.
    for epoch in ["epoch_2", "epoch_3"] {
        fs::create_dir_all(checkpoints("half").join(epoch)).unwrap();
        for file in fs::read_dir(checkpoints("whole").join(epoch)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), checkpoints("half").join(epoch).join(file.file_name())).unwrap();
        }
    }
    fs::write(folder.path().join("logs/half/out.log"), "").unwrap();
    let results = fs::read_to_string(checkpoints("whole").join("results.jsonl")).unwrap();
    let two: String = results.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(checkpoints("half").join("results.jsonl"), two).unwrap();

    let exists = tune("half").run().expect_code(2);
    assert!(exists.stderr.contains("--resume latest goes on"), "{exists}");
    let seeded = tune("half").args(["--resume", "latest", "--seed", "7"]).run().expect_code(2);
    assert!(seeded.stderr.contains("--seed"), "{seeded}");
    let batch = tune("half").args(["--resume", "latest", "--batch-size", "2"]).run().expect_code(2);
    assert!(batch.stderr.contains("--batch-size was 4, and is 2"), "{batch}");
    let head = tune("half").args(["--resume", "latest", "--head-only"]).run().expect_code(2);
    assert!(head.stderr.contains("its run tunes the image tower and the head"), "{head}");
    let lock = fs::File::open(folder.path().join("logs/half/out.log")).unwrap();
    lock.lock().unwrap();
    let both = tune("half").args(["--resume", "latest"]).run().expect_code(2);
    assert!(both.stderr.contains("another process is tuning in"), "{both}");
    drop(lock);
    let finished = tune("half").args(["--resume", "latest"]).run().success();
    assert!(finished.stderr.contains("going on behind epoch 3, step "), "{finished}");
    for file in ["open_clip_model.safetensors", "head.safetensors", "tuning.safetensors", "tuning.json"] {
        let bytes = |name: &str| fs::read(checkpoints(name).join("epoch_6").join(file)).unwrap();
        assert!(bytes("whole") == bytes("half"), "{file}");
    }
    assert_eq!(fs::read_to_string(checkpoints("half").join("results.jsonl")).unwrap(), results);
    let begun = tune("new").args(["--resume", "latest", "--epochs", "1"]).run().success();
    assert!(begun.stderr.contains("has no checkpoint yet; the run begins"), "{begun}");
    for epoch in 1..7 {
        let _ = fs::remove_file(checkpoints("whole").join(format!("epoch_{epoch}/tuning.json")));
    }
    let older = tune("whole").args(["--resume", "latest"]).run().expect_code(2);
    assert!(older.stderr.contains("it has no tuning.json"), "what is there must not be written over: {older}");
    let damaged = checkpoints("half").join("epoch_6/tuning.json");
    fs::write(&damaged, "{").unwrap();
    let refused = tune("half").args(["--resume", "latest"]).run().expect_code(2);
    assert!(refused.stderr.contains("tuning.json: EOF"), "{refused}");
}
