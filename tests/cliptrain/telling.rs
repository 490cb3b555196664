//! What a run leaves to be looked at: its page, its steps, TensorBoard's files; and charts of them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::{class_folders, cliptrain, shards, train};

#[test]
fn a_run_has_a_page_steps_and_event_files() {
    let folder = TempDir::new().unwrap();
    let (spec, classes) = (shards(&folder), class_folders(&folder));
    let command = train(&folder, &spec, "run").args(["--val-data", &spec, "--report-to", "tensorboard"]);
    let finished = command.arg("--zeroshot-data").arg(&classes).run().success();
    let line = finished.stderr.lines().find(|line| line.starts_with("Train Epoch: 0 [")).unwrap().to_owned();
    for part in
        [" Data (t): ", " Batch (t): ", "/s, ", "/s/gpu LR: ", " Logit Scale: ", " Contrastive_loss: ", " Loss: "]
    {
        assert!(line.contains(part), "expected `{part}` in: {line}");
    }
    let run = folder.path().join("logs/run");
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    for part in [
        "Training loss",
        "Zero-shot accuracy",
        "What is found for a picture",
        "Seen in training",
        "done: 8 steps, 32 pairs",
    ] {
        assert!(page.contains(part), "expected `{part}` in the page");
    }
    assert!(page.contains("data:image/png;base64,") && page.contains("picture "));
    let steps = fs::read_to_string(run.join("steps.jsonl")).unwrap();
    assert_eq!(steps.lines().count(), 8, "{steps}");
    let events: Vec<_> = fs::read_dir(run.join("tensorboard")).unwrap().collect();
    let bytes = fs::read(events[0].as_ref().unwrap().path()).unwrap();
    for tag in [
        "train/loss",
        "train/samples_per_second_per_gpu",
        "train/scale",
        "val/clip_val_loss",
        "val/zeroshot-top1",
        "samples/texts",
    ] {
        assert!(bytes.windows(tag.len()).any(|window| window == tag.as_bytes()), "no `{tag}` among the events");
    }
}

/// Runs as their folders look, made by hand.
fn runs(folder: &Path) -> Vec<String> {
    let of = |(name, flops, accuracy): (&str, f64, f64)| {
        let run = folder.join(name);
        fs::create_dir_all(run.join("checkpoints")).unwrap();
        let line = |epoch: u64, share: f64| {
            let accuracy = accuracy * share;
            serde_json::json!({
                "epoch": epoch, "training_flops": flops * epoch as f64, "samples_seen": 1000 * epoch, "clip_val_loss": 3.0 / epoch as f64,
                "imagenet-zeroshot-val-top1": accuracy, "imagenetv2-zeroshot-val-top1": accuracy - 0.08, "image_to_text_R@1": accuracy / 2.0,
            })
            .to_string()
        };
        fs::write(run.join("checkpoints/results.jsonl"), [line(1, 0.5), line(2, 1.0)].join("\n") + "\n").unwrap();
        let log: String = (0..50)
            .map(|i| {
                let seen = 20 * (i + 1);
                format!("Train Epoch: 0 [{seen}/1000 ({}%)] Data (t): 0.1 Batch (t): 0.2, 99.0/s, 99.0/s/gpu LR: 0.0005 Logit Scale: 14.3 Loss: {} (4.0)\n", seen / 10, 6.0 / f64::from(i + 1))
            })
            .collect();
        fs::write(run.join("out.log"), log).unwrap();
        run.display().to_string()
    };
    [("small", 1e15, 0.4), ("base", 1e16, 0.55), ("large", 1e17, 0.66)].map(of).to_vec()
}

#[test]
fn plot_draws_svg_png_and_a_page() {
    let folder = TempDir::new().unwrap();
    let (runs, output) = (runs(folder.path()), folder.path().join("charts"));
    let told = cliptrain().arg("plot").args(&runs).arg("--output").arg(&output).run().success().stdout;
    for name in ["loss", "validation-loss", "zero-shot", "retrieval", "scaling", "robustness"] {
        let svg = fs::read_to_string(output.join(name).with_extension("svg")).unwrap();
        assert!(svg.starts_with("<svg xmlns=") && svg.contains("large"), "{name}: {svg}");
        let png = fs::read(output.join(name).with_extension("png")).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5000, "{name}: {} bytes", png.len());
        assert!(told.contains(&format!("{name}.svg")), "{told}");
    }
    let page = fs::read_to_string(output.join("index.html")).unwrap();
    assert!(page.contains("Effective robustness") && page.contains("<code>imagenet-zeroshot-val-top1</code>"));
    let scaling = fs::read_to_string(output.join("scaling.svg")).unwrap();
    assert!(scaling.contains("error ~ effort^-0.1"), "{scaling}");
    let one = folder.path().join("one.png");
    let _ = cliptrain().arg("plot").arg(&runs[0]).args(["--only", "loss", "--output"]).arg(&one).run().success();
    assert!(fs::read(one).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn plot_names_what_it_cannot_draw() {
    let folder = TempDir::new().unwrap();
    let runs = runs(folder.path());
    let cases: [(&[&str], &str); 6] = [
        (&["nowhere"], "`nowhere`: no such file or folder"),
        (&[&runs[0], "--only", "interpolation"], "something to show for loss, validation-loss"),
        (&[&runs[0], "--output", "x.svg"], "holds one chart"),
        (&[&runs[0], "--output", "x.gif"], "`.gif`"),
        (&[&runs[0], "--metric", "top7"], "`top7`: no run has it"),
        (&[&runs[0], "--output", "x", "--format", "bmp"], "`bmp`"),
    ];
    for (flags, expected) in cases {
        let finished = cliptrain().arg("plot").args(flags).current_dir(folder.path()).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{flags:?}: expected `{expected}` in: {finished}");
    }
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let finished = cliptrain().arg("plot").arg(&empty).run().expect_code(2);
    assert!(finished.stderr.contains("holds no run"), "{finished}");
}

#[test]
fn a_sink_that_cannot_be_written_is_named_before_any_work() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    for (name, blocked) in [("tensorboard", "tensorboard"), ("steps", "steps.jsonl"), ("page", "report.html")] {
        let run = folder.path().join("logs").join(name);
        fs::create_dir_all(&run).unwrap();
        // A file where a folder should be, and folders where files should be.
        match blocked {
            "tensorboard" => fs::write(run.join(blocked), b"").unwrap(),
            _ => fs::create_dir(run.join(blocked)).unwrap(),
        }
        let finished = train(&folder, &spec, name).args(["--report-to", "tensorboard"]).run().expect_code(2);
        assert!(finished.stderr.contains(blocked) && !finished.stderr.contains("Train Epoch"), "{finished}");
    }
}

/// A terminal that was closed, or a full disk behind a redirection, is no reason to end a run.
#[test]
fn a_run_goes_on_when_nobody_hears_it() {
    let folder = TempDir::new().unwrap();
    let spec = shards(&folder);
    for (name, stderr) in [("closed", None), ("full", Some("/dev/full"))] {
        let command = train(&folder, &spec, name).args(["--log-every-n-steps", "1", "--epochs", "1"]);
        let command = match stderr {
            Some(file) => command.stderr(fs::File::create(file).unwrap()),
            None => {
                let (read, write) = std::io::pipe().unwrap();
                drop(read);
                command.stderr(write)
            }
        };
        let _ = command.run().success();
        assert!(folder.path().join("logs").join(name).join("checkpoints/epoch_1/state.json").is_file(), "{name}");
    }
    let wrong =
        cliptrain().args(["--train-data", "{", "--model", "tiny-32"]).stderr(fs::File::create("/dev/full").unwrap());
    let _ = wrong.run().expect_code(2);
}
