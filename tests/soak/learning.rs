//! The demo learns: seen pairs, and pairs it never saw.

use std::time::Duration;

use support::Command;
use tempfile::TempDir;

use crate::Extent;

/// The demo at its full size, or at a size that must merely beat chance by far.
pub fn run(extent: Extent) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    let demo = Command::new(env!("CARGO_BIN_EXE_cliptrain"))
        .args(["demo", "--json", "--output"])
        .arg(folder.path().join("demo"));
    let (demo, seen_bar, unseen_bar) = match extent {
        Extent::Full => (demo, 0.90, 0.50),
        Extent::Quick => (demo.args(["--pictures", "2000", "--epochs", "8"]), 0.10, 0.0),
    };
    let finished = demo.timeout(Duration::from_secs(900)).run().success();
    let summary = finished.json_data("summary").pop().expect("a summary");
    let top1 = |name: &str| summary[name].as_f64().expect("a share");
    let (seen, unseen) = (top1("top1_seen_pairs"), top1("top1_unseen_pairs"));
    assert!(seen >= seen_bar, "top-1 on seen pairs is {seen}, expected at least {seen_bar}");
    assert!(unseen >= unseen_bar, "top-1 on unseen pairs is {unseen}, expected at least {unseen_bar}");
    format!("top-1 {:.1} % on pairs seen in training, {:.1} % on pairs never seen", 100.0 * seen, 100.0 * unseen)
}
