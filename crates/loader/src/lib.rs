//! Shards to shuffled batches of pixels and captions.
//!
//! A [`Loader`] owns one replica's view of a data set: which samples, in which order, cropped
//! how. All of that is a pure function of the configuration and the bytes of the shards; threads only change how long it
//! takes, and any number of replicas that divides the lanes shares the same global batches. A [`LoaderPosition`] is where a
//! run stands, and restores the very next batch. Batches are plain buffers, pixels of 8 bits
//! that are not normalised. [`evaluation`] holds what zero-shot evaluation reads: folders of
//! class folders and labelled shards.
//!
//! ```
//! use std::sync::Arc;
//! use loader::{Loader, LoaderConfig, ShardSpec, Source};
//!
//! fn first_keys(shards: &str) -> loader::Result<Vec<String>> {
//!     let source = Source::Shards(ShardSpec::parse(shards)?);
//!     let lengths = Arc::new(|caption: &str| vec![caption.len() as u32]);
//!     let loader = Loader::new(LoaderConfig { num_samples: Some(8), ..LoaderConfig::new(source, 4, 224, lengths, 1) })?;
//!     let mut keys = Vec::new();
//!     for batch in loader.batches().take(2) {
//!         keys.extend(batch?.keys.iter().map(ToString::to_string));
//!     }
//!     Ok(keys)
//! }
//! assert!(first_keys("no/such/{0..3}.tar").is_err());
//! ```
#![warn(missing_docs)]

mod arrival;
mod assembly;
mod batch;
mod batches;
mod candidate;
mod caption;
mod colour;
mod config;
mod context;
mod crop;
mod decode;
mod error;
pub mod evaluation;
mod filter;
pub mod folder;
mod in_order;
pub mod labelled;
mod lanes;
mod loader;
pub mod pairs;
#[cfg(test)]
mod parity_preprocess;
mod picture_file;
mod pipeline;
mod plan;
mod policy;
mod position;
mod resample;
mod rows;
mod seed;
mod size;
mod split;
mod stats;
mod stop;
mod stream;
mod supply;
mod table;
mod times;
mod tokenized;
pub mod transform;
mod walk;
mod worker;

pub use arrival::Arrival;
pub use batch::{Batch, Pixels};
pub use batches::Batches;
pub use caption::CaptionSource;
pub use colour::ColourJitter;
pub use config::{LANES, LoaderConfig, SHUFFLE_BUFFER, Sampling, Source};
pub use error::{Error, Result, Seen};
pub use evaluation::{EvalBatch, EvalBatches, EvalConfig, Unreadable, evaluation_pixels};
pub use filter::Interpolation;
pub use folder::ClassFolder;
pub use labelled::LabelledShards;
pub use loader::Loader;
pub use pairs::{CaptionsOf, EvalPairs};
pub use picture_file::{Visited, read_picture};
pub use policy::{OnError, Policy};
pub use position::{Cursor, LoaderPosition, Loss, Order, StreamPosition};
pub use size::{EpochSize, epoch_size, recorded};
pub use split::Replica;
pub use stats::LoaderStats;
pub use stop::Stop;
pub use table::Table;
pub use times::{Bottleneck, LoaderMetrics};
pub use tokenized::Tokenize;
pub use transform::{Augmentation, Fitting, Resize, ResizeMode, Transform};

/// Which shards, as this crate's settings take them.
pub use shards::spec::ShardSpec;

/// How copies of shards from afar are kept, and what to think of a tar without end marker.
pub use shards::{reader::MissingEnd, store::Cache};
