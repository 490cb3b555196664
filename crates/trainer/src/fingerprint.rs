//! A short name for a model's weights, by which files that were made with them are known again.

use candle_core::DType;
use model::clip::Clip;
use sha2::{Digest, Sha256};

use crate::error::Result;

/// Values of a tensor that are hashed, evenly spread: an optimizer's step changes nearly all, and hashing every byte of a
/// large model would take longer than opening it.
const VALUES: usize = 1024;

/// SHA-256 in hexadecimal over the configuration, and over the name, shape and up to 1,024 values of each parameter and
/// buffer. Values are compared as `f32`, so that it does not depend on the file that they were read from.
///
/// # Errors
/// When the device fails.
pub fn fingerprint(clip: &Clip) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(clip.model_config().to_json()?);
    for (_, parameter) in clip.parameters().iter() {
        let value = parameter.value();
        hash.update(format!("\n{} {:?}", parameter.name, value.dims()));
        let values: Vec<f32> = value.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
        for value in values.iter().step_by(values.len().div_ceil(VALUES).max(1)) {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use model::presets;

    use super::*;

    #[test]
    fn weights_and_preparation_have_their_own_fingerprint() {
        let config = presets::config("tiny-32").unwrap();
        let mut clip = Clip::new(&config, 0, &Device::Cpu).unwrap();
        let first = fingerprint(&clip).unwrap();
        assert_eq!((first.len(), &first), (64, &fingerprint(&clip.clone()).unwrap()));
        let (id, value) = clip.parameters().iter().last().map(|(id, p)| (id, p.value().clone())).unwrap();
        clip.parameters_mut().set(id, (value + 1.0).unwrap()).unwrap();
        let stepped = fingerprint(&clip).unwrap();
        let mut preprocess = clip.preprocess().clone();
        preprocess.mean[0] += 0.1;
        clip.set_preprocess(preprocess);
        let prepared = fingerprint(&clip).unwrap();
        assert!(first != stepped && stepped != prepared);
    }
}
