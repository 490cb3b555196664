//! CLIP on candle tensors: image and text towers as explicit layers with forward and backward, losses, weights in
//! open_clip's format, tokenizers, and zero-shot classifiers. Knows nothing of data loading or optimisation.
#![warn(missing_docs)]

pub mod clip;
pub mod config;
pub mod error;
pub mod flops;
pub mod init;
pub mod kernel;
pub mod layer;
pub mod loss;
pub mod parameters;
pub mod presets;
pub mod random;
pub mod tokenizer;
pub mod tower;
pub mod weights;
pub mod zero_shot;

/// Tensors and where they lie, so that whoever uses a model need not name candle.
pub use candle_core::{DType, Device, Tensor};
pub use clip::{Clip, Features, Precision, Saved};
pub use config::{ClipConfig, ModelConfig, PreprocessConfig};
pub use error::{Error, Result};
pub use parameters::{Gradients, ParameterId, Parameters};
pub use random::{Mode, Noise};
