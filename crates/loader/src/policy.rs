//! What is done about shards and samples that cannot be used, and how many of them are too many.

use crate::error::{Error, Result};

/// What to do about one that cannot be used, once it was tried again as often as that may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// End with the error.
    Fail,
    /// Warn, count it, and go on with the next, up to so many in a run of this process; `None` for any number.
    Skip {
        /// The largest number.
        at_most: Option<u64>,
    },
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a source that fails (a connection, a command) is opened again, to go on with the sample that it failed
    /// at. A shard that is malformed or cut is not: it would be the same again.
    pub retries: u32,
    /// For shards that cannot be opened, are malformed or are cut; samples before that stay.
    pub on_shard_error: OnError,
    /// For samples whose picture does not decode, or that lack a picture or a caption.
    pub on_sample_error: OnError,
}

impl Default for Policy {
    /// Two tries more, then on with the next.
    fn default() -> Self {
        let skip = OnError::Skip { at_most: None };
        Self { retries: 2, on_shard_error: skip, on_sample_error: skip }
    }
}

impl OnError {
    /// Whether to go on after `count` of them, `error` being the last.
    pub(crate) fn judge(self, what: &'static str, count: u64, error: impl FnOnce() -> Error) -> Result<()> {
        match self {
            Self::Fail => Err(error()),
            Self::Skip { at_most: Some(most) } if count > most => {
                Err(Error::TooMany { what, count, most, last: error().to_string() })
            }
            Self::Skip { .. } => Ok(()),
        }
    }
}
