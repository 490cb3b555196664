//! Any bytes as a file of weights, safetensors or PyTorch's: tensors whose values are there, or an error; no code is run, and a
//! few bytes never stand for many.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model::Device;
use model::weights::{TensorFile, training_state};

/// Weights are mapped into memory, and so have to be a file.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("fuzzed-{}.pt", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("a temporary file");
    let _state = training_state(&FILE, &Device::Cpu);
    let Ok(file) = TensorFile::open(&FILE) else { return };
    let shapes: Vec<(String, usize)> =
        file.shapes().map(|(name, shape)| (name.to_owned(), shape.iter().product())).collect();
    for (name, count) in shapes.into_iter().take(16) {
        // A tensor may repeat one value along a side; so many are no longer read for a check.
        if count < 1 << 16 {
            let _values = file.tensor(&name, model::DType::F32, &Device::Cpu);
        }
    }
});
