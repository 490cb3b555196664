//! Whole training runs against open_clip's: loss, rate, scale and norm at every step, and the final weights.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use model::clip::Clip;
use model::config::{ClipConfig, ModelConfig};
use serde::Deserialize;
use support::fixtures;
use trainer::config::AdamW;
use trainer::schedule::{Schedule, Shape};
use trainer::step::Trainer;

#[derive(Deserialize)]
struct Config {
    model_cfg: serde_json::Value,
    steps: u64,
    grad_clip_norm: Option<f64>,
    lr: f64,
    wd: f64,
    warmup: u64,
    beta1: f64,
    beta2: f64,
    eps: f64,
}

#[derive(Deserialize)]
struct Step {
    step: u64,
    lr: f64,
    loss: f64,
    logit_scale: f64,
    grad_norm: f64,
}

#[test]
fn parity_trajectory() {
    fixtures::cases("trajectory").iter().for_each(|case| follow(case));
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("it parses")
}

fn follow(case: &Path) {
    let config: Config = json(&case.join("config.json"));
    let steps: Vec<Step> = json(&case.join("steps.json"));
    let model_cfg: ClipConfig = serde_json::from_value(config.model_cfg.clone()).expect("a model_cfg");
    let model = ModelConfig { model_cfg, preprocess_cfg: Default::default() };
    let clip = Clip::load_weights(model, &case.join("init.safetensors"), &Device::Cpu).expect("the weights fit");
    let batches = candle_core::safetensors::load(case.join("batches.safetensors"), &Device::Cpu).expect("batches");
    let adamw = AdamW { beta1: config.beta1, beta2: config.beta2, eps: config.eps, wd: config.wd };
    let schedule = Schedule { base: config.lr, warmup: config.warmup, total_steps: config.steps, shape: Shape::Cosine };
    let mut trainer = Trainer::new(clip, adamw, config.grad_clip_norm).expect("a trainer");
    for step in &steps {
        let lr = schedule.rate(step.step);
        let (images, texts) = (&batches[&format!("images.{}", step.step)], &batches[&format!("texts.{}", step.step)]);
        let stepped = trainer.step(images, texts, lr).expect("the step is taken");
        near(case, step.step, "lr", lr, step.lr, 1e-9);
        near(case, step.step, "loss", stepped.loss, step.loss, 1e-5);
        near(case, step.step, "logit_scale", stepped.logit_scale, step.logit_scale, 1e-5);
        near(case, step.step, "grad_norm", stepped.grad_norm, step.grad_norm, 1e-4 * step.grad_norm);
    }
    let expected = candle_core::safetensors::load(case.join("final.safetensors"), &Device::Cpu).expect("final weights");
    compare_weights(case, &trainer, &expected);
}

fn near(case: &Path, step: u64, what: &str, got: f64, expected: f64, tolerance: f64) {
    let distance = (got - expected).abs();
    assert!(distance <= tolerance, "{} step {step}: {what} expected {expected}, got {got}", case.display());
}

fn compare_weights(case: &Path, trainer: &Trainer, expected: &HashMap<String, Tensor>) {
    for (_, parameter) in trainer.clip.parameters().iter() {
        let wanted = &expected[&parameter.name];
        let largest = maximum(wanted);
        let distance = maximum(&(parameter.value() - wanted).expect("shapes are equal"));
        let name = &parameter.name;
        assert!(distance <= 3e-3 * largest, "{}: `{name}` is off by {distance} of {largest}", case.display());
    }
}

fn maximum(tensor: &Tensor) -> f32 {
    let largest = tensor.abs().and_then(|t| t.flatten_all()).and_then(|t| t.max(0)).expect("a number");
    largest.to_scalar().expect("a scalar")
}
