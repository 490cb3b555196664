//! Token ids and zero-shot weights equal OpenCLIP's: `tests/golden/tokens.json`, and the larger set in `$CLIP_FIXTURES`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use model::tokenizer::{ClipTokenizer, HfTokenizer, Tokenizer};
use model::zero_shot::{ZeroShotClassifier, imagenet_class_names, imagenet_templates};
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

/// The larger sets of recorded answers: beside the repository, and where `CLIP_FIXTURES` says.
fn larger_sets() -> Vec<PathBuf> {
    let given = std::env::var_os("CLIP_FIXTURES").map(PathBuf::from);
    std::iter::once(beside_crate("../shared/fixtures")).chain(given).filter(|folder| folder.is_dir()).collect()
}

#[test]
fn parity_roberta_tokens() {
    let files = beside_crate("../shared/data/tokenizers/roberta-base");
    let sets: Vec<PathBuf> = larger_sets().into_iter().map(|set| set.join("tokens_roberta.json")).collect();
    if !files.is_dir() || !sets.iter().any(|set| set.is_file()) {
        println!("skipped: needs ../shared/data/tokenizers/roberta-base and recorded tokens");
        return;
    }
    let tokenizer = HfTokenizer::from_folder(&files).unwrap();
    for set in sets.iter().filter(|set| set.is_file()) {
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(set).unwrap()).unwrap();
        for case in &cases {
            let caption = case["caption"].as_str().expect("`caption` is text");
            assert_eq!(tokenizer.encode(caption, 77), ids(case, "ids"), "{caption:?}");
        }
        println!("{}: {} captions", set.display(), cases.len());
    }
}

#[test]
fn parity_zero_shot() {
    let (classes, templates) = (imagenet_class_names(), imagenet_templates().unwrap());
    let mut read = 0;
    for fixture in larger_sets().into_iter().map(|set| set.join("zero_shot")).filter(|folder| folder.is_dir()) {
        let clip = model::Clip::load(&fixture, &Device::Cpu).unwrap();
        let tokenizer = Tokenizer::clip().unwrap();
        let batch = NonZeroUsize::new(20).expect("twenty is not zero");
        let built = ZeroShotClassifier::build(&clip, &tokenizer, &classes[..200], &templates, batch).unwrap();
        let recorded = candle_core::safetensors::load(fixture.join("classifier.safetensors"), &Device::Cpu).unwrap();
        let expected = recorded["weights"].narrow(1, 0, 200).unwrap();
        let distance = largest_distance(&built.weights, &expected);
        assert!(distance < 1e-5, "largest distance {distance}");
        read += 1;
    }
    if read == 0 {
        println!("skipped: neither ../shared/fixtures nor $CLIP_FIXTURES has zero_shot");
    }
}

fn largest_distance(left: &Tensor, right: &Tensor) -> f32 {
    let distances = (left - right).unwrap().abs().unwrap();
    distances.flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
}
