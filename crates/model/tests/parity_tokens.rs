//! Token ids and zero-shot weights equal OpenCLIP's: `tests/golden/tokens.json`, and the larger set in `$CLIP_FIXTURES`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use model::tokenizer::ClipTokenizer;
use model::zero_shot::{Duplicates, ZeroShotClassifier, read_class_names, read_templates};
use serde_json::Value;
use support::fixtures;

fn beside_crate(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

fn ids(case: &Value, field: &str) -> Vec<u32> {
    let listed = case[field].as_array().unwrap_or_else(|| panic!("`{field}` is a list of ids"));
    listed.iter().map(|id| u32::try_from(id.as_u64().expect("an id")).expect("an id fits")).collect()
}

/// Number of cases in the file, all of which agree.
fn compare_file(path: &Path) -> usize {
    let tokenizer = ClipTokenizer::shared().unwrap();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    for case in &cases {
        let caption = case["caption"].as_str().expect("`caption` is text");
        for (field, context_length) in [("ids", 77), ("ids_32", 32)] {
            assert_eq!(tokenizer.encode(caption, context_length), ids(case, field), "{field} of {caption:?}");
        }
    }
    cases.len()
}

#[test]
fn parity_tokens() {
    let mut cases = 0;
    for path in fixtures::paths("tokens.json") {
        let read = compare_file(&path);
        println!("{}: {read} captions", path.display());
        cases += read;
    }
    assert!(cases > 0, "no case was compared");
}

#[test]
fn parity_zero_shot() {
    let prompts = beside_crate("../shared/data/prompts");
    let fixture = std::env::var_os("CLIP_FIXTURES").map(|folder| Path::new(&folder).join("zero_shot"));
    let (true, Some(fixture)) = (prompts.is_dir(), fixture) else {
        eprintln!("skipped: needs ../shared/data/prompts and $CLIP_FIXTURES/zero_shot");
        return;
    };
    let classes = read_class_names(&prompts.join("en_classnames.json#imagenet1k"), Duplicates::Allow).unwrap();
    let templates = read_templates(&prompts.join("openai_imagenet_templates.json"), Duplicates::Refuse).unwrap();
    let clip = model::Clip::load(&fixture, &Device::Cpu).unwrap();
    let tokenizer = ClipTokenizer::shared().unwrap();
    let batch = NonZeroUsize::new(20).expect("twenty is not zero");
    let built = ZeroShotClassifier::build(&clip, tokenizer, &classes[..100], &templates, batch).unwrap();
    let expected =
        &candle_core::safetensors::load(fixture.join("classifier.safetensors"), &Device::Cpu).unwrap()["weights"];
    let expected = expected.narrow(1, 0, 100).unwrap();
    let distance = largest_distance(&built.weights, &expected);
    assert!(distance < 1e-5, "largest distance {distance}");
}

fn largest_distance(left: &Tensor, right: &Tensor) -> f32 {
    let distances = (left - right).unwrap().abs().unwrap();
    distances.flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
}
