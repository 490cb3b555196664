//! What stops a run.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A training or evaluation run cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Options contradict each other or cannot be met; named before any work.
    #[error("{option}: {reason}")]
    Config {
        /// The flag or field.
        option: &'static str,
        /// Expected and got.
        reason: String,
    },
    /// The operating system refused `action` on `path`.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A checkpoint is damaged or belongs to another model.
    #[error("checkpoint `{}`: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint's folder or file.
        path: PathBuf,
        /// Expected and got.
        reason: String,
    },
    /// A repository on the hub has no such file.
    #[error("`{repository}` on the hub has no file `{file}`")]
    NoSuchFile {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
    },
    /// A file of the hub cannot be had.
    #[error("cannot download `{file}` of `{repository}`: {reason}")]
    Download {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// What happened.
        reason: String,
    },
    /// The loss or its gradient stopped being a number.
    #[error("the {what} of step {step} is {value}; first keys of the batch: {keys}; {snapshot}")]
    NonFinite {
        /// Which of the two.
        what: &'static str,
        /// Step, from 0.
        step: u64,
        /// What it was.
        value: f64,
        /// Some of the samples in the batch.
        keys: String,
        /// What was saved of it, and where.
        snapshot: String,
    },
    /// A picture or the classes have features that are not numbers.
    #[error("the model's features are not numbers, first seen at picture `{key}`: its weights are damaged or diverged")]
    NonFiniteFeatures {
        /// The picture.
        key: String,
    },
    /// Features and captions of a retrieval evaluation do not fit together.
    #[error("retrieval: {reason}")]
    Retrieval {
        /// Expected and got.
        reason: String,
    },
    /// A stop was asked for before there was a result.
    #[error("interrupted")]
    Interrupted,
    /// A buffer of a batch has not the length that its shape asks for.
    #[error("batch: expected {expected} {what}, got {got}")]
    Batch {
        /// What is in the buffer.
        what: &'static str,
        /// The length by the shape.
        expected: usize,
        /// The length it has.
        got: usize,
    },
    /// Tensor arithmetic failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The model refused its input or weights.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The data source failed.
    #[error(transparent)]
    Loader(#[from] loader::Error),
}

impl Error {
    /// Wraps an I/O error with the action and path that met it; made for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}
