//! One sample of a shard: a key and its fields.

use std::sync::Arc;

use bytes::Bytes;

use crate::key::SampleKey;

/// One member of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Lower-cased text after the key's dot: `jpg`, `txt`, `seg.png`.
    pub extension: String,
    /// The member's content.
    pub bytes: Bytes,
}

/// Consecutive members of a shard that share a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The shared name.
    pub key: SampleKey,
    /// The members, in the shard's order; extensions are unique within a sample.
    pub fields: Vec<Field>,
    /// The shard it came from, as it was named in the specification.
    pub shard: Arc<str>,
    /// Byte offset of the first member's header in the uncompressed tar.
    pub offset: u64,
}

impl Sample {
    /// The content of the first of `extensions` that the sample has.
    pub fn field(&self, extensions: &[&str]) -> Option<&Field> {
        extensions.iter().find_map(|wanted| self.fields.iter().find(|field| field.extension == *wanted))
    }
}
