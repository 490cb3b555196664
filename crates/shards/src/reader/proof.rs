//! What proves that a tar without end marker is whole.

/// What to think of a tar that ends behind a member, without the two blocks of zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingEnd {
    /// It was cut: nothing else tells it from one that was.
    #[default]
    IsACut,
    /// It is whole: some writers leave the marker away.
    IsAccepted,
}

/// What is known of a shard from elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// How many samples its writer counted (`sizes.json`, `_stats.json`).
    pub samples: Option<u64>,
    /// How many bytes of tar its writer counted (`_stats.json`).
    pub bytes: Option<u64>,
    /// What to think of a missing end marker where neither is known.
    pub missing_end: MissingEnd,
}

impl Proof {
    /// Whether a shard that ends behind `samples` whole samples and `bytes` bytes is whole.
    pub(super) fn holds(&self, samples: u64, bytes: u64) -> bool {
        self.missing_end == MissingEnd::IsAccepted || self.samples == Some(samples) || self.bytes == Some(bytes)
    }
}
