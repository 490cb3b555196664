//! Whole training runs against open_clip's: loss, rate, scale and norm at every step, and the final weights.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use model::clip::{Clip, LayerNorms};
use model::config::{ClipConfig, ModelConfig};
use serde::Deserialize;
use support::fixtures;
use trainer::checkpoint::resume_open_clip;
use trainer::config::AdamW;
use trainer::schedule::{Schedule, Shape};
use trainer::step::Trainer;

#[derive(Deserialize)]
struct Config {
    model_cfg: serde_json::Value,
    steps: u64,
    accum_freq: u64,
    lock_image_unlocked_groups: Option<usize>,
    lock_text_unlocked_layers: Option<usize>,
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

/// How near a run must come; batch norm in training mode amplifies rounding from step to step.
struct Tolerances {
    loss: fn(u64, f64) -> f64,
    grad_norm: fn(u64) -> f64,
    compares_weights: bool,
}

const PLAIN: Tolerances = Tolerances { loss: |_, _| 1e-5, grad_norm: |_| 1e-4, compares_weights: true };
const BATCH_NORM: Tolerances = Tolerances {
    loss: |step, loss| if step < 3 { 1e-4 * loss } else { 5e-3 },
    grad_norm: |step| if step < 3 { 1e-3 } else { f64::INFINITY },
    compares_weights: false,
};

fn follow(case: &Path) {
    let config: Config = json(&case.join("config.json"));
    let adamw = AdamW { beta1: config.beta1, beta2: config.beta2, eps: config.eps, wd: config.wd };
    let clip = open(case, &config, &case.join("init.safetensors"));
    run(case, &config, Trainer::new(clip, adamw, config.grad_clip_norm).expect("a trainer"), 0);
    if case.ends_with("through-a-checkpoint") {
        let checkpoint = case.join("../../checkpoint/epoch_1.pt");
        let clip = open(case, &config, &checkpoint);
        let resumed = resume_open_clip(clip, &checkpoint, adamw, config.grad_clip_norm).expect("a checkpoint");
        assert_eq!((resumed.1.moment.epoch, resumed.1.steps), (1, 3));
        run(case, &config, resumed.0, 3);
    }
}

fn open(case: &Path, config: &Config, weights: &Path) -> Clip {
    let mut model_cfg: ClipConfig = serde_json::from_value(config.model_cfg.clone()).expect("a model_cfg");
    model_cfg.text_cfg.find_hf_config(case).expect("a config.json where one is asked for");
    let model = ModelConfig { model_cfg, preprocess_cfg: Default::default() };
    let mut clip = Clip::load_weights(model, weights, &Device::Cpu).expect("the weights fit");
    if let Some(groups) = config.lock_image_unlocked_groups {
        clip.lock_image(groups).expect("a tower with groups");
    }
    if let Some(layers) = config.lock_text_unlocked_layers {
        clip.lock_text(layers, LayerNorms::Held);
    }
    clip
}

/// Takes the steps from `first` on and compares each, and the weights at the end.
fn run(case: &Path, config: &Config, mut trainer: Trainer, first: u64) {
    let steps: Vec<Step> = json(&case.join("steps.json"));
    let batches = candle_core::safetensors::load(case.join("batches.safetensors"), &Device::Cpu).expect("batches");
    let schedule = Schedule { base: config.lr, warmup: config.warmup, total_steps: config.steps, shape: Shape::Cosine };
    let has_batch_norm = trainer.clip.parameters().iter().any(|(_, parameter)| !parameter.is_learned());
    let tolerances = if has_batch_norm { BATCH_NORM } else { PLAIN };
    for step in steps.iter().filter(|step| step.step >= first) {
        let lr = schedule.rate(step.step);
        let parts = step.step * config.accum_freq..(step.step + 1) * config.accum_freq;
        let part = |i: u64| (batches[&format!("images.{i}")].clone(), batches[&format!("texts.{i}")].clone());
        let stepped = trainer.step_accumulated(&parts.map(part).collect::<Vec<_>>(), lr).expect("the step is taken");
        near(case, step.step, "lr", lr, step.lr, 1e-9);
        near(case, step.step, "loss", stepped.loss, step.loss, (tolerances.loss)(step.step, step.loss));
        if tolerances.compares_weights {
            near(case, step.step, "logit_scale", stepped.logit_scale, step.logit_scale, 1e-5);
        }
        let allowed = (tolerances.grad_norm)(step.step) * step.grad_norm;
        near(case, step.step, "grad_norm", stepped.grad_norm, step.grad_norm, allowed);
    }
    if tolerances.compares_weights {
        let expected = candle_core::safetensors::load(case.join("final.safetensors"), &Device::Cpu);
        compare_weights(case, &trainer, &expected.expect("final weights"));
    }
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
