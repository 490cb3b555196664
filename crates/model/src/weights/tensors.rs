//! Named tensors on their way into a safetensors file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;

use candle_core::Tensor;
use safetensors::SafeTensorError;

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
        write(path, &self.named)
    }
}

/// Writes named tensors as a safetensors file, readable for whom the umask allows it; one that is there is replaced.
///
/// # Errors
/// When the file cannot be written.
pub fn write<'a, N: AsRef<str>>(path: &Path, tensors: impl IntoIterator<Item = (N, &'a Tensor)>) -> Result<()> {
    let failed = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let tensors: BTreeMap<String, &Tensor> =
        tensors.into_iter().map(|(name, tensor)| (name.as_ref().to_owned(), tensor)).collect();
    // Some readers refuse files that do not say which library's layout they have.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // The library renames a private temporary file to `path`.
    let permissions = File::create(path).and_then(|file| file.metadata()).map_err(failed)?.permissions();
    match safetensors::serialize_to_file(tensors, Some(metadata), path) {
        Ok(()) => fs::set_permissions(path, permissions).map_err(failed),
        Err(SafeTensorError::IoError(error)) => Err(failed(error)),
        Err(error) => Err(Error::Weights { path: path.to_owned(), reason: error.to_string() }),
    }
}
