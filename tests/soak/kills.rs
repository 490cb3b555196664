//! `clipdata download` killed at random moments: whatever can be seen afterwards is whole, and the same
//! command ends in the folder, byte for byte, that an undisturbed run makes. So does `clipdata retry`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Behaviour, Command, Format, Server, picture};
use tempfile::TempDir;

use crate::Extent;

const ROWS: u32 = 400;
const LONGEST_LIFE_MS: u64 = 400;

/// Every so many rounds `clipdata retry` over the finished folder is killed as well.
const RETRY_EVERY: usize = 4;

/// Kills 200 runs, each followed by a resumed one.
pub fn run(extent: Extent) -> String {
    let kills = extent.of(200);
    let pictures = (0..ROWS).map(|i| {
        let body = picture(i % 16, 100 + i % 60, 90, Format::Jpeg);
        (format!("/{i}.jpg"), if i % 20 == 7 { Behaviour::Status(404) } else { Behaviour::Ok(body, "image/jpeg") })
    });
    let server = Server::start(pictures);
    let folder = TempDir::new().expect("a temporary folder");
    let list = folder.path().join("list.txt");
    let urls: String = (0..ROWS).map(|i| server.url(&format!("/{i}.jpg")) + "\n").collect();
    fs::write(&list, urls).expect("the list is written");

    let undisturbed = folder.path().join("undisturbed");
    let _ = download(&list, &undisturbed).run().success();
    let expected = contents(&undisturbed);

    let mut dice = 0x9E37_79B9_7F4A_7C15u64;
    let mut survivors = 0;
    for round in 0..kills {
        let output = folder.path().join(format!("killed-{round}"));
        survivors += usize::from(killed(download(&list, &output), &mut dice));
        check_visible(&output);
        let _ = download(&list, &output).run().success();
        assert_same(&contents(&output), &expected, &format!("round {round}: the resumed run"));
        if round % RETRY_EVERY == 0 {
            let _ = killed(retry(&output), &mut dice);
            check_visible(&output);
            let _ = retry(&output).run().success();
            assert_same(&contents(&output), &expected, &format!("round {round}: the folder whose rows failed again"));
        }
        fs::remove_dir_all(&output).expect("the folder is removed");
    }
    format!("{kills} kills ({survivors} came too late), no torn file, every resumed run equal to an undisturbed one")
}

fn download(list: &Path, output: &Path) -> Command {
    Command::new(env!("CARGO_BIN_EXE_clipdata")).arg("download").arg(list).arg("--output-folder").arg(output).args([
        "--allow-private-addresses",
        "--deterministic",
        "--number-sample-per-shard",
        "50",
        "--image-size",
        "64",
        "--json",
    ])
}

fn retry(output: &Path) -> Command {
    Command::new(env!("CARGO_BIN_EXE_clipdata")).arg("retry").arg(output).args(["--allow-private-addresses", "--json"])
}

/// Kills the command after a while; whether it had succeeded before.
fn killed(command: Command, dice: &mut u64) -> bool {
    let mut child = command.spawn();
    std::thread::sleep(Duration::from_millis(roll(dice) % LONGEST_LIFE_MS));
    child.kill().expect("the process is ours");
    child.wait().expect("it ends").success()
}

/// xorshift64*: which moments are picked depends on nothing but the seed.
fn roll(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
}

/// Every file under its final name is whole; a shard with `_stats.json` has its tar and table.
fn check_visible(output: &Path) {
    let Ok(entries) = fs::read_dir(output) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.ends_with(".tar") {
            members(&path);
        } else if name.ends_with(".parquet") {
            let bytes = fs::read(&path).expect("it can be read");
            assert!(bytes.ends_with(b"PAR1"), "{name} has no footer");
        } else if name.ends_with(".json") {
            let text = fs::read(&path).expect("it can be read");
            serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        if let Some(shard) = name.strip_suffix("_stats.json") {
            for ending in ["tar", "parquet"] {
                assert!(output.join(format!("{shard}.{ending}")).is_file(), "{shard} is sealed without its {ending}");
            }
        }
    }
}

/// Every file of the folder by its path in there.
fn contents(output: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![output.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(output).expect("it lies in there").to_path_buf();
                files.insert(name, fs::read(&path).expect("it can be read"));
            }
        }
    }
    files
}

/// Names what differs: the contents are too long to be printed.
fn assert_same(found: &BTreeMap<PathBuf, Vec<u8>>, expected: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    let names = found.keys().chain(expected.keys());
    let differing: Vec<_> = names.filter(|name| found.get(*name) != expected.get(*name)).collect();
    assert!(differing.is_empty(), "{what} differs in {differing:?}");
}

fn members(tar: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(tar).expect("it can be read");
    assert!(
        bytes.len() >= 1024 && bytes[bytes.len() - 1024..].iter().all(|byte| *byte == 0),
        "{} has no end",
        tar.display()
    );
    let mut archive = tar::Archive::new(&*bytes);
    let entries = archive.entries().expect("a tar").map(|entry| {
        let mut entry = entry.unwrap_or_else(|error| panic!("{}: {error}", tar.display()));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap_or_else(|error| panic!("{}: {error}", tar.display()));
        (entry.path().expect("a path").display().to_string(), content)
    });
    entries.collect()
}
