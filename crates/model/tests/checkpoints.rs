//! Checkpoints of PyTorch: recorded ones give the recorded weights, damaged ones an error.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use model::Clip;
use model::config::ModelConfig;
use model::weights::{Kind, TensorFile};
use support::fixtures;

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn load(folder: &Path, file: &str) -> Clip {
    let config = ModelConfig::read(&folder.join("open_clip_config.json")).unwrap();
    Clip::load_weights(config, &folder.join(file), &Device::Cpu).unwrap()
}

#[test]
fn parity_checkpoint() {
    for folder in fixtures::paths("checkpoint") {
        let expected = load(&folder, "weights.safetensors");
        for file in ["epoch_1.pt", "epoch_1_ddp_amp.pt", "bare_state_dict.pt"] {
            let clip = load(&folder, file);
            for ((_, got), (_, expected)) in clip.parameters().iter().zip(expected.parameters().iter()) {
                assert_eq!(values(got.value()), values(expected.value()), "{file}: {}", got.name);
            }
            println!("{}: {} tensors", folder.join(file).display(), clip.parameters().len());
        }
        let kind = |file: &str| TensorFile::open(&folder.join(file)).unwrap().kind();
        assert_eq!((kind("epoch_1.pt"), kind("bare_state_dict.pt")), (Kind::Checkpoint, Kind::StateDict));
    }
}

/// Reads every tensor of a file whose bytes were changed; only a panic would be wrong.
fn survives(folder: &Path, bytes: &[u8]) -> Option<String> {
    let path = folder.join("damaged.pt");
    std::fs::write(&path, bytes).unwrap();
    match TensorFile::open(&path) {
        Err(error) => Some(error.to_string()),
        Ok(file) => {
            let names: Vec<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
            names.iter().for_each(|name| drop(file.tensor(name, candle_core::DType::F32, &Device::Cpu)));
            None
        }
    }
}

fn smallest() -> PathBuf {
    fixtures::paths("checkpoint")[0].join("bare_state_dict.pt")
}

#[test]
fn checkpoint_that_is_cut_off_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(smallest()).unwrap();
    for part in 0..64 {
        let message = survives(folder.path(), &bytes[..bytes.len() * part / 64]);
        assert!(message.is_some_and(|message| message.contains("damaged.pt")), "{part} of 64");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(smallest()).unwrap();
    let pickle = bytes.windows(8).position(|window| window == b"data.pkl").unwrap();
    let directory = bytes.len() - 8_000.min(bytes.len() / 2);
    for (start, step) in [(pickle, 37), (directory, 23)] {
        for (round, at) in (start..bytes.len().min(start + 8_000)).step_by(step).enumerate() {
            let mut damaged = bytes.clone();
            damaged[at] ^= [0x01, 0x80, 0xff][round % 3];
            survives(folder.path(), &damaged);
        }
    }
}

#[test]
fn files_of_another_kind_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = |bytes: &[u8]| survives(folder.path(), bytes).unwrap();
    assert!(told(b"not weights at all").contains("not a safetensors file"));
    assert!(told(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").contains("before 1.6"));
    assert!(told(b"PK\x03\x04").contains("the file is cut off"));
}
