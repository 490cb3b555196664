//! Captions as ids.

use std::sync::Arc;

use crate::error::{Error, Result};

/// Turns a caption into exactly `context_length` ids, padded or cut; called from many threads.
pub type Tokenize = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// The ids of `caption`, counted.
pub(crate) fn tokenize(tokenize: &Tokenize, caption: &str, context_length: usize) -> Result<Vec<u32>> {
    let ids = tokenize(caption);
    if ids.len() == context_length {
        return Ok(ids);
    }
    Err(Error::TokenCount { expected: context_length, got: ids.len() })
}
