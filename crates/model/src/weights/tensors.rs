//! Named tensors on their way into a safetensors file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Tensor;

use crate::error::{Error, Result};

/// Named tensors.
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    named: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one, in place of another of that name.
    pub fn add(&mut self, name: &str, tensor: Tensor) {
        self.named.insert(name.to_owned(), tensor);
    }

    /// One by its name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.named.get(name)
    }

    /// Batches one below the other.
    ///
    /// # Errors
    /// When widths differ, or there is no batch.
    pub fn rows(batches: Vec<Tensor>) -> Result<Tensor> {
        Ok(Tensor::cat(&batches, 0)?)
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, self.named.iter().map(|(name, tensor)| (name.as_str(), tensor)))
    }
}

/// Writes tensors as safetensors.
pub(super) fn write<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<()> {
    let tensors: BTreeMap<&str, &Tensor> = tensors.collect();
    // Some readers refuse files that do not say which library's layout they have.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .map_err(|error| Error::Weights { path: path.to_owned(), reason: error.to_string() })
}
