//! `cliptrain` killed at random moments, some of them within the writing of a checkpoint: the same command goes on, and ends
//! with the weights, moments and place in the data of an undisturbed run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Command, Format, picture, tarball};
use tempfile::TempDir;
use trainer::checkpoint;

use crate::Extent;

const LONGEST_LIFE_MS: u64 = 900;
const MODEL: &str = r#"{"model_cfg": {"embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}}}"#;

/// Kills 30 lives of one run after another, until it ends.
pub fn run(extent: Extent) -> String {
    let kills = extent.of(30);
    let folder = TempDir::new().expect("a temporary folder");
    write_data(folder.path());
    let _ = train(folder.path(), "undisturbed").run().success();
    let expected = contents(&last(folder.path(), "undisturbed"));

    let mut dice = 0x9E37_79B9_7F4A_7C15u64;
    let (mut killed, mut within, mut lives, mut runs) = (0, 0, 0, 0);
    while killed < kills {
        let name = format!("killed-{runs}");
        let mut before = 0;
        while !last(folder.path(), &name).exists() {
            let mut child = train(folder.path(), &name).spawn();
            // A life that saves nothing brings nothing on: every third is let live until it did.
            let least = if lives % 3 == 0 { before + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(roll(&mut dice) % LONGEST_LIFE_MS));
            while steps(folder.path(), &name) < least && child.try_wait().expect("it is ours").is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let is_writing = writes(&checkpoints(folder.path(), &name));
            child.kill().expect("the process is ours");
            if !child.wait().expect("it ends").success() {
                (killed, within) = (killed + 1, within + usize::from(is_writing));
            }
            lives += 1;
            let now = steps(folder.path(), &name);
            assert!(now >= before, "life {lives}: {now} steps are saved, {before} were before");
            before = now;
        }
        let got = contents(&last(folder.path(), &name));
        assert!(got == expected, "{name}: the run that went on is another than the undisturbed one");
        fs::remove_dir_all(folder.path().join("logs").join(&name)).expect("the folder is removed");
        runs += 1;
    }
    format!(
        "{killed} kills ({within} while a checkpoint was written), what they end in is byte for byte that of an undisturbed run"
    )
}

fn write_data(folder: &Path) {
    fs::write(folder.join("model.json"), MODEL).expect("the model is written");
    for shard in 0..2u32 {
        let members = (0..32u32).flat_map(|i| {
            let key = format!("{shard:05}{i:04}");
            let jpeg = picture(shard * 32 + i, 40, 36, Format::Jpeg);
            [(format!("{key}.jpg"), jpeg), (format!("{key}.txt"), format!("picture {i} of {shard}").into_bytes())]
        });
        fs::write(folder.join(format!("{shard:05}.tar")), tarball(members)).expect("the shard is written");
    }
    fs::write(folder.join("sizes.json"), r#"{"00000.tar": 32, "00001.tar": 32}"#).expect("the sizes are written");
}

fn train(folder: &Path, name: &str) -> Command {
    let spec = folder.join("{00000..00001}.tar").display().to_string();
    Command::new(env!("CARGO_BIN_EXE_cliptrain"))
        .args(["--train-data", &spec, "--name", name, "--resume", "latest", "--save-every-n-steps", "2", "--model"])
        .arg(folder.join("model.json"))
        .arg("--logs")
        .arg(folder.join("logs"))
        .args([
            "--batch-size",
            "8",
            "--epochs",
            "4",
            "--warmup",
            "4",
            "--workers",
            "2",
            "--force-patch-dropout",
            "0.25",
        ])
}

fn checkpoints(folder: &Path, name: &str) -> PathBuf {
    folder.join("logs").join(name).join("checkpoints")
}

fn last(folder: &Path, name: &str) -> PathBuf {
    checkpoints(folder, name).join("epoch_4")
}

/// Steps of the newest checkpoint; what is superseded while it is looked at is none.
fn steps(folder: &Path, name: &str) -> u64 {
    let newest = checkpoint::newest(&checkpoints(folder, name)).ok().flatten();
    newest.and_then(|path| checkpoint::state(&path).ok()).map_or(0, |state| state.steps)
}

fn writes(checkpoints: &Path) -> bool {
    let is_open = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"))
    };
    fs::read_dir(checkpoints).is_ok_and(|entries| entries.into_iter().any(is_open))
}

fn contents(checkpoint: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries =
        fs::read_dir(checkpoint).expect("the checkpoint can be listed").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read(&path).expect("the file can be read"))
        })
        .collect()
}

fn roll(dice: &mut u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *dice >> 33
}
