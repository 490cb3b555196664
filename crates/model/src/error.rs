//! Everything that can go wrong in this library.

use std::path::PathBuf;

/// What this library's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation of one layer failed.
    #[error("layer `{layer}`")]
    Layer {
        /// Name of the layer, or of one of its parameters.
        layer: String,
        /// What candle says.
        source: candle_core::Error,
    },
    /// A tensor operation outside any layer failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// Something of another model was handed over.
    #[error("{what} belongs to another model")]
    Foreign {
        /// What it is.
        what: &'static str,
    },
    /// The model's configuration cannot be used.
    #[error("model config: {reason}")]
    Config {
        /// Which key, what was expected and what came.
        reason: String,
    },
    /// No preset has this name.
    #[error("unknown model `{name}`; nearest: {}", nearest.join(", "))]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Names that exist, nearest first.
        nearest: Vec<String>,
    },
    /// The weights lack a tensor of the model.
    #[error("weights: tensor `{name}` is missing (expected shape {expected:?})")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that the model has for it.
        expected: Vec<usize>,
    },
    /// A tensor of the weights has another shape than the model's.
    #[error("weights: tensor `{name}` has shape {got:?}, expected {expected:?}")]
    MisshapenTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that the model has for it.
        expected: Vec<usize>,
        /// Shape in the weights.
        got: Vec<usize>,
    },
    /// The weights hold a tensor that the model has no place for.
    #[error("weights: tensor `{name}` (shape {got:?}) is not part of this model")]
    UnexpectedTensor {
        /// Name of the tensor.
        name: String,
        /// Shape in the weights.
        got: Vec<usize>,
    },
    /// A file of weights cannot be understood.
    #[error("weights `{}`: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A text, vocabulary or template cannot be tokenized.
    #[error("{reason}")]
    Tokenizer {
        /// What was expected and what came.
        reason: String,
    },
}

/// Names the layer in which a tensor operation failed.
pub(crate) trait InLayer<T> {
    /// Adds the layer's name.
    fn layer(self, name: &str) -> Result<T>;
}

impl<T> InLayer<T> for candle_core::Result<T> {
    fn layer(self, name: &str) -> Result<T> {
        self.map_err(|source| Error::Layer { layer: name.to_owned(), source })
    }
}
