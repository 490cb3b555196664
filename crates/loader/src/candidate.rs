//! A sample that has a picture and a caption, before it is decoded.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use shards::SampleKey;

/// What training needs of a sample.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) key: SampleKey,
    /// Where it is from, for messages.
    pub(crate) shard: Arc<str>,
    pub(crate) picture: Content,
    pub(crate) caption: String,
    /// Which pass over the data it was read in, from 0 and, where epochs have orders of their own, within its epoch.
    pub(crate) pass: u64,
    /// What its random draws depend on.
    pub(crate) place: [u64; 5],
}

/// Where a picture's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    File(PathBuf),
    /// None are needed: it is black.
    Black,
}

impl Candidate {
    /// Bytes that it holds while it waits.
    pub(crate) fn bytes(&self) -> u64 {
        const OVERHEAD: u64 = 256;
        let picture = match &self.picture {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_) | Content::Black => 0,
        };
        picture + self.caption.len() as u64 + OVERHEAD
    }
}
