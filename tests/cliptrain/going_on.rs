//! Runs that are stopped, killed, and go on: what they leave is, byte for byte, what an undisturbed run leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use support::Command;
use support::s3::{Fault, Operation, S3};
use tempfile::TempDir;

use crate::{class_folders, cliptrain, shards, train, weights};

/// Every kind of training whose state differs: flags, by a name.
const KINDS: [(&str, &[&str]); 6] = [
    ("plain", &[]),
    ("accumulated", &["--accum-freq", "2"]),
    ("clipped", &["--grad-clip-norm", "0.05"]),
    ("locked", &["--lock-image", "--lock-image-unlocked-groups", "1", "--lock-text"]),
    ("resampled", &["--dataset-resampled", "--train-num-samples", "16"]),
    ("half", &["--precision", "fp16", "--grad-checkpointing", "--force-patch-dropout", "0.5"]),
];

/// The files of a checkpoint that a run's outcome is: all of them.
fn contents(checkpoint: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(checkpoint).unwrap_or_else(|error| panic!("{}: {error}", checkpoint.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn assert_same(one: &Path, other: &Path, what: &str) {
    let (one, other) = (contents(one), contents(other));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other), "{what}");
    for ((name, one), (_, other)) in one.iter().zip(&other) {
        assert!(one == other, "{what}: {name} differs");
    }
}

fn checkpoints(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("logs").join(name).join("checkpoints")
}

/// The exit code of a long run that gets a signal once it has saved.
fn stopped_in_an_epoch(folder: &TempDir, spec: &str, name: &str, flags: &[&str], signal: &str) -> i32 {
    let run = train(folder, spec, name).args(flags).args(SAVING).args(["--epochs", "200"]);
    let mut child = run.spawn();
    wait_for(&mut child, &checkpoints(folder, name));
    kill(&child, signal);
    child.wait().unwrap().code().expect("it ends by itself")
}

/// Waits for the first checkpoint.
fn wait_for(child: &mut Child, checkpoints: &Path) {
    let is_there = || trainer::checkpoint::newest(checkpoints).is_ok_and(|newest| newest.is_some());
    while !is_there() {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(is_there(), "it ended before it saved: {status}");
        }
        std::thread::yield_now();
    }
}

fn kill(child: &Child, signal: &str) {
    let status = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_run_that_is_ended_again_and_again_ends_where_an_undisturbed_one_ends() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    for (kind, flags) in KINDS {
        let (whole, cut) = (format!("{kind}-whole"), format!("{kind}-cut"));
        let _ = train(&folder, &spec, &whole).args(flags).args(SAVING).run().success();
        let mut ends = 0;
        while !weights(&folder, &cut).exists() {
            let before = steps(&folder, &cut);
            // Every other life is killed while it writes a checkpoint; the others are asked to end.
            let mut child = train(&folder, &spec, &cut).args(flags).args(SAVING).args(["--resume", "latest"]).spawn();
            let is_further = || steps(&folder, &cut) > before;
            let is_time = || is_further() && (ends % 2 == 1 || is_writing(&checkpoints(&folder, &cut)));
            while child.try_wait().unwrap().is_none() && !is_time() {}
            // One that has ended by itself in the meantime hears nothing.
            if child.try_wait().unwrap().is_none() {
                kill(&child, if ends % 2 == 1 { "-TERM" } else { "-KILL" });
            }
            child.wait().unwrap();
            ends += 1;
            assert!(is_further(), "{kind}: life {ends} saved nothing");
        }
        assert!(ends > 1, "{kind}: it was never ended");
        assert_same(&weights(&folder, &whole), &weights(&folder, &cut), kind);
    }
}

/// A checkpoint after every step.
const SAVING: [&str; 2] = ["--save-every-n-steps", "1"];

fn steps(folder: &TempDir, name: &str) -> u64 {
    let newest = trainer::checkpoint::newest(&checkpoints(folder, name));
    // What is superseded while it is looked at counts as what came before it.
    newest.ok().flatten().and_then(|path| trainer::checkpoint::state(&path).ok()).map_or(0, |state| state.steps)
}

#[test]
fn signals_save_and_say_by_the_exit_code_who_asked() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    for (signal, code) in [("-TERM", 0), ("-USR1", 0), ("-INT", 130)] {
        let name = format!("stopped{signal}");
        assert_eq!(stopped_in_an_epoch(&folder, &spec, &name, &[], signal), code, "{signal}");
        let steps = steps(&folder, &name);
        // The same command goes on, to an end that lies behind the place where it stopped.
        let epochs = (steps / 4 + 1).to_string();
        let again = ["--epochs", epochs.as_str(), "--resume", "latest", "--save-frequency", "0", "--json"];
        let summary = train(&folder, &spec, &name).args(again).run().success().json_data("summary").pop().unwrap();
        assert_eq!(summary["train"]["steps"], 4 * (steps / 4 + 1), "{summary}");
    }
}

fn is_writing(checkpoints: &Path) -> bool {
    fs::read_dir(checkpoints).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".tmp")))
    })
}

/// It is the only one, and a run that began anew would write over it.
#[test]
fn a_damaged_checkpoint_is_named_and_not_written_over() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let _ = train(&folder, &spec, "run").run().success();
    let from = weights(&folder, "run");
    fs::remove_dir_all(checkpoints(&folder, "run").join("epoch_1")).unwrap();
    let before = fs::read(from.join("open_clip_model.safetensors")).unwrap();
    let refused = |resume: &str, name: &str, expected: &str| {
        let run = train(&folder, &spec, name).args(["--epochs", "4", "--resume", resume]);
        let finished = run.run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{finished}");
        assert!(fs::read(from.join("open_clip_model.safetensors")).unwrap() == before);
    };
    let path = from.display().to_string();
    let optimizer = fs::read(from.join("optimizer.safetensors")).unwrap();
    let state = fs::read_to_string(from.join("state.json")).unwrap();
    fs::write(from.join("optimizer.safetensors"), &optimizer[..optimizer.len() / 2]).unwrap();
    refused("latest", "run", "optimizer.safetensors");
    fs::write(from.join("optimizer.safetensors"), optimizer).unwrap();
    for damaged in ["", "{", "[]", "{\"version\": 99}"] {
        fs::write(from.join("state.json"), damaged).unwrap();
        refused("latest", "run", "state.json");
        refused(&path, "other", "state.json");
    }
    fs::remove_file(from.join("state.json")).unwrap();
    refused("latest", "run", "state.json");
    refused(&path, "other", "has no state.json");
    fs::write(from.join("state.json"), state.replace("\"epoch\":2", "\"epoch\":1")).unwrap();
    refused("latest", "run", "epoch: 1 by state.json, 2 by loader.json");
    fs::write(from.join("state.json"), state).unwrap();
    let loader = fs::read_to_string(from.join("loader.json")).unwrap();
    fs::write(from.join("loader.json"), loader.replace("\"version\":1", "\"version\":9")).unwrap();
    refused("latest", "run", "was 9 when it was saved, and is 1");
    let other = loader.replacen("\"data\":\"", "\"data\":\"0", 1);
    fs::write(from.join("loader.json"), other).unwrap();
    refused("latest", "run", "the list of shards or rows with hash 0");
}

#[test]
fn what_stands_where_a_checkpoint_goes_makes_room_for_it() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let into = checkpoints(&folder, "run");
    fs::create_dir_all(&into).unwrap();
    fs::write(into.join("epoch_1"), "a file").unwrap();
    let _ = train(&folder, &spec, "run").args(["--epochs", "1"]).run().success();
    for name in ["open_clip_model.safetensors", "optimizer.safetensors", "state.json"] {
        let mode = fs::metadata(into.join("epoch_1").join(name)).unwrap().permissions().mode();
        assert_eq!(mode, fs::metadata(into.join("results.jsonl")).unwrap().permissions().mode(), "{name}");
    }
    assert!(!into.join("epoch_1.old.tmp").exists());
}

#[test]
fn what_does_not_fit_the_checkpoint_is_refused_and_leaves_no_run() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let _ = train(&folder, &spec, "run").run().success();
    let from = weights(&folder, "run");
    let cases: [(&[&str], &str); 6] = [
        (&["--force-context-length", "10"], "text_cfg.context_length is 12 there and 10 here"),
        (&["--batch-size", "2"], "--batch-size"),
        (&["--seed", "7"], "seed"),
        (&["--dataset-resampled"], "sampling"),
        (&["--resume", "no/such/checkpoint"], "no/such/checkpoint"),
        (&["--resume", "latest", "--logs", "None"], "contradict"),
    ];
    for (flags, expected) in cases {
        let run = train(&folder, &spec, "other").args(["--epochs", "4", "--resume"]).arg(&from).args(flags);
        let finished = run.run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{flags:?}: {finished}");
        assert!(!folder.path().join("logs/other").exists(), "{flags:?}");
    }
    let again = train(&folder, &spec, "run").run().expect_code(2);
    assert!(again.stderr.contains("exists already"), "{again}");
    let log = fs::File::open(folder.path().join("logs/run/out.log")).unwrap();
    log.lock().unwrap();
    let both = train(&folder, &spec, "run").args(["--resume", "latest"]).run().expect_code(2);
    assert!(both.stderr.contains("another process is training"), "{both}");
    drop(log);
    let finished = train(&folder, &spec, "run").args(["--resume", "latest"]).run().success();
    assert!(finished.stderr.contains("nothing is left to train: 2 epochs done, and --epochs is 2"), "{finished}");
    let gone = train(&folder, &spec, "run").args(["--resume", "no/such/checkpoint"]).run().expect_code(2);
    assert!(gone.stderr.starts_with("error: --resume: there is no `no/such/checkpoint`"), "{gone}");
}

/// Its folder says which model it is, and the run what that is called, by which the optimizer's constants go.
#[test]
fn a_run_goes_on_without_being_told_its_model_again() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let _ = train(&folder, &spec, "run").run().success();
    let params = || fs::read_to_string(folder.path().join("logs/run/params.txt")).unwrap();
    let of = |name: &str| params().lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let (model, beta2) = (of("model: "), of("beta2: "));
    let again = cliptrain().args(["--train-data", &spec, "--name", "run", "--resume", "latest", "--epochs", "3"]);
    let again = again.args(["--batch-size", "4", "--workers", "2", "--warmup", "2"]);
    let _ = again.arg("--logs").arg(folder.path().join("logs")).run().success();
    assert_eq!((of("model: "), of("beta2: ")), (model, beta2));
    let from = weights(&folder, "run");
    let fresh = cliptrain().args(["--train-data", &spec, "--name", "fresh", "--epochs", "1", "--batch-size", "4"]);
    let fresh = fresh.arg("--pretrained").arg(from).arg("--logs").arg(folder.path().join("logs")).run().success();
    assert!(fresh.stderr.contains("warning: --warmup 10000 is longer than the whole run of 4 steps"), "{fresh}");
}

#[test]
fn checkpoints_are_kept_as_the_flags_say() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    let names = |name: &str| {
        let entries = fs::read_dir(checkpoints(&folder, name)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "results.jsonl");
        names.sort();
        names
    };
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("all", &["--epochs", "3"], &["epoch_1", "epoch_2", "epoch_3"]),
        ("last", &["--epochs", "3", "--save-frequency", "0", "--save-every-n-steps", "3"], &["epoch_3"]),
        ("second", &["--epochs", "3", "--save-frequency", "2"], &["epoch_2", "epoch_3"]),
        ("newest", &["--epochs", "3", "--delete-previous-checkpoint"], &["epoch_3"]),
        (
            "recent",
            &["--epochs", "3", "--save-frequency", "2", "--save-most-recent"],
            &["epoch_2", "epoch_3", "epoch_latest"],
        ),
    ];
    for (name, flags, expected) in cases {
        let _ = train(&folder, &spec, name).args(flags).run().success();
        assert_eq!(names(name), expected, "{flags:?}");
    }
    let latest = checkpoints(&folder, "recent").join("epoch_latest");
    assert_same(&latest, &checkpoints(&folder, "all").join("epoch_3"), "the link");
    let nothing = train(&folder, &spec, "nothing").args(["--logs", "None", "--json"]).run().success();
    assert_eq!(nothing.json_data("summary").pop().unwrap()["train"]["steps"], 8);
    assert!(!folder.path().join("logs/nothing").exists() && !Path::new("None").exists());
}

#[test]
fn what_was_copied_to_a_bucket_is_gone_on_from_there() {
    let (folder, s3) = (TempDir::new().unwrap(), S3::start());
    let spec = shards(&folder);
    let synced = |name: &str, epochs: &str, resume: &str| -> Command {
        let flags = ["--epochs", epochs, "--resume", resume, "--remote-sync-frequency", "1", "--lr-scheduler", "const"];
        let run = train(&folder, &spec, name).args(flags).args(["--remote-sync", "s3://bucket/runs"]);
        s3.environment().into_iter().fold(run, |run, (name, value)| run.env(name, value))
    };
    // The store is down for a moment, as stores are.
    s3.fail(Operation::Put, "state.json", 1, Fault::Error(500, "InternalError"));
    let _ = synced("run", "1", "latest").run().success();
    let objects = s3.objects("runs/run/");
    assert!(
        objects.contains_key("params.txt") && objects.contains_key("checkpoints/index.json"),
        "{:?}",
        objects.keys()
    );
    let kept = fs::read(checkpoints(&folder, "run").join("epoch_1/state.json")).unwrap();
    assert_eq!(objects["checkpoints/epoch_1/state.json"], kept);
    fs::remove_dir_all(folder.path().join("logs/run")).unwrap();
    let resumed = synced("run", "2", "latest").run().success();
    assert!(resumed.stderr.contains("going on behind epoch 1, step 4"), "{resumed}");
    // By its address, into a run of another name.
    let by_address = synced("other", "2", "s3://bucket/runs/run/checkpoints/epoch_1").run().success();
    assert!(by_address.stderr.contains("going on behind epoch 1, step 4"), "{by_address}");
    let _ = train(&folder, &spec, "undisturbed").args(["--lr-scheduler", "const"]).run().success();
    assert_same(&weights(&folder, "undisturbed"), &weights(&folder, "run"), "the run that went on");
    assert_same(&weights(&folder, "undisturbed"), &weights(&folder, "other"), "the run from an address");
    let nowhere = synced("nowhere", "2", "s3://bucket/runs/nobody").run().expect_code(2);
    assert!(nowhere.stderr.contains("there is no checkpoint at `s3://bucket/runs/nobody`"), "{nowhere}");
    s3.fail(Operation::Put, "", usize::MAX, Fault::Error(403, "AccessDenied"));
    let refused = synced("refused", "1", "latest").run().expect_code(2);
    assert!(refused.stderr.contains("--remote-sync") && !refused.stderr.contains("Train Epoch"), "{refused}");
}

#[test]
fn what_was_copied_to_another_place_is_gone_on_from_there() {
    let folder = TempDir::new().unwrap();
    let (spec, remote) = (shards(&folder), folder.path().join("remote"));
    let synced = |name: &str, epochs: &str| -> Command {
        let flags =
            ["--epochs", epochs, "--resume", "latest", "--remote-sync-frequency", "1", "--lr-scheduler", "const"];
        train(&folder, &spec, name).args(flags).arg("--remote-sync").arg(&remote)
    };
    let _ = synced("run", "1").run().success();
    assert!(remote.join("run/params.txt").is_file() && remote.join("run/checkpoints/index.json").is_file());
    // As on another machine, where nothing of the run is.
    fs::remove_dir_all(folder.path().join("logs/run")).unwrap();
    let resumed = synced("run", "2").run().success();
    assert!(resumed.stderr.contains("going on behind epoch 1, step 4"), "{resumed}");
    assert_same(&remote.join("run/checkpoints/epoch_2"), &weights(&folder, "run"), "the copy");
    let _ = train(&folder, &spec, "undisturbed").args(["--lr-scheduler", "const"]).run().success();
    assert_same(&weights(&folder, "undisturbed"), &weights(&folder, "run"), "the run that went on");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let refused = train(&folder, &spec, "refused").arg("--remote-sync").arg(&file).run().expect_code(2);
    assert!(refused.stderr.contains("--remote-sync"), "{refused}");
    assert!(!folder.path().join("logs/refused").exists());
    let classes = class_folders(&folder);
    let resumed = weights(&folder, "run");
    let evaluation = cliptrain().arg("--resume").arg(&resumed).arg("--model").arg(crate::model(&folder));
    let _ = evaluation.arg("--zeroshot-data").arg(&classes).run().success();
}
