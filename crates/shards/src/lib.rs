//! The WebDataset-style tar shard and everything that touches its bytes.
//!
//! A *shard* is a tar file; a *sample* is a run of its members that share a *key*
//! (the path up to the first dot of the base name); what follows that dot is the
//! *extension*. This crate names shards, reads and writes them, keeps the metadata
//! beside them, and knows where their bytes live. It decodes pictures only as far as
//! both the downloader and the loader need it ([`image`]).

pub mod error;
pub mod image;
pub mod key;
pub mod metadata;
pub mod reader;
pub mod sample;
pub mod spec;
pub mod store;
pub mod summary;
pub mod uri;
pub mod writer;

pub use error::{Error, Result};
pub use key::SampleKey;
pub use sample::{Field, Sample};
