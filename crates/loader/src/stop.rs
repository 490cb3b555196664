//! The wish of another thread that batches end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Not set at first, and never unset; clones are the same stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends what looks at this stop: streams of batches end early, whatever their source does.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Stop::set`] was called.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
