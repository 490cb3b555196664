//! Weights on disk: what is written reads back equal, and what does not fit is named.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use model::config::{Layers, ModelConfig, PreprocessConfig};
use model::{Clip, presets, weights};

fn tiny() -> Clip {
    let mut config = presets::config("tiny-32").unwrap();
    config.text_cfg.vocab_size = 50;
    config.vision_cfg.layers = Layers::Blocks(1);
    config.text_cfg.layers = 1;
    Clip::new(&config, 3, &Device::Cpu).unwrap()
}

/// Saves a small model, changes its tensors, and reads it again.
fn reread(dir: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> model::Result<Clip> {
    tiny().save(dir).unwrap();
    let file = dir.join(weights::MODEL_FILE);
    let mut tensors = safetensors::load(&file, &Device::Cpu).unwrap();
    change(&mut tensors);
    safetensors::save(&tensors, &file).unwrap();
    Clip::load(dir, &Device::Cpu)
}

fn message(change: impl FnOnce(&mut HashMap<String, Tensor>)) -> String {
    let dir = tempfile::tempdir().unwrap();
    reread(dir.path(), change).map(|_| String::new()).unwrap_or_else(|e| e.to_string())
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn saved_model_reads_back_equal() {
    let dir = tempfile::tempdir().unwrap();
    let mut clip = tiny();
    clip.set_preprocess(PreprocessConfig { mean: [0.5; 3], std: [0.25; 3], ..PreprocessConfig::default() });
    clip.save(dir.path()).unwrap();
    let again = Clip::load(dir.path(), &Device::Cpu).unwrap();
    assert_eq!(again.model_config(), clip.model_config());
    for ((id, before), (_, after)) in clip.parameters().iter().zip(again.parameters().iter()) {
        assert_eq!(before.name, after.name);
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(before.value()), flat(after.value()), "{}", clip.parameters().name(id));
    }
}

#[test]
fn written_config_has_the_shape_of_open_clip() {
    let dir = tempfile::tempdir().unwrap();
    tiny().save(dir.path()).unwrap();
    let text = std::fs::read_to_string(dir.path().join(weights::CONFIG_FILE)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["model_cfg"]["vision_cfg"]["patch_size"], 4);
    assert_eq!(json["preprocess_cfg"]["mean"][0], 0.48145466);
    assert!(ModelConfig::from_json(&text).is_ok());
}

#[test]
fn what_is_not_a_weight_is_dropped_and_scalars_may_have_one_dimension() {
    let dir = tempfile::tempdir().unwrap();
    let clip = reread(dir.path(), |tensors| {
        tensors.insert("input_resolution".into(), zeros(&[]));
        tensors.insert("text.transformer.embeddings.position_ids".into(), zeros(&[1, 4]));
        let scale = tensors["logit_scale"].reshape(1).unwrap();
        tensors.insert("logit_scale".into(), scale);
    });
    assert!((clip.unwrap().logit_scale().unwrap() - 1.0 / 0.07).abs() < 1e-4);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let missing = message(|tensors| drop(tensors.remove("ln_final.bias")));
    assert_eq!(missing, "weights: tensor `ln_final.bias` is missing (expected shape [96])");
    let misshapen = message(|tensors| drop(tensors.insert("visual.proj".into(), zeros(&[96, 65]))));
    assert_eq!(misshapen, "weights: tensor `visual.proj` has shape [96, 65], expected [96, 64]");
    let unexpected = message(|tensors| drop(tensors.insert("visual.extra".into(), zeros(&[2]))));
    assert_eq!(unexpected, "weights: tensor `visual.extra` (shape [2]) is not part of this model");
}

#[test]
fn file_that_is_cut_off_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    tiny().save(dir.path()).unwrap();
    let file = dir.path().join(weights::MODEL_FILE);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let message = Clip::load(dir.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(message.contains(weights::MODEL_FILE), "{message}");
}
