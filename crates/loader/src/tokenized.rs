//! Captions: where a sample has its, and the ids they become.

use std::sync::Arc;

use shards::Sample;

use crate::error::{Error, Result};

/// Turns a caption into exactly `context_length` ids, padded or cut; called from many threads.
pub type Tokenize = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// The caption of `sample`; `None` without one, or with a blank one. Bytes that are no UTF-8
/// become the replacement character.
pub(crate) fn caption(sample: &Sample, extension: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&sample.field(&[extension])?.bytes).into_owned();
    if text.trim().is_empty() { None } else { Some(text) }
}

/// The ids of `caption`, counted.
pub(crate) fn tokenize(tokenize: &Tokenize, caption: &str, context_length: usize) -> Result<Vec<u32>> {
    let ids = tokenize(caption);
    if ids.len() == context_length {
        return Ok(ids);
    }
    Err(Error::TokenCount { expected: context_length, got: ids.len() })
}
