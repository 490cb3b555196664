//! A list most of whose URLs fail in some way: the run ends, every row is counted, and memory stays bounded.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use support::{Behaviour, Command, Format, Server, picture};
use tempfile::TempDir;

use crate::Extent;

/// Peak resident memory allowed, in kilobytes.
const MEMORY_CAP_KB: i64 = 600_000;

/// 10,000 rows over every behaviour.
pub fn run(extent: Extent) -> String {
    let rows = extent.of(10_000);
    let jpeg = picture(1, 200, 150, Format::Jpeg);
    let slow = Behaviour::Slow { body: jpeg.clone(), piece: 1, pause: Duration::from_millis(200) };
    let behaviours = [
        ("good", Behaviour::Ok(jpeg.clone(), "image/jpeg")),
        ("gone", Behaviour::Status(404)),
        ("busy", Behaviour::Status(503)),
        ("page", Behaviour::Html("<html>no</html>".to_owned())),
        ("empty", Behaviour::Empty),
        ("half", Behaviour::HalfBody(jpeg.clone())),
        ("cut", Behaviour::Ok(jpeg[..jpeg.len() / 2].to_vec(), "image/jpeg")),
        ("hang-up", Behaviour::HangUp),
        ("loop", Behaviour::Redirect("/loop".to_owned())),
        ("large", Behaviour::Ok(vec![0xFF; 3_000_000], "image/jpeg")),
        ("never", Behaviour::Never),
        ("slow", slow),
    ];
    let names: Vec<&str> = behaviours.iter().map(|(name, _)| *name).collect();
    let server = Server::start(behaviours.clone().map(|(name, behaviour)| (format!("/{name}"), behaviour)));
    let folder = TempDir::new().expect("a temporary folder");
    let list = folder.path().join("list.txt");
    // One row in a hundred stalls until its deadline, as on the open web.
    let pick = |i: usize| if i % 100 < 98 { names[i % (names.len() - 2)] } else { names[names.len() - 1 - i % 2] };
    let urls: String = (0..rows).map(|i| server.url(&format!("/{}", pick(i))) + "\n").collect();
    fs::write(&list, urls).expect("the list is written");

    let finished = Command::new(env!("CARGO_BIN_EXE_clipdata"))
        .arg("download")
        .arg(&list)
        .arg("--output-folder")
        .arg(folder.path().join("shards"))
        .args([
            "--allow-private-addresses",
            "--timeout",
            "1",
            "--max-body-bytes",
            "2000000",
            "--image-size",
            "64",
            "--json",
        ])
        .timeout(Duration::from_secs(900))
        .run()
        .success();
    let summary = finished.json_data("summary").pop().expect("a summary");
    let count = |name: &str| summary[name].as_u64().expect("a count") as usize;
    let good = (0..rows).filter(|i| pick(*i) == "good").count();
    assert_eq!(count("count"), rows, "{summary}");
    assert_eq!(count("successes"), good, "{summary}");
    assert_eq!(count("successes") + count("failed_to_download") + count("failed_to_resize"), rows, "{summary}");
    let peak = children_peak_kb();
    assert!(peak < MEMORY_CAP_KB, "peak memory was {peak} kB, expected below {MEMORY_CAP_KB} kB");
    format!("{rows} rows, {good} good, every row counted; peak memory {} MB", peak / 1000)
}

/// Largest resident set of any child so far, in kilobytes.
fn children_peak_kb() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells").max_rss()
}
