//! Names, order and shapes of full-size models, and their configurations, against recorded open_clip models; nothing of
//! that size is allocated.

use std::path::{Path, PathBuf};

use model::clip::parameter_specs;
use model::parameters::Role;
use model::presets;
use serde_json::{Value, json};

/// Folders of recorded models; they are too large to stand among the project's own recorded answers.
fn folders() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let roots = std::iter::once(beside).chain(std::env::var_os("CLIP_FIXTURES").map(PathBuf::from));
    roots.map(|root| root.join("parameters")).filter(|folder| folder.is_dir()).collect()
}

#[test]
fn parity_parameters() {
    let mut read = 0;
    for folder in folders() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            check(name, &serde_json::from_str(&text).unwrap());
            println!("{}", path.display());
            read += 1;
        }
    }
    if read == 0 {
        println!("skipped: neither ../shared/fixtures nor $CLIP_FIXTURES is here");
    }
}

fn check(name: &str, recorded: &Value) {
    let preset = presets::config(name).unwrap();
    let config = model::ModelConfig::from_json(&recorded["model_cfg"].to_string()).unwrap().model_cfg;
    assert_eq!(config, preset, "{name}");
    let specs = parameter_specs(&preset).unwrap();
    let got: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), json!(spec.shape))).collect();
    let tensors = recorded["tensors"].as_object().unwrap();
    let expected: Vec<_> = tensors.iter().map(|(name, shape)| (name.as_str(), shape.clone())).collect();
    assert_eq!(got, expected, "{name}");
    let learned = specs.iter().filter(|spec| spec.role == Role::Parameter);
    let total: usize = learned.map(|spec| spec.shape.iter().product::<usize>()).sum();
    assert_eq!(recorded["parameters"].as_u64().unwrap(), total as u64, "{name}");
}
