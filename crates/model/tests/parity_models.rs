//! Features, loss and every gradient against recorded open_clip models.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, safetensors};
use model::loss::{LossOutput, contrastive_loss, siglip_loss};
use model::{Clip, Features, Gradients, Mode, Noise};
use support::fixtures;

/// Absolute tolerance of features, logits over scale, and loss.
const VALUE: f32 = 1e-5;
/// Tolerance of a gradient, relative to its tensor's largest value.
const GRADIENT: f32 = 1e-4;
/// Floor of the tolerance of gradients: some are zero in exact arithmetic.
const GRADIENT_FLOOR: f32 = 1e-7;

/// The same in training mode, where batch norm takes the batch's own statistics and amplifies rounding; the floor grows with
/// it. What is recorded for the key projection's bias, 1e-7, is noise too: in float64 that gradient is 1e-16.
const TRAIN_MODE_GRADIENT: f32 = 1e-3;
/// Tolerance of running statistics after one batch, relative to values above 1.
const STATISTIC: f32 = 1e-4;

#[test]
fn parity_models() {
    for case in fixtures::cases("models") {
        check(&case, "io.safetensors", Mode::Evaluation, GRADIENT);
        if case.join("io_train_mode.safetensors").exists() {
            let mode = Mode::Training(Noise::new(0, 0));
            check(&case, "io_train_mode.safetensors", mode, TRAIN_MODE_GRADIENT);
        }
    }
}

fn check(case: &Path, file: &str, mode: Mode, tolerance: f32) {
    let mut clip = Clip::load(case, &Device::Cpu).unwrap();
    let io = safetensors::load(case.join(file), &Device::Cpu).unwrap();
    let (features, saved) = clip.forward(&io["images"], &io["texts"], mode).unwrap();
    let worst_value = check_values(&clip, &features, &io);

    let loss = loss_of(&clip, &features);
    let recorded = values(&io["loss"])[0];
    assert!((loss.value().unwrap() as f32 - recorded).abs() <= VALUE, "loss {:?}, recorded {recorded}", loss.value());

    let mut gradients = Gradients::new(clip.parameters());
    clip.track(&saved.image).unwrap();
    check_statistics(&clip, &io);
    clip.backward(saved, &loss.d_image_features, &loss.d_text_features, &mut gradients).unwrap();
    gradients.accumulate(clip.logit_scale_id(), loss.d_logit_scale).unwrap();
    if let (Some(id), Some(gradient)) = (clip.logit_bias_id(), loss.d_logit_bias) {
        gradients.accumulate(id, gradient).unwrap();
    }
    let worst_gradient = check_gradients(&clip, &gradients, &io, tolerance);
    let folder = case.join(file);
    println!(
        "{}: values off by {worst_value:.1e}, gradients by {worst_gradient:.1e} of their largest",
        folder.display()
    );
}

fn check_statistics(clip: &Clip, io: &HashMap<String, Tensor>) {
    for (name, expected) in io.iter().filter_map(|(name, value)| Some((name.strip_prefix("after.")?, value))) {
        let id = clip.parameters().id(name).unwrap_or_else(|| panic!("no buffer {name}"));
        let largest = values(expected).iter().fold(1f32, |a, b| a.max(b.abs()));
        let distance = distance(clip.parameters().value(id), expected);
        assert!(distance <= STATISTIC * largest, "{name} off by {distance}");
    }
}

fn loss_of(clip: &Clip, features: &Features) -> LossOutput {
    let scale = clip.parameters().value(clip.logit_scale_id());
    match clip.logit_bias_id() {
        None => contrastive_loss(&features.image, &features.text, scale),
        Some(bias) => siglip_loss(&features.image, &features.text, scale, clip.parameters().value(bias)),
    }
    .unwrap()
}

fn check_values(clip: &Clip, features: &Features, io: &HashMap<String, Tensor>) -> f32 {
    let scale = clip.logit_scale().unwrap();
    let bias = clip.logit_bias_id().map_or(0.0, |id| values(clip.parameters().value(id))[0]);
    let products = features.image.matmul(&features.text.t().unwrap()).unwrap();
    let recorded = io.get("logits_per_image").map(|logits| ((logits - f64::from(bias)).unwrap() / scale).unwrap());
    let mut compared = vec![
        ("image_features", &features.image, &io["image_features"]),
        ("text_features", &features.text, &io["text_features"]),
    ];
    compared.extend(recorded.as_ref().map(|recorded| ("logits", &products, recorded)));
    let mut worst = 0f32;
    for (name, got, expected) in compared {
        let distance = distance(got, expected);
        assert!(distance <= VALUE, "{name} off by {distance}");
        worst = worst.max(distance);
    }
    worst
}

fn check_gradients(clip: &Clip, gradients: &Gradients, io: &HashMap<String, Tensor>, tolerance: f32) -> f32 {
    let recorded = io.keys().filter(|name| name.starts_with("grad.")).count();
    let learned = || clip.parameters().iter().filter(|(_, parameter)| parameter.is_learned());
    assert_eq!(recorded, learned().count(), "one gradient for every parameter");
    let mut worst = 0f32;
    for (id, parameter) in learned() {
        let expected = &io[&format!("grad.{}", parameter.name)];
        let got = gradients.get(id).unwrap_or_else(|| panic!("no gradient of {}", parameter.name));
        let largest = values(expected).iter().fold(0f32, |a, b| a.max(b.abs()));
        let distance = distance(got, expected);
        let allowed = tolerance * largest.max(GRADIENT_FLOOR / GRADIENT);
        assert!(distance <= allowed, "gradient of {} off by {distance}, allowed {allowed}", parameter.name);
        worst = worst.max(distance / largest.max(GRADIENT_FLOOR / GRADIENT));
    }
    worst
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn distance(got: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(got.dims(), expected.dims());
    let (got, expected) = (values(got), values(expected));
    got.iter()
        .zip(&expected)
        .fold(0f32, |worst, (a, b)| worst.max(if a.is_nan() { f32::INFINITY } else { (a - b).abs() }))
}
