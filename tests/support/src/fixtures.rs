//! Where answers recorded from open_clip lie, and which kinds of them the project can give already.
//!
//! `tests/golden` is always read; the folder that the environment variable `CLIP_FIXTURES` names is read as well when
//! it is set, whatever of the same layout it holds.

use std::path::{Path, PathBuf};

/// Cases of these topics whose names are listed must agree; those that end in `*` stand for all that begin so.
const BUILT: [(&str, &[&str]); 2] = [
    (
        "models",
        &["vit", "vit-quickgelu", "vit-mlp-ratio", "vit-avg-pool", "vit-layer-scale", "vit-custom-text", "vit-siglip"],
    ),
    ("trajectory", &["vit", "vit-grad-clip"]),
];

/// Cases of these topics are known, but what they ask for is not built yet. A case in neither list fails its test.
const NOT_BUILT_YET: [(&str, &[&str]); 2] = [
    ("models", &["resnet", "resnet-quickgelu", "roberta-*", "xlm-roberta-*"]),
    (
        "trajectory",
        &[
            "vit-accum-2",
            "vit-lock-image",
            "vit-lock-image-2-groups",
            "vit-lock-text-1-layer",
            "resnet-train-mode",
            "roberta-lock-text-0-layers",
            "roberta-lock-text-1-layer",
            "through-a-checkpoint",
        ],
    ),
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

/// The cases of a topic that must agree, each a folder; every other one is printed.
///
/// # Panics
/// On a case of a kind that is in no list, and where there is nothing to read.
pub fn cases(topic: &str) -> Vec<PathBuf> {
    let mut chosen = Vec::new();
    for folder in paths(topic) {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut cases: Vec<_> =
            entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
        cases.sort();
        chosen.extend(cases.into_iter().filter(|case| is_built(topic, case)));
    }
    assert!(!chosen.is_empty(), "no case of `{topic}` was read");
    chosen
}

fn is_built(topic: &str, case: &Path) -> bool {
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    if holds(&BUILT, topic, &name) {
        println!("read: {}", case.display());
        return true;
    }
    assert!(holds(&NOT_BUILT_YET, topic, &name), "a case of unknown kind: {}", case.display());
    println!("not built yet: {}", case.display());
    false
}

fn holds(table: &[(&str, &[&str])], topic: &str, name: &str) -> bool {
    let fits = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *pattern,
    };
    table.iter().any(|(of, patterns)| *of == topic && patterns.iter().any(fits))
}

#[test]
fn a_kind_is_in_one_list() {
    for (topic, names) in BUILT {
        assert!(names.iter().all(|name| holds(&BUILT, topic, name) && !holds(&NOT_BUILT_YET, topic, name)));
    }
    assert!(holds(&NOT_BUILT_YET, "models", "roberta-mean_pooler-mlp") && !holds(&BUILT, "models", "vit-"));
}
