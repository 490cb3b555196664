//! Evaluation in training and alone: pairs that were kept back, ImageNet and its relatives, what is refused.

use std::fs;
use std::path::PathBuf;

use support::{Command, Format, picture, tarball};
use tempfile::TempDir;

use crate::{class_folders, cliptrain, shards, train, weights};

/// One picture in each of these folders.
fn folders(folder: &TempDir, set: &str, names: &[&str]) -> PathBuf {
    let root = folder.path().join(set);
    for (seed, name) in names.iter().enumerate() {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.jpg"), picture(seed as u32, 24, 24, Format::Jpeg)).unwrap();
    }
    root
}

fn evaluate(folder: &TempDir) -> Command {
    cliptrain().arg("--pretrained").arg(weights(folder, "run"))
}

#[test]
fn kept_back_pairs_are_compared_in_training_and_alone() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let finished = train(&folder, &spec, "run").args(["--val-data", &spec]).run().success();
    assert!(finished.stderr.contains("clip_val_loss"), "{finished}");
    let results = fs::read_to_string(folder.path().join("logs/run/checkpoints/results.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    let last = &lines[1];
    assert_eq!((&last["num_samples"], &last["samples_seen"]), (&16.into(), &32.into()), "{last}");
    let names = ["image_to_text", "text_to_image"]
        .map(|way| ["mean_rank", "median_rank", "R@1", "R@5", "R@10"].map(|name| format!("{way}_{name}")));
    for name in names.concat() {
        assert!(last[&name].as_f64().is_some(), "{name} in {last}");
    }
    // The same weights alone give the same numbers.
    let alone = evaluate(&folder).args(["--batch-size", "4", "--val-data", &spec, "--json"]).run().success();
    let metrics = &alone.json_data("summary")[0]["metrics"];
    assert_eq!(
        (&metrics["clip_val_loss"], &metrics["text_to_image_R@5"]),
        (&last["clip_val_loss"], &last["text_to_image_R@5"])
    );
    let told = evaluate(&folder).args(["--val-data", &spec]).run().success().stdout;
    assert!(told.contains("image_to_text_R@1: ") && told.contains("num_samples: 16"), "{told}");
}

#[test]
fn a_picture_may_have_several_captions() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let _ = train(&folder, &spec, "run").run().success();
    let members = (0..3u32).flat_map(|i| {
        let text = format!("picture {i}\nanother name of {i}\n").into_bytes();
        [(format!("{i}.jpg"), picture(i, 24, 20, Format::Jpeg)), (format!("{i}.txt"), text)]
    });
    let several = folder.path().join("several.tar");
    fs::write(&several, tarball(members)).unwrap();
    let metrics = |flags: &[&str]| {
        let finished = evaluate(&folder).arg("--val-data").arg(&several).args(flags).arg("--json").run().success();
        finished.json_data("summary")[0]["metrics"].clone()
    };
    let found = metrics(&["--val-captions", "several"]);
    assert_eq!((&found["num_samples"], &found["num_captions"]), (&3.into(), &6.into()), "{found}");
    assert!(metrics(&[])["num_captions"].is_null());
    let rows: Vec<String> = (0..4u32)
        .map(|i| {
            let path = folder.path().join(format!("{}.jpg", i / 2));
            fs::write(&path, picture(i / 2, 24, 20, Format::Jpeg)).unwrap();
            format!("{},name {i}\n", path.display())
        })
        .collect();
    let table = folder.path().join("table.csv");
    fs::write(&table, format!("filepath,title\n{}", rows.concat())).unwrap();
    let table = table.display().to_string();
    let flags = ["--val-captions", "several", "--csv-separator", ",", "--json"];
    let finished = evaluate(&folder).args(["--val-data", &table]).args(flags).run().success();
    let found = &finished.json_data("summary")[0]["metrics"];
    assert_eq!((&found["num_samples"], &found["num_captions"]), (&2.into(), &4.into()), "{found}");
}

#[test]
fn imagenet_and_its_relatives_have_their_own_classes_and_names() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let _ = train(&folder, &spec, "run").run().success();
    let synsets = folders(&folder, "val", &["n01440764", "n01443537"]);
    let command = evaluate(&folder)
        .arg("--imagenet-val")
        .arg(&synsets)
        .arg("--imagenet-v2")
        .arg(folders(&folder, "v2", &["0", "1", "10", "999"]))
        .arg("--imagenet-r")
        .arg(folders(&folder, "r", &["n01443537"]))
        .arg("--imagenet-sketch")
        .arg(&synsets)
        .arg("--objectnet")
        .arg(folders(&folder, "objectnet", &["alarm_clock", "air_freshener"]));
    let command = command.args(["--name", "scores", "--logs"]).arg(folder.path().join("logs"));
    let finished = command.arg("--json").run().success();
    let summary = &finished.json_data("summary")[0];
    let metrics = summary["metrics"].as_object().unwrap();
    let samples = |name: &str| metrics[&format!("{name}-zeroshot-val-samples")].as_u64().unwrap();
    // A folder that is no class of ImageNet is left out of ObjectNet.
    assert_eq!(["imagenet", "imagenetv2", "imagenet-r", "objectnet"].map(samples), [2, 4, 1, 1]);
    assert_eq!(summary["zero_shot"][2]["class_names"].as_array().unwrap().len(), 200);
    assert!(metrics["imagenetv2-effective-robustness"].as_f64().is_some());
    let results = fs::read_to_string(folder.path().join("logs/scores/checkpoints/results.jsonl")).unwrap();
    assert!(results.contains("imagenetv2-effective-robustness"), "{results}");
}

#[test]
fn what_cannot_be_evaluated_on_is_named_before_any_work() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let classes = class_folders(&folder);
    fs::create_dir_all(classes.join("empty")).unwrap();
    let names = folder.path().join("names.txt");
    fs::write(&names, "zebra\nred fox\nant\n").unwrap();
    let strange = folders(&folder, "strange", &["zebra"]);
    let garbage = folder.path().join("garbage.tar");
    fs::write(&garbage, [7; 2048]).unwrap();
    let path = |path: &PathBuf| path.display().to_string();
    let cases: Vec<(Vec<String>, &str)> = vec![
        (vec!["--zeroshot-data".into(), path(&classes)], "expected pictures in it, found none"),
        (vec!["--imagenet-val".into(), path(&strange)], "--imagenet-val: expected folders"),
        (vec!["--imagenet-a".into(), path(&strange)], "--imagenet-a"),
        (vec!["--objectnet".into(), path(&strange)], "`alarm_clock`"),
        (vec!["--val-data".into(), "nowhere/{0..3}.tar".into()], "--val-data: no shard `nowhere/0.tar`"),
        (vec!["--val-data".into(), "nowhere.csv".into()], "--val-data"),
        (vec!["--val-data".into(), String::new()], "--val-data"),
        (vec!["--val-data".into(), path(&garbage)], "garbage.tar"),
        (vec!["--zeroshot-data".into(), path(&names)], "expected a folder of class folders"),
        (vec!["--zeroshot-classnames".into(), path(&names)], "none to classify"),
        (vec!["--report-to".into(), "wandb".into()], "Weights & Biases"),
        (vec!["--report-to".into(), "nobody".into()], "`nobody`"),
    ];
    for (i, (flags, expected)) in cases.into_iter().enumerate() {
        let finished = train(&folder, &spec, &format!("bad-{i}")).args(&flags).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{flags:?}: expected `{expected}` in: {finished}");
        assert!(!finished.stderr.contains("Train Epoch"), "{finished}");
    }
    fs::remove_dir(classes.join("empty")).unwrap();
    let finished = train(&folder, &spec, "names").arg("--zeroshot-data").arg(&strange).arg("--zeroshot-classnames");
    let _ = finished.arg(&names).args(["--epochs", "1"]).run().success();
    let mismatched = folders(&folder, "mismatched", &["a", "b"]);
    let finished = train(&folder, &spec, "mismatched").arg("--zeroshot-data").arg(&mismatched);
    let finished = finished.arg("--zeroshot-classnames").arg(&names).run().expect_code(2);
    assert!(finished.stderr.contains("3 names for 2 class folders"), "{finished}");
}
