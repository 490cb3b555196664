//! The house rules that a machine can check: who may depend on whom, what libraries leave alone, and how files
//! begin and end. A failure names the file, the line and the rule.

mod manifest;
mod source;

use std::path::Path;

use manifest::Manifest;
use source::{Source, root, sources};

/// Fails with all findings at once.
fn expect_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// The lines of code (no comments, no strings, no tests) that hold one of `words`.
fn lines_with(source: &Source, words: &[&str], rule: &str) -> Vec<String> {
    let lines = source.code.lines().enumerate();
    let found = lines.filter_map(|(i, line)| words.iter().find(|word| holds(line, word)).map(|word| (i, word)));
    found.map(|(i, word)| format!("{}:{}: `{word}`: {rule}", source.path, i + 1)).collect()
}

/// Whether `word` stands in the line and is not the end of a longer name.
fn holds(line: &str, word: &str) -> bool {
    let part_of_a_name = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| !word.starts_with(char::is_alphabetic) || !part_of_a_name(&line[..at]))
}

/// Fails when the code of a file that `chosen` picks holds one of `words`.
fn forbid(words: &[&str], chosen: impl Fn(&Source) -> bool, rule: &str) {
    let sources = sources().into_iter().filter(chosen);
    expect_none(&sources.flat_map(|source| lines_with(&source, words, rule)).collect::<Vec<_>>());
}

/// Whether it belongs to a library itself, not to its tests, examples or benchmarks.
fn is_library(source: &Source) -> bool {
    source.path.starts_with("crates/") && source.path.contains("/src/")
}

/// The library crates and the workspace members that each may depend on.
const ARROWS: [(&str, &[&str]); 7] = [
    ("crates/shards", &[]),
    ("crates/model", &[]),
    ("crates/ingest", &["shards"]),
    ("crates/loader", &["shards"]),
    ("crates/trainer", &["loader", "model"]),
    ("tools", &["shards", "ingest", "loader", "model", "trainer"]),
    ("tests/support", &[]),
];

/// Heavy or terminal-bound dependencies and the members that may have them.
const OWNERS: [(&str, &[&str]); 11] = [
    ("clap", &["tools"]),
    ("indicatif", &["tools"]),
    ("anyhow", &["tools"]),
    ("candle-core", &["crates/model", "crates/trainer"]),
    ("candle-nn", &["crates/model", "crates/trainer"]),
    ("tokio", &["crates/ingest", "crates/shards", "crates/trainer", "tools"]),
    ("polars", &["crates/ingest"]),
    ("arrow", &["crates/ingest", "crates/shards"]),
    ("parquet", &["crates/ingest", "crates/shards"]),
    ("aws-sdk-s3", &["crates/shards"]),
    ("aws-config", &["crates/shards"]),
];

#[test]
fn every_library_is_in_the_picture() {
    let folders = std::fs::read_dir(root().join("crates")).expect("the folder crates/ is there");
    let names = folders.map(|folder| format!("crates/{}", folder.expect("a readable folder").file_name().display()));
    let unknown = names.filter(|name| !ARROWS.iter().any(|(known, _)| known == name));
    expect_none(
        &unknown.map(|name| format!("{name}: not among the arrows of docs/architecture.md")).collect::<Vec<_>>(),
    );
}

#[test]
fn dependencies_follow_the_arrows() {
    let members: Vec<&str> = ARROWS.iter().map(|(folder, _)| folder.rsplit('/').next().unwrap_or(folder)).collect();
    let mut findings = Vec::new();
    for (folder, allowed) in ARROWS {
        for dependency in Manifest::read(folder).dependencies {
            if members.contains(&&*dependency.name) && !allowed.contains(&&*dependency.name) {
                findings.push(format!(
                    "{folder}/Cargo.toml:{}: `{}`: {folder} may depend on {allowed:?} alone",
                    dependency.line, dependency.name
                ));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn heavy_dependencies_stay_with_their_owners() {
    let mut findings = Vec::new();
    for (folder, _) in ARROWS {
        for dependency in Manifest::read(folder).dependencies {
            let owners = OWNERS.iter().find(|(name, _)| *name == dependency.name).map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(&folder)) {
                let (line, name) = (dependency.line, dependency.name);
                findings.push(format!("{folder}/Cargo.toml:{line}: `{name}`: belongs to {owners:?}"));
            }
        }
    }
    expect_none(&findings);
}

#[test]
fn libraries_know_no_terminal() {
    let words = ["println!", "print!", "eprintln!", "eprint!", "process::exit", "clap::", "indicatif::", "anyhow::"];
    forbid(&words, is_library, "libraries return values and errors; the tools talk");
}

/// They panic where the other end is closed or full, and would end the work that they tell of.
#[test]
fn the_binaries_print_through_out() {
    let words = ["println!", "print!", "eprintln!", "eprint!"];
    forbid(&words, |source| source.path.starts_with("tools/src/"), "tools::out writes, tools::note! tells");
}

#[test]
fn the_async_runtime_stays_behind_the_network() {
    let networked = [
        "crates/ingest/",
        "crates/shards/src/store/http",
        "crates/shards/src/store/s3",
        "crates/shards/src/store/patience",
        "crates/shards/src/store/remote",
        "crates/trainer/src/pretrained/hub",
    ];
    let others = |source: &Source| is_library(source) && !networked.iter().any(|path| source.path.starts_with(path));
    forbid(&["tokio"], others, "belongs to ingest, to the stores of shards that use the network and to the hub");
}

#[test]
fn libraries_do_not_unwrap() {
    forbid(&[".unwrap()", ".unwrap_err()"], is_library, "return an error, or expect(\"why it cannot fail\")");
}

#[test]
fn nothing_is_left_to_do() {
    forbid(&["todo!", "unimplemented!", "dbg!"], |_| true, "finish it or leave it out");
}

#[test]
fn every_file_says_at_its_top_what_it_owns() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    expect_none(&silent.map(|source| format!("{}:1: opens without `//!`", source.path)).collect::<Vec<_>>());
}

#[test]
fn no_file_is_long() {
    const MOST: usize = 500;
    let lines = |source: &Source| source.text.lines().count();
    let long = sources().into_iter().filter(|source| !source.path.starts_with("tests/") && lines(source) > MOST);
    let findings = long.map(|source| format!("{}:{}: longer than {MOST} lines", source.path, lines(&source)));
    expect_none(&findings.collect::<Vec<_>>());
}

#[test]
fn no_file_is_a_drawer_for_everything() {
    let drawers = ["utils", "util", "common", "helpers", "helper", "types", "misc"];
    let named = |path: &str| path.split('/').any(|part| drawers.contains(&part.trim_end_matches(".rs")));
    let findings = sources().into_iter().filter(|source| named(&source.path));
    expect_none(&findings.map(|source| format!("{}:1: name it after what it owns", source.path)).collect::<Vec<_>>());
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Put together here, so that this file does not find itself.
    let homes = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut findings = Vec::new();
    for (path, text) in source::texts() {
        for (i, line) in text.lines().enumerate() {
            let found = homes.iter().filter(|home| starts_a_path(line, home));
            findings.extend(found.map(|home| format!("{path}:{}: `{home}`: an absolute path of one machine", i + 1)));
        }
    }
    expect_none(&findings);
}

/// Whether `home` stands in the line and is not the middle of a longer path or address.
fn starts_a_path(line: &str, home: &str) -> bool {
    let inner = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || "._-/}$>)".contains(c));
    line.match_indices(home).any(|(at, _)| !inner(&line[..at]))
}

#[test]
fn what_others_rely_on_is_there() {
    let wanted = ["tests/golden", "NOTICE", "LICENSE-MIT", "LICENSE-APACHE", "docs/architecture.md"];
    let missing = wanted.into_iter().filter(|path| !Path::new(&root()).join(path).exists());
    expect_none(&missing.map(|path| format!("{path}: is missing")).collect::<Vec<_>>());
}

#[test]
fn words_are_found_in_code_and_not_within_other_words() {
    assert!(holds("    println!(\"\")", "println!") && !holds("eprintln!()", "println!"));
    assert!(holds("x.unwrap()", ".unwrap()") && !holds("x.unwrap_or(1)", ".unwrap()"));
    assert!(holds("use tokio::net;", "tokio") && !holds("my_tokio", "tokio"));
}
