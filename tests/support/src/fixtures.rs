//! Where answers recorded from open_clip lie, and which kinds of them there are.
//!
//! `tests/golden` is always read; the folder that the environment variable `CLIP_FIXTURES` names is read as well when
//! it is set, whatever of the same layout it holds.

use std::path::{Path, PathBuf};

/// Cases of these topics whose names are listed must agree, and no others may be there; a name that ends in `*` stands for all
/// that begin so.
const BUILT: [(&str, &[&str]); 2] = [
    ("models", &["vit", "vit-*", "resnet", "resnet-*", "roberta-*", "xlm-roberta-*"]),
    ("trajectory", &["vit", "vit-*", "resnet-*", "roberta-*", "through-a-checkpoint"]),
];

/// The folders of recorded answers.
pub fn roots() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let given = std::env::var_os("CLIP_FIXTURES").map(PathBuf::from);
    std::iter::once(golden).chain(given).collect()
}

/// The file or folder `name` of every root that has it; the project's own must.
pub fn paths(name: &str) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = roots().into_iter().map(|root| root.join(name)).collect();
    assert!(paths[0].exists(), "{} is missing", paths[0].display());
    let (there, absent): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.exists());
    absent.iter().for_each(|path| println!("absent: {}", path.display()));
    there
}

/// The cases of a topic, each a folder.
///
/// # Panics
/// On a case of an unknown kind, and where there is nothing to read.
pub fn cases(topic: &str) -> Vec<PathBuf> {
    let mut chosen = Vec::new();
    for folder in paths(topic) {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut cases: Vec<_> =
            entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
        cases.sort();
        cases.iter().for_each(|case| expect_known(topic, case));
        chosen.extend(cases);
    }
    assert!(!chosen.is_empty(), "no case of `{topic}` was read");
    chosen
}

fn expect_known(topic: &str, case: &Path) {
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    assert!(holds(&BUILT, topic, &name), "a case of unknown kind: {}", case.display());
    println!("read: {}", case.display());
}

fn holds(table: &[(&str, &[&str])], topic: &str, name: &str) -> bool {
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    };
    table.iter().any(|(of, patterns)| *of == topic && patterns.iter().any(fits))
}

#[test]
fn kinds_are_known_by_their_beginning() {
    assert!(holds(&BUILT, "models", "roberta-mean_pooler-mlp") && !holds(&BUILT, "models", "convnext"));
}
