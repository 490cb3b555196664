//! First values: which distribution each tensor has, as open_clip gives it, and that what is drawn follows it.

use candle_core::Device;
use model::clip::parameter_specs;
use model::config::ClipConfig;
use model::init::Initialisation::{Constant, Normal, Padded, Uniform};
use model::init::{Initialisation, draw};
use model::{Clip, presets};

fn init(config: &ClipConfig, name: &str) -> Initialisation {
    let specs = parameter_specs(config).unwrap();
    specs.iter().find(|spec| spec.name == name).unwrap_or_else(|| panic!("no tensor {name}")).init
}

fn near(got: Initialisation, expected: Initialisation) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-3);
    match (got, expected) {
        (Constant(a), Constant(b)) | (Normal { std: a }, Normal { std: b }) => close(a, b),
        (Uniform { bound: a }, Uniform { bound: b }) => close(a, b),
        (Padded { std: a, row: i }, Padded { std: b, row: j }) => close(a, b) && i == j,
        _ => false,
    }
}

fn check(model: &str, expected: &[(&str, Initialisation)]) {
    let config = presets::config(model).unwrap();
    for (name, expected) in expected {
        let got = init(&config, name);
        assert!(near(got, *expected), "{model} {name}: {got:?}, expected {expected:?}");
    }
}

/// What PyTorch gives a layer of so many inputs.
fn by_inputs(inputs: f64) -> Initialisation {
    Uniform { bound: inputs.powf(-0.5) }
}

#[test]
fn transformers_start_as_open_clip_starts_them() {
    let (text, narrow) = (512f64.powf(-0.5), 512f64.powf(-0.5) * 24f64.powf(-0.5));
    check(
        "ViT-B-32",
        &[
            ("logit_scale", Constant((1.0f64 / 0.07).ln())),
            ("positional_embedding", Normal { std: 0.01 }),
            ("token_embedding.weight", Normal { std: 0.02 }),
            ("text_projection", Normal { std: text }),
            ("transformer.resblocks.3.attn.in_proj_weight", Normal { std: text }),
            ("transformer.resblocks.3.attn.in_proj_bias", Constant(0.0)),
            ("transformer.resblocks.3.attn.out_proj.weight", Normal { std: narrow }),
            ("transformer.resblocks.3.attn.out_proj.bias", Constant(0.0)),
            ("transformer.resblocks.3.mlp.c_fc.weight", Normal { std: 1024f64.powf(-0.5) }),
            ("transformer.resblocks.3.mlp.c_fc.bias", by_inputs(512.0)),
            ("transformer.resblocks.3.mlp.c_proj.weight", Normal { std: narrow }),
            ("transformer.resblocks.3.mlp.c_proj.bias", by_inputs(2048.0)),
            ("transformer.resblocks.3.ln_1.weight", Constant(1.0)),
            ("visual.class_embedding", Normal { std: 768f64.powf(-0.5) }),
            ("visual.positional_embedding", Normal { std: 768f64.powf(-0.5) }),
            ("visual.proj", Normal { std: 768f64.powf(-0.5) }),
            ("visual.conv1.weight", by_inputs(3072.0)),
            ("visual.transformer.resblocks.3.attn.in_proj_weight", Uniform { bound: (6.0f64 / 3072.0).sqrt() }),
            ("visual.transformer.resblocks.3.attn.out_proj.weight", by_inputs(768.0)),
            ("visual.transformer.resblocks.3.mlp.c_fc.weight", by_inputs(768.0)),
            ("visual.transformer.resblocks.3.mlp.c_proj.weight", by_inputs(3072.0)),
        ],
    );
}

#[test]
fn residual_networks_and_text_towers_of_transformers_start_as_open_clip_starts_them() {
    let pool = Normal { std: 2048f64.powf(-0.5) };
    check(
        "RN50",
        &[
            ("visual.conv1.weight", by_inputs(27.0)),
            ("visual.layer2.0.conv2.weight", by_inputs(9.0 * 128.0)),
            ("visual.layer2.0.bn2.weight", Constant(1.0)),
            ("visual.layer2.0.bn3.weight", Constant(0.0)),
            ("visual.layer2.0.downsample.1.weight", Constant(1.0)),
            ("visual.layer2.0.bn2.running_var", Constant(1.0)),
            ("visual.attnpool.positional_embedding", pool),
            ("visual.attnpool.q_proj.weight", pool),
            ("visual.attnpool.c_proj.weight", pool),
            ("visual.attnpool.k_proj.bias", by_inputs(2048.0)),
        ],
    );
    check(
        "roberta-ViT-B-32",
        &[
            ("text.transformer.embeddings.word_embeddings.weight", Padded { std: 0.02, row: 1 }),
            ("text.transformer.encoder.layer.5.attention.self.query.weight", Normal { std: 0.02 }),
            ("text.transformer.encoder.layer.5.attention.self.query.bias", Constant(0.0)),
            ("text.proj.0.weight", by_inputs(768.0)),
            ("text.proj.2.weight", by_inputs(640.0)),
        ],
    );
}

#[test]
fn drawn_values_follow_their_distribution_tensor_by_tensor() {
    for model in ["tiny-32", "tiny-rn-64"] {
        let specs = parameter_specs(&presets::config(model).unwrap()).unwrap();
        for spec in specs.iter().filter(|spec| spec.shape.iter().product::<usize>() >= 2_000) {
            let values = draw(spec, 11, &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let n = values.len() as f64;
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
            let std = (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
            let (expected, bound) = match spec.init {
                Normal { std } => (std, f64::INFINITY),
                Uniform { bound } => (bound / 3f64.sqrt(), bound),
                _ => continue,
            };
            assert!(mean.abs() < 5.0 * expected / n.sqrt(), "{}: mean {mean}", spec.name);
            assert!((std / expected - 1.0).abs() < 5.0 / n.sqrt(), "{}: std {std}, expected {expected}", spec.name);
            assert!(values.iter().all(|v| f64::from(v.abs()) <= bound * (1.0 + 1e-6)), "{}: beyond {bound}", spec.name);
        }
    }
}

#[test]
fn models_of_one_seed_are_equal_and_of_two_are_not() {
    let config = presets::config("tiny-rn-64").unwrap();
    let values = |seed: u64, name: &str| {
        let clip = Clip::new(&config, seed, &Device::Cpu).unwrap();
        let id = clip.parameters().id(name).unwrap();
        clip.parameters().value(id).flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(values(1, "visual.conv1.weight"), values(1, "visual.conv1.weight"));
    assert_ne!(values(1, "visual.conv1.weight"), values(2, "visual.conv1.weight"));
}
