//! Gradients of whole towers against finite differences, tensor by tensor: odd widths, dropout, patch dropout, batch
//! statistics, layer scale and mean pooling included. Inputs, weights and directions are the same in every run.

use candle_core::{Device, Tensor};
use model::config::{ClipConfig, HfConfig, HfPooler, HfProjection, Layers, PoolType};
use model::{Clip, Gradients, Mode, Noise, presets};

/// Step of the differences, relative to the tensor's largest value.
const STEP: f64 = 2e-3;

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Values that look random and are the same in every run.
fn fixed(shape: &[usize], seed: u64) -> Tensor {
    let stream = Noise::new(seed, 1).stream("fixed");
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count as u64).map(|i| stream.normal_pair(i)[0] as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

struct Case {
    clip: Clip,
    pixels: Tensor,
    ids: Tensor,
    mode: Mode,
    /// What features are multiplied with to become one number.
    weights: [Tensor; 2],
}

impl Case {
    fn new(config: &ClipConfig, mode: Mode) -> Self {
        let mut clip = Clip::new(config, 5, &Device::Cpu).unwrap();
        let ids: Vec<_> = clip.parameters().iter().filter(|(_, p)| p.is_learned()).map(|(id, _)| id).collect();
        for (seed, id) in (0..).zip(ids) {
            // No zero biases, no unit gains: every parameter counts.
            let value = clip.parameters().value(id).clone();
            let moved = (&value + (fixed(value.dims(), seed) * 0.1).unwrap()).unwrap();
            clip.parameters_mut().set(id, moved).unwrap();
        }
        let side = config.vision_cfg.image_size;
        let ids = Tensor::new(&[[3u32, 9, 2, 1, 1], [7, 4, 5, 6, 2], [8, 2, 1, 1, 1]], &Device::Cpu).unwrap();
        let weights = [7, 8].map(|seed| fixed(&[3, config.embed_dim], seed));
        Self { clip, pixels: fixed(&[3, 3, side, side], 6), ids, mode, weights }
    }

    fn value(&self) -> f64 {
        let (features, _) = self.clip.forward(&self.pixels, &self.ids, self.mode).unwrap();
        let sum = |a: &Tensor, b: &Tensor| -> f64 {
            values(a).iter().zip(values(b)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
        };
        sum(&features.image, &self.weights[0]) + sum(&features.text, &self.weights[1])
    }

    fn gradients(&self) -> Gradients {
        let mut gradients = Gradients::new(self.clip.parameters());
        let (_, saved) = self.clip.forward(&self.pixels, &self.ids, self.mode).unwrap();
        self.clip.backward(saved, &self.weights[0], &self.weights[1], &mut gradients).unwrap();
        gradients
    }

    /// Compares the slope along a fixed direction in every tensor; `tolerance` is relative to the gradient's length.
    fn check(mut self, tolerance: f64) {
        let gradients = self.gradients();
        let ids: Vec<_> = gradients.iter().map(|(id, _)| id).collect();
        assert!(ids.len() > 20);
        for (seed, id) in (100..).zip(ids) {
            let value = self.clip.parameters().value(id).clone();
            let largest = values(&value).iter().fold(0f32, |a, b| a.max(b.abs()));
            let direction = fixed(value.dims(), seed);
            let step = STEP * f64::from(largest.max(0.05)) / (value.elem_count() as f64).sqrt().max(1.0);
            let mut at = |factor: f64| {
                let moved = (&value + (&direction * factor).unwrap()).unwrap();
                self.clip.parameters_mut().set(id, moved).unwrap();
                self.value()
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            at(0.0);
            let gradient = values(gradients.get(id).unwrap());
            let expected: f64 =
                gradient.iter().zip(values(&direction)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum();
            let norm = gradient.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>().sqrt();
            let allowed = tolerance * norm + 2e-6 / step;
            let name = self.clip.parameters().name(id);
            assert!(
                (slope - expected).abs() <= allowed,
                "{name}: slope {slope}, gradient {expected}, allowed {allowed}"
            );
        }
    }
}

fn small(name: &str) -> ClipConfig {
    let mut config = presets::config(name).unwrap();
    config.embed_dim = 10;
    config.text_cfg.vocab_size = 12;
    config.text_cfg.width = 18;
    config
}

fn training() -> Mode {
    Mode::Training(Noise::new(1, 2))
}

#[test]
fn vision_transformer_with_layer_scale_mean_pooling_and_patch_dropout() {
    let mut config = small("tiny-32");
    let vision = &mut config.vision_cfg;
    (vision.image_size, vision.patch_size, vision.layers) = (20, 5, Layers::Blocks(2));
    (vision.width, vision.head_width, vision.mlp_ratio) = (22, 11, 2.3637);
    (vision.ls_init_value, vision.pool_type, vision.patch_dropout) = (Some(0.5), PoolType::Avg, 0.4);
    config.text_cfg.ls_init_value = Some(0.5);
    config.quick_gelu = true;
    Case::new(&config, training()).check(0.02);
}

#[test]
fn residual_network_on_statistics_of_the_batch_and_on_running_ones() {
    let mut config = small("tiny-rn-64");
    (config.vision_cfg.width, config.vision_cfg.head_width) = (4, 16);
    // Rectifications that switch within a step bend the slope.
    Case::new(&config, Mode::Evaluation).check(0.06);
    Case::new(&config, training()).check(0.06);
}

#[test]
fn text_towers_of_transformers_with_dropout() {
    for (pooler, projection) in [
        (HfPooler::MeanPooler, HfProjection::Mlp),
        (HfPooler::MaxPooler, HfProjection::Linear),
        (HfPooler::ClsPooler, HfProjection::Mlp),
        (HfPooler::ClsLastHiddenStatePooler, HfProjection::Linear),
    ] {
        let mut config = small("tiny-32");
        config.vision_cfg.layers = Layers::Blocks(1);
        let hf = HfConfig {
            vocab_size: 12,
            hidden_size: 14,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 21,
            max_position_embeddings: 9,
            ..HfConfig::known("roberta-base").unwrap()
        };
        config.text_cfg.hf_model_name = Some("small".to_owned());
        (config.text_cfg.hf_config, config.text_cfg.hf_pooler_type) = (Some(hf), pooler);
        config.text_cfg.hf_proj_type = Some(projection);
        Case::new(&config, training()).check(0.02);
    }
}
