//! Towers that compute in 16 bits: features and gradients near those of 32, parameters and gradients kept in 32.

use candle_core::{DType, Device, Tensor};
use model::loss::contrastive_loss;
use model::{Clip, Gradients, Mode, Noise, Precision, presets};

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Cosine of two tensors as one vector each.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Features of both towers one behind the other, and all gradients.
fn pass(clip: &mut Clip, precision: Precision) -> (Vec<f32>, Vec<f32>) {
    clip.set_precision(precision);
    let side = clip.config().vision_cfg.image_size;
    let waves = (0..4 * 3 * side * side).map(|i| (i as f32 * 0.37).sin() + (i as f32 * 0.011).cos());
    let pixels = Tensor::from_iter(waves, &Device::Cpu).unwrap().reshape((4, 3, side, side)).unwrap();
    let ids = Tensor::new(&[[1u32, 5, 49, 0], [7, 49, 0, 0], [3, 9, 11, 49], [49, 0, 0, 0]], &Device::Cpu).unwrap();
    let (features, saved) = clip.forward(&pixels, &ids, Mode::Training(Noise::new(0, 0))).unwrap();
    assert_eq!((features.image.dtype(), features.text.dtype()), (DType::F32, DType::F32));
    let scale = clip.parameters().value(clip.logit_scale_id());
    let loss = contrastive_loss(&features.image, &features.text, scale).unwrap();
    let mut gradients = Gradients::new(clip.parameters());
    clip.backward(saved, &loss.d_image_features, &loss.d_text_features, &mut gradients).unwrap();
    assert!(gradients.iter().all(|(_, gradient)| gradient.dtype() == DType::F32));
    let all = gradients.iter().flat_map(|(_, gradient)| values(gradient)).collect();
    ([values(&features.image), values(&features.text)].concat(), all)
}

fn check(name: &str, least: f64) {
    let mut config = presets::config(name).unwrap();
    config.text_cfg.vocab_size = 50;
    let mut clip = Clip::new(&config, 3, &Device::Cpu).unwrap();
    let (features, gradients) = pass(&mut clip, Precision::Fp32);
    for precision in [Precision::Bf16, Precision::Fp16] {
        let (got, got_gradients) = pass(&mut clip, precision);
        let (near, along) = (cosine(&got, &features), cosine(&got_gradients, &gradients));
        assert!(near > 0.999 && along > least, "{name} {precision:?}: features {near}, gradients {along}");
        assert!(clip.parameters().iter().all(|(_, p)| p.value().dtype() != DType::BF16));
    }
}

#[test]
fn transformers_in_16_bits_come_near_32() {
    check("tiny-32", 0.99);
}

#[test]
fn residual_networks_in_16_bits_come_near_32() {
    check("tiny-rn-64", 0.9);
}
