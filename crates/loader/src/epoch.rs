//! One epoch as a stream of batches, and the loader that makes them.

use std::sync::Arc;

use shards::uri::ShardUri;

use crate::batch::Batch;
use crate::config::LoaderConfig;
use crate::decode::{Decoded, Example, decode};
use crate::error::{Error, Result};
use crate::size::{EpochSize, epoch_size, shard_sizes};
use crate::source::{Context, candidates};
use crate::stats::{LoaderStats, Tally, is_worth_a_line};
use crate::worker::{Ordered, ordered, window};

/// One replica's view of a data set.
pub struct Loader {
    context: Context,
    size: EpochSize,
}

impl Loader {
    /// Checks the settings and finds out how large an epoch is; no shard is opened yet.
    ///
    /// # Errors
    /// When a setting makes no sense, or no number of samples is given and the shards have none beside them.
    pub fn new(config: LoaderConfig) -> Result<Self> {
        config.validate()?;
        let uris: Arc<[_]> = config.spec.uris().cloned().collect();
        let known = shard_sizes(&uris)?;
        let unknown = known.iter().position(Option::is_none);
        let sizes: Option<Arc<[u64]>> = known.into_iter().collect();
        let num_samples = match (config.num_samples, &sizes) {
            (Some(given), _) => given,
            (None, Some(sizes)) => sizes.iter().sum(),
            (None, None) => {
                return Err(unknown_size(&uris[unknown.unwrap_or(0)]));
            }
        };
        if num_samples == 0 {
            return Err(Error::Config { setting: "spec", reason: "the shards are empty by their sizes".into() });
        }
        let world_size = config.replica.world_size as u64;
        let size = epoch_size(num_samples, config.batch_size as u64, world_size, config.workers as u64);
        let context = Context { config: config.shared(), uris, sizes, tally: Tally::default() };
        Ok(Self { context, size })
    }

    /// How much each epoch has.
    pub fn epoch_size(&self) -> EpochSize {
        self.size
    }

    /// The batches of epoch `epoch`, counted from 0; reading starts at once.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        let config = Arc::clone(&self.context.config);
        let workers = config.workers.max(1);
        // A batch is decoded while the one before it is trained on.
        let (window, stop) = (window(config.batch_size, workers), config.stop.clone());
        let work = move |candidate: Result<_>| decode(&config, candidate?);
        let decoded = ordered(candidates(&self.context, epoch), workers, window, &stop, work);
        Epoch {
            context: self.context.clone(),
            decoded: Some(decoded),
            batches_left: self.size.num_batches,
            examples: 0,
        }
    }

    /// Counts since the loader was made.
    pub fn stats(&self) -> LoaderStats {
        self.context.tally.lock().clone()
    }
}

/// A shard without a size may simply not be there.
fn unknown_size(shard: &ShardUri) -> Error {
    match shard.local_path().map(|path| (path, path.metadata())) {
        Some((path, Err(error))) => Error::io("open", path)(error),
        _ => Error::UnknownSize { shard: shard.to_string() },
    }
}

/// The batches of one epoch, all of them full; after an error there are no more.
pub struct Epoch {
    context: Context,
    /// `None` after an error.
    decoded: Option<Ordered<Result<Decoded>>>,
    batches_left: u64,
    /// Examples so far.
    examples: u64,
}

impl Epoch {
    /// `None` where the epoch was stopped.
    fn batch(&mut self) -> Result<Option<Batch>> {
        let config = Arc::clone(&self.context.config);
        let side = config.image_size as usize;
        let mut batch = Batch::with_capacity(config.batch_size, side * side * 3, config.context_length);
        while batch.keys.len() < config.batch_size {
            match self.example()? {
                Some(example) => batch.push(example),
                None => return Ok(None),
            }
        }
        Ok(Some(batch))
    }

    fn example(&mut self) -> Result<Option<Example>> {
        loop {
            let next = self.decoded.as_mut().and_then(Iterator::next);
            // Sources that were ended with the run have errors to tell, which are none.
            if self.context.config.stop.is_set() {
                return Ok(None);
            }
            let (pass, found) = match next.ok_or(Error::Thread { thread: "reading" })??? {
                Decoded::Example(example) => (example.pass, Some(example)),
                Decoded::Undecodable { key, shard, pass, error } => {
                    let mut stats = self.context.tally.lock();
                    let count = stats.undecodable.entry(error.kind().into()).or_default();
                    *count += 1;
                    if is_worth_a_line(*count) {
                        tracing::warn!("shard `{shard}`: sample `{key}` is left out: {error} ({count} so far)");
                    }
                    (pass, None)
                }
            };
            if let Some(example) = found {
                self.count(&example);
                return Ok(Some(example));
            }
            if self.examples == 0 && pass >= self.context.patience() {
                return Err(self.context.no_usable_sample());
            }
        }
    }

    fn count(&mut self, example: &Example) {
        self.examples += 1;
        let mut stats = self.context.tally.lock();
        stats.examples += 1;
        if example.pass > 0 && self.context.config.sampling == crate::Sampling::Once {
            stats.repeated += 1;
        }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batches_left == 0 || self.decoded.is_none() {
            return None;
        }
        self.batches_left -= 1;
        let batch = self.batch();
        if !matches!(batch, Ok(Some(_))) || self.batches_left == 0 {
            self.decoded = None;
        }
        batch.transpose()
    }
}
