//! The wish of another thread that batches end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Not set at first, and never unset; clones are the same stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    parent: Option<Stop>,
}

impl Stop {
    /// Ends what looks at this stop: streams of batches end early, whatever their source does.
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::Relaxed);
    }

    /// Whether [`Stop::set`] was called.
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Relaxed) || self.0.parent.as_ref().is_some_and(Self::is_set)
    }

    /// One that can be set without this one, and is set with it.
    pub(crate) fn child(&self) -> Self {
        Self(Arc::new(Flag { is_set: AtomicBool::new(false), parent: Some(self.clone()) }))
    }
}
