//! What a run is told before its first step, what it refuses, and what a start that fails leaves: nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::{cliptrain, shards, train, weights};

#[test]
fn flags_come_from_files_as_well_and_what_is_typed_wins() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let config = folder.path().join("run.toml");
    let text = format!(
        "train_data = '{spec}'\nmodel = '{}'\n[optimization]\nlr = 1e-3\nepochs = 2\nsiglip = true\n\
                        aug-cfg = ['scale=(0.5,1.0)', 'gray_scale_prob=0.5']\n",
        crate::model(&folder).display()
    );
    fs::write(&config, text).unwrap();
    let flags = folder.path().join("flags");
    fs::write(&flags, "--batch_size 4 --workers 2 # as of a shell\n--warmup 2 --name 'of files' --epochs 9\n").unwrap();
    let logs = folder.path().join("logs");
    let run = cliptrain().arg("--config").arg(&config).arg(format!("@{}", flags.display())).arg("--logs").arg(&logs);
    let _ = run.args(["--epochs", "1"]).run().success();
    let params = fs::read_to_string(logs.join("of files/params.txt")).unwrap();
    for line in
        ["lr: 0.001", "epochs: 1", "siglip: True", "aug_cfg: ['scale=(0.5,1.0)', 'gray_scale_prob=0.5']", "warmup: 2"]
    {
        assert!(params.lines().any(|found| found == line), "{line} is not in {params}");
    }
    fs::write(&config, "warm_up = 3\n").unwrap();
    let refused = cliptrain().arg("--config").arg(&config).run().expect_code(2);
    assert!(
        refused.stderr.contains("`warm_up`") && refused.stderr.contains("hint: did you mean `warmup`?"),
        "{refused}"
    );
}

#[test]
fn several_processes_stop_at_the_start_with_one_error() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    for name in ["WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"] {
        let refused = train(&folder, &spec, "run").env(name, "4").run().expect_code(2);
        assert!(refused.stderr.starts_with(&format!("error: {name}=4")), "{refused}");
        assert_eq!(refused.stderr.lines().count(), 2, "{refused}");
    }
    assert!(!folder.path().join("logs").exists());
    let _ = train(&folder, &spec, "run").env("WORLD_SIZE", "1").env("RANK", "0").run().success();
}

#[test]
fn what_contradicts_itself_or_cannot_be_is_named_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let within = file.join("logs").display().to_string();
    let gone = spec.replace("00001}", "00003}");
    let csv = folder.path().join("list.csv");
    fs::write(&csv, "filepath,title\na.jpg,a cat\n").unwrap();
    let (csv, within_shards) = (csv.display().to_string(), folder.path().join("shards").display().to_string());
    let cases: [(&[&str], &str); 32] = [
        (&["--lock-image-unlocked-groups", "1"], "--lock-image"),
        (&["--lock-text-freeze-layer-norm"], "--lock-text"),
        (&["--lr-scheduler", "const-cooldown"], "--epochs-cooldown"),
        (&["--epochs-cooldown", "1"], "const-cooldown"),
        (&["--lr-scheduler", "const-cooldown", "--epochs-cooldown", "3"], "--epochs-cooldown"),
        (&["--siglip", "--distill-model", "tiny-32", "--distill-pretrained", "x"], "--distill-model"),
        (&["--distill-model", "tiny-32"], "--distill-pretrained"),
        (&["--accum-freq", "0"], "--accum-freq"),
        (&["--accum-freq", "5"], "fewer than the 5 of one step"),
        (&["--batch-size", "17"], "an epoch has 16 samples"),
        (&["--image-mean", "0.5", "0.5"], "--image-mean"),
        (&["--image-mean", "nan"], "--image-mean: expected 0 to 1, got NaN"),
        (&["--image-std=-1"], "--image-std: expected 0.001 to 1, got -1"),
        (&["--image-std", "0"], "--image-std"),
        (&["--batch-size", "0"], "--batch-size"),
        (&["--batch-size", "18446744073709551615"], "--batch-size"),
        (&["--epochs", "18446744073709551615"], "--epochs"),
        (&["--force-image-size", "16", "32"], "--force-image-size"),
        (&["--resume", "latest", "--name", "../x"], "--name"),
        (&["--horovod"], "--horovod"),
        (&["--logs", &within], "--logs"),
        (&["--train-data", &gone], "2 of 4 shards missing"),
        (&["--pretrained", "no-such-tag"], "no-such-tag"),
        (&["--model", "ViT-B-31"], "hint: `cliptrain models` lists them"),
        (&["--device", "toaster"], "--device `toaster`"),
        (&["--train-num-samples", "18446744073709551615"], "1..=1000000000000"),
        (&["--max-image-pixels", "0"], "--max-image-pixels"),
        (&["--remote-sync-frequency", "0"], "--remote-sync-frequency"),
        (&["--train-data", ""], "--train-data"),
        (&["--train-data", &within_shards], "name the shards of the folder"),
        (&["--train-data", &within_shards, "--dataset-type", "webdataset"], "is a folder, not a shard"),
        (&["--train-data", &csv], "another character may stand between cells"),
    ];
    for (flags, expected) in cases {
        let finished = train(&folder, &spec, "run").args(flags).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{flags:?}: expected {expected} in {finished}");
        assert!(!folder.path().join("logs").exists(), "{flags:?}");
    }
    let _ = train(&folder, &spec, "run")
        .args(["--train-data", &gone, "--max-bad-shards", "9", "--train-num-samples", "16"])
        .run()
        .success();
}

#[test]
fn a_logs_folder_that_cannot_be_written_is_named_before_any_work() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may write everywhere cannot be refused.
    if fs::write(logs.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write in any folder");
        return;
    }
    let finished = train(&folder, &spec, "run").run().expect_code(2);
    assert!(finished.stderr.starts_with("error: --logs"), "{finished}");
}

#[test]
fn runs_without_a_name_have_that_of_open_clip_and_never_each_other_s() {
    let folder = TempDir::new().unwrap();
    let (spec, logs) = (shards(&folder), folder.path().join("logs"));
    let run = || {
        let fixed = ["--batch-size", "4", "--epochs", "1", "--workers", "2", "--precision", "fp32", "--lr", "1e-3"];
        cliptrain()
            .args(["--train-data", &spec, "--model"])
            .arg(crate::model(&folder))
            .arg("--logs")
            .arg(&logs)
            .args(fixed)
    };
    let children = [run().spawn(), run().spawn(), run().spawn()];
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    let entries = fs::read_dir(&logs).unwrap();
    let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in &names {
        assert!(name.contains("model.json-lr_0.001-b_4-j_2-p_fp32"), "{name}");
        assert!(logs.join(name).join("checkpoints/epoch_1/state.json").is_file(), "{name}");
    }
}

#[test]
fn every_way_to_train_takes_its_steps() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let _ = train(&folder, &spec, "teacher").run().success();
    let (small, teacher) =
        (crate::model(&folder).display().to_string(), weights(&folder, "teacher").display().to_string());
    let cases: [(&str, &[&str]); 12] = [
        ("amp_bf16", &["--precision", "amp_bfloat16"]),
        ("pure_bf16", &["--precision", "pure_bf16"]),
        ("fp16", &["--precision", "pure_fp16", "--log-every-n-steps", "1"]),
        ("checkpointing", &["--grad-checkpointing"]),
        ("siglip", &["--siglip"]),
        ("distilled", &["--distill-model", &small, "--distill-pretrained", &teacher, "--accum-freq", "2"]),
        ("dropout", &["--force-patch-dropout", "0.5"]),
        ("const", &["--lr-scheduler", "const"]),
        ("cooldown", &["--lr-scheduler", "const-cooldown", "--epochs-cooldown", "1", "--lr-cooldown-end", "1e-5"]),
        ("skipped", &["--skip-scheduler"]),
        ("locked", &["--lock-image", "--lock-text", "--lock-text-unlocked-layers", "1"]),
        ("normalised", &["--image-mean", "0.5", "--image-std", "0.5", "0.5", "0.5", "--torchcompile"]),
    ];
    for (name, flags) in cases {
        let finished = train(&folder, &spec, name).args(flags).arg("--json").run().success();
        let steps = finished.json_data("step");
        assert!(steps.iter().all(|step| step["loss"].as_f64().is_some_and(f64::is_finite)), "{name}: {finished}");
        let rate = |at: usize| steps[at]["lr"].as_f64().unwrap();
        match name {
            "skipped" => assert_eq!((rate(0), rate(7)), (5e-4, 5e-4)),
            "const" => assert_eq!((rate(0), rate(7)), (2.5e-4, 5e-4)),
            "cooldown" => assert!(rate(3) == 5e-4 && rate(7) < 2e-4, "{}", rate(7)),
            "distilled" => assert!(steps[0]["distill_loss"].as_f64().is_some() && steps.len() == 4),
            "fp16" => assert!(steps[0]["loss_scale"].as_f64().is_some()),
            "siglip" => assert!(steps[0]["logit_scale"].as_f64().is_some_and(|scale| (scale - 10.0).abs() < 0.1)),
            "normalised" => {
                let config = fs::read_to_string(weights(&folder, name).join("open_clip_config.json")).unwrap();
                assert!(config.contains("0.5") && finished.stderr.contains("warning: --torchcompile has no effect"));
            }
            _ => {}
        }
    }
    let _ = train(&folder, &spec, "shorter").args(["--lock-image", "--epochs", "1"]).run().success();
    let stem = |checkpoint: PathBuf| {
        let clip = model::clip::Clip::load(&checkpoint, &model::Device::Cpu).unwrap();
        let id = clip.parameters().id("visual.conv1.weight").unwrap();
        clip.parameters().value(id).flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let shorter = stem(folder.path().join("logs/shorter/checkpoints/epoch_1"));
    assert!(stem(weights(&folder, "locked")) == shorter && stem(weights(&folder, "const")) != shorter);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_with_what_led_to_it() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let flags = ["--lr", "1e30", "--skip-scheduler"];
    let finished = train(&folder, &spec, "run").args(flags).run().expect_code(2);
    assert!(
        finished.stderr.contains("of step 1 is") && finished.stderr.contains("first keys of the batch: 0000"),
        "{finished}"
    );
    let kept = folder.path().join("logs/run/non-finite-step_1");
    for file in ["batch.safetensors", "keys.txt", "open_clip_model.safetensors", "optimizer.safetensors", "loader.json"]
    {
        assert!(kept.join(file).is_file(), "{file}");
    }
    let keys = fs::read_to_string(kept.join("keys.txt")).unwrap();
    assert_eq!(keys.lines().count(), 4);
    // What was kept meets the same end again.
    let again = train(&folder, &spec, "again").args(flags).arg("--resume").arg(&kept).run().expect_code(2);
    assert!(again.stderr.contains("of step 1 is"), "{again}");
}
