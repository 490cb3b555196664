//! Shards to shuffled batches of pixels and captions.
//!
//! A [`Loader`] owns one replica's view of a data set: which samples, in which order, cropped
//! how. All of that is a pure function of the configuration, the epoch and the bytes of the
//! shards; threads only change how long it takes. Batches are plain buffers, pixels of 8 bits
//! that are not normalised. [`evaluation`] holds what zero-shot evaluation reads: folders of
//! class folders and labelled shards.
#![warn(missing_docs)]

mod batch;
mod config;
mod crop;
mod decode;
mod epoch;
mod error;
pub mod evaluation;
pub mod folder;
pub mod labelled;
#[cfg(test)]
mod parity_preprocess;
mod resample;
mod seed;
mod shuffle;
mod size;
mod source;
mod split;
mod stats;
mod stop;
mod tokenized;
pub mod transform;
mod worker;

pub use batch::Batch;
pub use config::{LoaderConfig, OnShardError, Sampling};
pub use epoch::{Epoch, Loader};
pub use error::{Error, Result};
pub use evaluation::{EvalBatch, EvalBatches, EvalConfig, Unreadable, evaluation_pixels};
pub use folder::ClassFolder;
pub use labelled::LabelledShards;
pub use size::{EpochSize, epoch_size};
pub use split::Replica;
pub use stats::LoaderStats;
pub use stop::Stop;
pub use tokenized::Tokenize;
pub use transform::Transform;

/// Which shards, as this crate's settings take them.
pub use shards::spec::ShardSpec;
