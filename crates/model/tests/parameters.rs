//! Names, order and shapes of full-size models against recorded open_clip models; nothing of that size is allocated.

use std::path::Path;

use model::clip::parameter_specs;
use model::presets;

#[test]
fn presets_have_the_tensors_of_open_clip() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/parameters");
    if !dir.is_dir() {
        eprintln!("skipped: {} is absent", dir.display());
        return;
    }
    for name in presets::NAMES.into_iter().filter(|name| name.starts_with("ViT")) {
        let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
        let specs = parameter_specs(&presets::config(name).unwrap()).unwrap();
        let recorded_tensors = recorded["tensors"].as_object().unwrap();
        let got: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), serde_json::json!(spec.shape))).collect();
        let expected: Vec<_> = recorded_tensors.iter().map(|(name, shape)| (name.as_str(), shape.clone())).collect();
        assert_eq!(got, expected, "{name}");
        let total: usize = specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum();
        assert_eq!(recorded["parameters"].as_u64().unwrap(), total as u64, "{name}");
        println!("read: {name}");
    }
}

#[test]
fn recorded_configs_equal_the_presets() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/parameters");
    if !dir.is_dir() {
        eprintln!("skipped: {} is absent", dir.display());
        return;
    }
    for name in presets::NAMES.into_iter().filter(|name| name.starts_with("ViT")) {
        let text = std::fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
        let config = model::ModelConfig::from_json(&recorded["model_cfg"].to_string()).unwrap().model_cfg;
        assert_eq!(config, presets::config(name).unwrap(), "{name}");
    }
}
