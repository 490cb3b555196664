//! What the loader met on its way, and where its time went: nothing that it leaves out goes uncounted.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::times::Times;

/// Counts since the loader was made. Reading runs ahead of the batches, so counts of samples
/// and shards can be ahead of `examples`; what is read again after a resume is counted again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoaderStats {
    /// Samples read.
    pub samples: u64,
    /// Samples that went into batches.
    pub examples: u64,
    /// Of these, those that had been read in the same epoch before.
    pub repeated: u64,
    /// Samples left out for want of a picture.
    pub missing_image: u64,
    /// Samples left out for want of a caption, or with a blank one.
    pub missing_caption: u64,
    /// Samples left out because their picture does not decode, by kind.
    pub undecodable: BTreeMap<String, u64>,
    /// Shards read to their end.
    pub shards_complete: u64,
    /// Of these, shards that have another number of samples than was recorded of them.
    pub shards_miscounted: u64,
    /// Members of whole shards that are part of no sample: links, devices, files without an extension.
    pub members_left_out: u64,
    /// Shards that ended early, by what is missing.
    pub shards_incomplete: BTreeMap<String, u64>,
    /// Shards that could not be opened.
    pub shards_failed: u64,
    /// Different ones among those that ended early or could not be opened: a shard is met again in later passes, and reading
    /// runs ahead of training.
    pub shards_bad: u64,
    /// Shards opened again because their source had failed.
    pub shards_retried: u64,
    /// Extensions of the samples that lack a picture or a caption; the first hundred different ones.
    pub extensions_left_out: BTreeMap<String, u64>,
}

impl LoaderStats {
    /// What was left out and why, in words; `None` where nothing was.
    pub fn losses(&self) -> Option<String> {
        let told = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let mut losses: Vec<String> = Vec::new();
        losses.extend(told(self.missing_image, "samples without a picture"));
        losses.extend(told(self.missing_caption, "samples without a caption"));
        losses
            .extend(self.undecodable.iter().filter_map(|(kind, n)| told(*n, &format!("samples undecodable ({kind})"))));
        losses.extend(self.bad_shards());
        losses.extend(told(self.members_left_out, "members that are no files or have no extension"));
        (!losses.is_empty()).then(|| losses.join(", "))
    }

    /// Shards that were given up, by why, and how many different ones they are.
    fn bad_shards(&self) -> Option<String> {
        let mut told: Vec<String> =
            self.shards_incomplete.iter().map(|(kind, count)| format!("{count} shards incomplete ({kind})")).collect();
        if self.shards_failed > 0 {
            told.push(format!("{} shards not opened", self.shards_failed));
        }
        let met = self.shards_failed + self.shards_incomplete.values().sum::<u64>();
        let different =
            if met > self.shards_bad { format!(" (different ones: {})", self.shards_bad) } else { String::new() };
        (!told.is_empty()).then(|| told.join(", ") + &different)
    }

    /// Counts the extensions of a sample that is left out.
    pub(crate) fn leave_out<'a>(&mut self, extensions: impl Iterator<Item = &'a str>) {
        for extension in extensions {
            if let Some(count) = self.extensions_left_out.get_mut(extension) {
                *count += 1;
            } else if self.extensions_left_out.len() < MOST_EXTENSIONS {
                self.extensions_left_out.insert(extension.into(), 1);
            }
        }
    }
}

/// Foreign shards may have a new extension in every sample.
const MOST_EXTENSIONS: usize = 100;

/// Counts and times that threads share.
#[derive(Debug)]
pub(crate) struct Tally {
    counted: Mutex<Counted>,
    times: Times,
}

/// What is counted for users, and for the loader itself.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) counts: LoaderStats,
    /// Shards that were given up.
    pub(crate) bad_shards: u64,
    /// Which ones.
    pub(crate) given_up: HashSet<usize>,
    /// What was wrong with the last of them.
    pub(crate) last_trouble: Option<String>,
    /// Samples that were left out.
    pub(crate) bad_samples: u64,
    pub(crate) per_source: Vec<SourceCount>,
}

/// What became of one of the `::` sources, as long as it has given nothing usable.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceCount {
    shards: u64,
    is_usable: bool,
    visits: u64,
    /// Shards that were seen from their beginning to their end.
    seen: HashSet<usize>,
}

/// Visits a shard after which a source is given up, were some of its shards never drawn: of so many draws with replacement,
/// one in ten million leaves out a given shard.
const MOST_VISITS: u64 = 16;

impl SourceCount {
    pub(crate) fn found_usable(&mut self) {
        if !self.is_usable {
            *self = Self { shards: self.shards, is_usable: true, ..Self::default() };
        }
    }

    /// Counts a visit to one of its shards; whether it is certain enough now that none of its shards has a usable sample:
    /// all were seen, and as many visits again had no better luck.
    pub(crate) fn is_hopeless_after(&mut self, shard: usize, saw_all: bool) -> bool {
        if self.is_usable {
            return false;
        }
        self.visits += 1;
        if saw_all {
            self.seen.insert(shard);
        }
        let all_seen = self.seen.len() as u64 == self.shards && self.visits > 2 * self.shards;
        all_seen || self.visits > MOST_VISITS * self.shards
    }
}

impl Tally {
    /// Of sources with so many shards.
    pub(crate) fn new(sources: &[u64]) -> Self {
        let per_source = sources.iter().map(|shards| SourceCount { shards: *shards, ..SourceCount::default() });
        let counted = Counted { per_source: per_source.collect(), ..Counted::default() };
        Self { counted: Mutex::new(counted), times: Times::default() }
    }

    /// The counts, locked. A thread that panicked cannot have left them half changed in a way
    /// that matters: each is a number of its own.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }
}

/// Whether the `count`-th event of a kind is worth a line in the log: the first, then each
/// thousandth.
pub(crate) fn is_worth_a_line(count: u64) -> bool {
    count == 1 || count.is_multiple_of(1000)
}
