//! Which samples an epoch reads, in which order: passes over the shards, each shard's samples in its own order,
//! mixed by the shuffle buffer. Samples without picture or caption end here, counted.

use std::sync::Arc;

use shards::reader::{ShardEnd, ShardReader};
use shards::uri::ShardUri;
use shards::{Error as ShardError, Sample};

use crate::config::{LoaderConfig, OnShardError, Sampling};
use crate::decode::Candidate;
use crate::error::{Error, Result};
use crate::seed::{Domain, Draws};
use crate::shuffle::Shuffle;
use crate::split::{Portion, Share, split};
use crate::stats::{Tally, is_worth_a_line};
use crate::tokenized::caption;

/// Passes in a row that may give a replica nothing before it gives up. One pass of a single replica that reads every
/// shard leaves no doubt; a part of the shards, or draws with replacement, can miss the good ones by chance.
const PATIENCE: u64 = 16;

/// What all threads of a loader look at.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) config: Arc<LoaderConfig>,
    pub(crate) uris: Arc<[ShardUri]>,
    /// Samples of each shard, where all are known.
    pub(crate) sizes: Option<Arc<[u64]>>,
    pub(crate) tally: Tally,
}

impl Context {
    /// After how many passes without anything to train on it is certain enough that there is nothing.
    pub(crate) fn patience(&self) -> u64 {
        let reads_all = self.config.sampling == Sampling::Once && self.config.replica.world_size == 1;
        if reads_all { 1 } else { PATIENCE }
    }

    pub(crate) fn no_usable_sample(&self) -> Error {
        let stats = self.tally.lock();
        let listed = |(extension, count): (&String, &u64)| format!("{extension} ({count})");
        let extensions: Vec<String> = stats.extensions_left_out.iter().map(listed).collect();
        let malformed = stats.shards_incomplete.get("malformed").copied().unwrap_or(0);
        Error::NoUsableSample {
            samples: stats.samples,
            missing_image: stats.missing_image,
            missing_caption: stats.missing_caption,
            undecodable: stats.undecodable.values().sum(),
            shards_unusable: stats.shards_failed + malformed,
            image_extensions: self.config.image_extensions.join(", "),
            caption_extension: self.config.caption_extension.clone(),
            extensions: if extensions.is_empty() { "none".into() } else { extensions.join(", ") },
        }
    }
}

/// The endless stream of an epoch's samples; it ends only after an error.
pub(crate) fn candidates(context: &Context, epoch: u64) -> Box<dyn Iterator<Item = Result<Candidate>> + Send> {
    let buffer = context.config.shuffle_buffer;
    let draws = {
        let config = Arc::clone(&context.config);
        move |pass| Draws::new(config.seed, Domain::SampleOrder, &[epoch, pass, config.replica.rank as u64])
    };
    let shared = context.clone();
    match context.config.sampling {
        // Each pass is emptied before the next begins: a sample comes again only after all have come.
        Sampling::Once => Box::new(Passes::new(context.clone(), move |pass| {
            Shuffle::new(Pass::new(shared.clone(), pass, once(&shared, epoch, pass)), buffer, draws(pass))
        })),
        Sampling::Resampled => {
            let passes = Passes::new(context.clone(), move |pass| {
                Pass::new(shared.clone(), pass, resampled(&shared, epoch, pass))
            });
            Box::new(Shuffle::new(passes, buffer, draws(0)))
        }
    }
}

/// One shard to be read, and what the draws of its samples depend on.
struct Visit {
    portion: Portion,
    place: [u64; 4],
}

/// This replica's part of a permutation that is the same on all replicas.
fn once(context: &Context, epoch: u64, pass: u64) -> Vec<Visit> {
    let config = &context.config;
    let order = Draws::new(config.seed, Domain::ShardOrder, &[epoch, pass]).permutation(context.uris.len());
    let portions = split(&order, context.sizes.as_deref(), config.replica);
    let visit = |portion: Portion| Visit { place: [epoch, pass, portion.shard as u64, 0], portion };
    portions.into_iter().map(visit).collect()
}

/// As many draws as there are shards; each replica draws for itself.
fn resampled(context: &Context, epoch: u64, pass: u64) -> Vec<Visit> {
    let (config, count) = (&context.config, context.uris.len());
    let rank = config.replica.rank as u64;
    let mut draws = Draws::new(config.seed, Domain::ShardDraw, &[epoch, pass, rank]);
    let visit = |turn| {
        let portion = Portion { shard: draws.below(count), share: Share::all() };
        Visit { portion, place: [epoch, pass, turn, 1 + rank] }
    };
    (0..count as u64).map(visit).collect()
}

/// Pass after pass, until too many in a row give nothing.
struct Passes<F, P> {
    context: Context,
    open: F,
    current: Option<P>,
    pass: u64,
    /// Passes in a row without a sample, this one included.
    empty: u64,
}

impl<P, F: FnMut(u64) -> P> Passes<F, P> {
    fn new(context: Context, mut open: F) -> Self {
        let current = Some(open(0));
        Self { context, open, current, pass: 0, empty: 1 }
    }
}

impl<P: Iterator<Item = Result<Candidate>>, F: FnMut(u64) -> P> Iterator for Passes<F, P> {
    type Item = Result<Candidate>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.current.as_mut()?.next() {
                Some(Ok(candidate)) => {
                    self.empty = 0;
                    return Some(Ok(candidate));
                }
                Some(Err(error)) => {
                    self.current = None;
                    return Some(Err(error));
                }
                None if self.empty >= self.context.patience() => {
                    self.current = None;
                    return Some(Err(self.context.no_usable_sample()));
                }
                None => {
                    self.pass += 1;
                    self.empty += 1;
                    self.current = Some((self.open)(self.pass));
                }
            }
        }
    }
}

/// The samples of some shards, one shard after the other.
struct Pass {
    context: Context,
    pass: u64,
    visits: std::vec::IntoIter<Visit>,
    current: Option<OpenShard>,
}

struct OpenShard {
    reader: ShardReader<Box<dyn std::io::Read + Send>>,
    visit: Visit,
    /// Index of the next sample.
    index: u64,
}

impl Pass {
    fn new(context: Context, pass: u64, visits: Vec<Visit>) -> Self {
        Self { context, pass, visits: visits.into_iter(), current: None }
    }

    /// Opens the next shard; `None` at the end of the pass.
    fn open(&mut self) -> Option<Result<()>> {
        let visit = self.visits.next()?;
        let uri = &self.context.uris[visit.portion.shard];
        match ShardReader::open(uri) {
            Ok(reader) => self.current = Some(OpenShard { reader, visit, index: 0 }),
            Err(error) => {
                self.context.tally.lock().shards_failed += 1;
                return Some(self.pass_over(error));
            }
        }
        Some(Ok(()))
    }

    /// By the policy: the end of everything, or a warning.
    fn pass_over(&self, error: ShardError) -> Result<()> {
        if self.context.config.on_shard_error == OnShardError::Fail {
            return Err(error.into());
        }
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        tracing::warn!("skipped: {error}{cause}");
        Ok(())
    }

    /// Counts how a shard ended.
    fn close(&self, shard: &ShardUri, end: &ShardEnd) -> Result<()> {
        let ShardEnd::Incomplete { samples, reason, offset, key } = end else {
            self.context.tally.lock().shards_complete += 1;
            return Ok(());
        };
        *self.context.tally.lock().shards_incomplete.entry(reason.kind().into()).or_default() += 1;
        let (shard, samples, offset) = (shard.to_string(), *samples, *offset);
        if self.context.config.on_shard_error == OnShardError::Fail {
            return Err(Error::ShardIncomplete { shard, reason: reason.to_string(), offset, samples });
        }
        let lost = key.as_ref().map(|key| format!(", sample `{key}` is lost")).unwrap_or_default();
        tracing::warn!("shard `{shard}` is incomplete: {reason} (at byte {offset}, after {samples} samples{lost})");
        Ok(())
    }

    /// What training needs of a sample; `None` for one that lacks it, counted.
    fn candidate(&self, sample: Sample, place: [u64; 5]) -> Option<Candidate> {
        let config = &self.context.config;
        let mut stats = self.context.tally.lock();
        stats.samples += 1;
        let image = sample.field(&config.image_extensions()).map(|field| field.bytes.clone());
        let caption = caption(&sample, &config.caption_extension);
        if let (Some(image), Some(caption)) = (&image, &caption) {
            let (image, caption) = (image.clone(), caption.clone());
            return Some(Candidate { key: sample.key, shard: sample.shard, image, caption, pass: self.pass, place });
        }
        let (count, what) = match image {
            None => (&mut stats.missing_image, "picture"),
            Some(_) => (&mut stats.missing_caption, "caption"),
        };
        *count += 1;
        if is_worth_a_line(*count) {
            tracing::warn!(
                "shard `{}`: sample `{}` has no {what} and is left out ({count} so far)",
                sample.shard,
                sample.key
            );
        }
        stats.leave_out(sample.fields.iter().map(|field| field.extension.as_str()));
        None
    }
}

impl Iterator for Pass {
    type Item = Result<Candidate>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(open) = &mut self.current else {
                match self.open()? {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            };
            let share = &open.visit.portion.share;
            if share.ends_before(open.index) {
                self.current = None;
                continue;
            }
            match open.reader.next() {
                Some(Ok(sample)) => {
                    let (index, [a, b, c, d]) = (open.index, open.visit.place);
                    open.index += 1;
                    if !share.contains(index) {
                        continue;
                    }
                    if let Some(candidate) = self.candidate(sample, [a, b, c, d, index]) {
                        return Some(Ok(candidate));
                    }
                }
                ended => {
                    if let Some(Err(error)) = self.end(ended.and_then(|sample| sample.err())) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

impl Pass {
    /// Leaves the open shard, which has no more samples.
    fn end(&mut self, error: Option<ShardError>) -> Option<Result<()>> {
        let open = self.current.take()?;
        let shard = &self.context.uris[open.visit.portion.shard];
        let counted = open.reader.end().map_or(Ok(()), |end| self.close(shard, end));
        Some(match error {
            Some(error) if self.context.config.on_shard_error == OnShardError::Fail => Err(error.into()),
            Some(error) => {
                tracing::warn!("{error}");
                counted
            }
            None => counted,
        })
    }
}
