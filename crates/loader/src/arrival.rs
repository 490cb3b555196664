//! Shards that are still being written while they are trained on.

use std::fmt;
use std::sync::Arc;

use shards::uri::ShardUri;

use crate::stop::Stop;

/// Waits until a shard is whole; called by the thread that is about to open it. It must come back once the stop is set, and
/// says why when the shard will never be there.
type Wait = dyn Fn(&ShardUri, &Stop) -> std::result::Result<(), String> + Send + Sync;

/// How to wait for the shards of a list. The first pass takes them in the order of the list, which is the one they come in;
/// what stands beside them about their sizes is not looked at, since it changes meanwhile.
#[derive(Clone)]
pub struct Arrival(Arc<Wait>);

impl Arrival {
    /// By this function.
    pub fn new(wait: impl Fn(&ShardUri, &Stop) -> std::result::Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(wait))
    }

    pub(crate) fn wait(&self, shard: &ShardUri, stop: &Stop) -> std::result::Result<(), String> {
        (self.0)(shard, stop)
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arrival")
    }
}
