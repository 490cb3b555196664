//! What all threads of a loader look at, and the verdict that there is nothing to train on.

use std::io::Read;
use std::sync::Arc;

use shards::reader::{Proof, ShardReader};
use shards::uri::ShardUri;

use crate::config::{LoaderConfig, Sampling};
use crate::error::{Error, Result, Seen};
use crate::plan::Plan;
use crate::stats::{Tally, is_worth_a_line};
use crate::table::Table;

/// Passes in a row that may give a stream nothing before it gives up. One pass of a stream that reads every shard leaves
/// no doubt; a part of the shards, or draws with replacement, can miss the good ones by chance.
const PATIENCE: u64 = 16;

/// Everything that is shared.
pub(crate) struct Context {
    pub(crate) config: LoaderConfig,
    pub(crate) data: Data,
    pub(crate) plan: Plan,
    pub(crate) tally: Tally,
}

/// The data, once looked at.
pub(crate) enum Data {
    Shards(Arc<[Shard]>),
    Table(Arc<Table>),
    Synthetic,
}

/// One shard of the list.
pub(crate) struct Shard {
    pub(crate) uri: ShardUri,
    pub(crate) name: Arc<str>,
    /// Which of the `::` sources it is of.
    pub(crate) source: usize,
    pub(crate) proof: Proof,
}

impl Context {
    /// After how many passes without anything to train on it is certain enough that there is nothing.
    pub(crate) fn patience(&self) -> u64 {
        let reads_all = self.plan.sampling != Sampling::Resampled && self.plan.lanes.streams == 1;
        if reads_all { 1 } else { PATIENCE }
    }

    /// Counts a visit to a shard, which may have begun within it.
    ///
    /// # Errors
    /// When it is certain enough that its source has no usable sample.
    pub(crate) fn leave(&self, shard: usize, saw_all: bool) -> Result<()> {
        let Data::Shards(shards) = &self.data else { return Ok(()) };
        let source = shards[shard].source;
        if !self.tally.lock().per_source[source].is_hopeless_after(shard, saw_all) {
            return Ok(());
        }
        let first = shards.iter().find(|other| other.source == source).map_or("", |first| &first.name);
        Err(self.no_usable_sample(&format!("the source that begins with `{first}`")))
    }

    /// Counts a shard that was read to its end, and what was passed over in it.
    pub(crate) fn count_complete<R: Read>(&self, samples: u64, reader: &ShardReader<R>) {
        let mut counted = self.tally.lock();
        let counts = &mut counted.counts;
        counts.shards_complete += 1;
        counts.members_left_out += reader.members_left_out();
        let Some(recorded) = reader.miscount() else { return };
        counts.shards_miscounted += 1;
        let count = counts.shards_miscounted;
        drop(counted);
        if is_worth_a_line(count) {
            let shard = reader.shard();
            tracing::warn!("shard `{shard}` has {samples} samples; sizes.json or its _stats.json says {recorded}");
        }
    }

    pub(crate) fn no_usable_sample(&self, whence: &str) -> Error {
        let counted = self.tally.lock();
        let stats = &counted.counts;
        let listed = |(extension, count): (&String, &u64)| format!("{extension} ({count})");
        let extensions: Vec<String> = stats.extensions_left_out.iter().map(listed).collect();
        let captions: Vec<_> = self.config.captions.iter().map(|source| source.name()).collect();
        let seen = Seen {
            samples: stats.samples,
            missing_image: stats.missing_image,
            missing_caption: stats.missing_caption,
            undecodable: stats.undecodable.values().sum(),
            bad_shards: counted.bad_shards,
            trouble: counted.last_trouble.clone(),
            image_extensions: self.config.image_extensions.join(", "),
            captions: captions.join(", "),
            extensions: extensions.join(", "),
        };
        Error::NoUsableSample { whence: whence.into(), seen: Box::new(seen) }
    }
}
