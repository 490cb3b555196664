//! The demo, then the commands that it prints, typed as they stand: the same scores come out.

use std::process::Child;
use std::time::Duration;

use support::Command;
use tempfile::TempDir;

const CLIPDATA: &str = env!("CARGO_BIN_EXE_clipdata");
const CLIPTRAIN: &str = env!("CARGO_BIN_EXE_cliptrain");

/// A command line of the demo's farewell as a command; the only quoting in there is single quotes.
fn typed(line: &str) -> Command {
    let mut words = line.split_whitespace().map(|word| word.trim_matches('\''));
    let binary = match words.next() {
        Some("clipdata") => CLIPDATA,
        Some("cliptrain") => CLIPTRAIN,
        other => panic!("not one of the binaries: {other:?}"),
    };
    Command::new(binary).args(words).timeout(Duration::from_secs(300))
}

/// Ends the server when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The top-1 share that an evaluation reports.
fn top1(line: &str) -> f64 {
    let finished = typed(line).arg("--json").run().success();
    finished.json_data("summary")[0]["zero_shot"][0]["top1"].as_f64().expect("a share")
}

#[test]
fn printed_commands_repeat_the_demo() {
    let folder = TempDir::new().unwrap();
    let demo = Command::new(CLIPTRAIN).current_dir(folder.path()).args(["demo", "--pictures", "1000", "--epochs", "4"]);
    let output =
        demo.args(["--output"]).arg(folder.path().join("demo")).timeout(Duration::from_secs(300)).run().success();
    let lines: Vec<&str> = output
        .stdout
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("clipdata ") || line.starts_with("cliptrain "))
        .collect();
    let [serve, download, stats, train, seen, unseen] = lines[..] else { panic!("six commands in: {}", output.stdout) };
    let _server = Running(typed(serve).spawn());
    let summary = typed(download).arg("--json").run().success().json_data("summary").pop().unwrap();
    assert_eq!(summary["successes"], 1000, "{summary}");
    // A shell would expand the star.
    let tables = (0..2).map(|shard| folder.path().join(format!("demo/shards-again/{shard:05}.parquet")));
    let stats =
        typed(stats.split_whitespace().take(2).collect::<Vec<_>>().join(" ").as_str()).args(tables).arg("--json");
    assert_eq!(stats.run().success().json_data("summary")[0]["rows"], 1000);
    let _ = typed(train).run().success();
    let scores = [top1(seen), top1(unseen)].map(|share| format!("top-1 {:5.1}%", 100.0 * share));
    for score in scores {
        assert!(output.stdout.contains(&score), "expected `{score}` in: {}", output.stdout);
    }
    let report = std::fs::read_to_string(folder.path().join("demo/report.html")).unwrap();
    assert!(report.contains("<svg") && report.contains("data:image/jpeg;base64,"));
}
