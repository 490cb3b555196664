//! How a run is asked to end early.

use std::sync::Arc;

use tokio::sync::watch;

/// A flag that any thread can set once; clones share it.
#[derive(Clone, Debug)]
pub struct StopToken(Arc<watch::Sender<bool>>);

impl StopToken {
    /// A flag not yet set.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks the run to drop its open shards and return.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`stop`](StopToken::stop) was called.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once [`stop`](StopToken::stop) was called.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

impl Default for StopToken {
    fn default() -> Self {
        Self::new()
    }
}
