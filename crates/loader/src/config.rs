//! What a loader is asked to do.

use std::sync::Arc;
use std::time::Duration;

use shards::image::Limits;
use shards::reader::MissingEnd;
use shards::spec::ShardSpec;
use shards::store::Cache;

use crate::arrival::Arrival;
use crate::caption::CaptionSource;
use crate::error::{Error, Result};
use crate::policy::Policy;
use crate::split::Replica;
use crate::stop::Stop;
use crate::table::Table;
use crate::tokenized::Tokenize;
use crate::transform::Transform;

/// How shards are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Each epoch in an order of its own, each sample once an epoch, over all replicas; what is missing to full batches
    /// comes from a further pass.
    Once,
    /// Pass after pass in orders of their own, whatever epochs are: nothing is left out or repeated where one ends.
    Epochless,
    /// Shards with replacement, as open_clip's `--dataset-resampled`.
    Resampled,
}

/// Where samples come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Tar shards.
    Shards(ShardSpec),
    /// Pictures in files, named by a table with their captions.
    Table(Arc<Table>),
    /// So many black pictures, all with one caption, for measurements.
    Synthetic(u64),
}

/// The settings of one replica's loader. All but `workers`, `cache`, `limits` and those about errors decide the content of
/// batches.
#[derive(Clone)]
pub struct LoaderConfig {
    /// Where samples come from.
    pub source: Source,
    /// One factor for each `::` source of the shards, by which each of its shards is drawn more often; empty for none.
    pub upsampling_factors: Vec<f64>,
    /// Samples per batch of this replica.
    pub batch_size: usize,
    /// Decoding threads; 0 means one. An epoch's number of batches is rounded up to a multiple
    /// of it, as in open_clip.
    pub workers: usize,
    /// Seed of every draw.
    pub seed: u64,
    /// How shards are drawn.
    pub sampling: Sampling,
    /// Bytes of samples held back to mix them, over all replicas; 0 keeps the order of the shards.
    pub shuffle_buffer: u64,
    /// Lanes of the run: the world sizes that divide it get the same global batches.
    pub lanes: usize,
    /// Shards open side by side, over all replicas; `None` takes what suits their number.
    pub open_shards: Option<usize>,
    /// Side of the pictures in a batch, in pixels.
    pub image_size: u32,
    /// How a picture becomes a square.
    pub transform: Transform,
    /// Caption to exactly `context_length` ids.
    pub tokenize: Tokenize,
    /// Ids per caption.
    pub context_length: usize,
    /// Extensions that count as pictures; the first that a sample has wins.
    pub image_extensions: Vec<String>,
    /// Where captions stand; of several that a sample has, one is drawn by weight.
    pub captions: Vec<CaptionSource>,
    /// Which of the replicas this is.
    pub replica: Replica,
    /// Samples per epoch over all replicas; `None` takes the size that stands beside the shards.
    pub num_samples: Option<u64>,
    /// What to do about shards and samples that cannot be used.
    pub policy: Policy,
    /// What to think of a tar that has no end marker.
    pub missing_end: MissingEnd,
    /// Where copies of shards from afar are kept.
    pub cache: Option<Cache>,
    /// How to wait for shards that are still to come; `None` where all are there.
    pub arrival: Option<Arrival>,
    /// The largest picture that is decoded.
    pub limits: Limits,
    /// Ends the batches early.
    pub stop: Stop,
}

/// Bytes of samples held back, over all replicas, unless the settings say otherwise.
pub const SHUFFLE_BUFFER: u64 = 512_000_000;

/// Lanes, unless the settings say otherwise: 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24 … ranks divide them.
pub const LANES: usize = 240;

impl LoaderConfig {
    /// open_clip's settings for training on one replica with one worker.
    pub fn new(source: Source, batch_size: usize, image_size: u32, tokenize: Tokenize, context_length: usize) -> Self {
        Self {
            source,
            upsampling_factors: Vec::new(),
            batch_size,
            workers: 1,
            seed: 0,
            sampling: Sampling::Once,
            shuffle_buffer: SHUFFLE_BUFFER,
            lanes: LANES,
            open_shards: None,
            image_size,
            transform: Transform::train(),
            tokenize,
            context_length,
            image_extensions: ["jpg", "png", "jpeg", "webp"].map(String::from).to_vec(),
            captions: vec![CaptionSource::text("txt")],
            replica: Replica::single(),
            num_samples: None,
            policy: Policy::default(),
            missing_end: MissingEnd::default(),
            cache: None,
            arrival: None,
            limits: Limits::default(),
            stop: Stop::default(),
        }
    }

    /// Whether the settings make sense, as far as they can be judged without any I/O.
    ///
    /// # Errors
    /// [`Error::Config`] for the first that does not.
    pub fn validate(&self) -> Result<()> {
        between("batch_size", self.batch_size, 1, MAX_BATCH)?;
        between("workers", self.workers, 0, MAX_WORKERS)?;
        between("lanes", self.lanes, 1, MAX_LANES)?;
        between("open_shards", self.open_shards.unwrap_or(1), 1, self.lanes)?;
        between("image_size", self.image_size as usize, 1, MAX_SIDE)?;
        require(self.context_length > 0, "context_length", "expected at least 1, got 0")?;
        require(self.num_samples != Some(0), "num_samples", "expected at least 1, got 0")?;
        require(!self.image_extensions.is_empty(), "image_extensions", "none given")?;
        require(!self.captions.is_empty(), "captions", "none given")?;
        let weighs = |weight: f64| weight > 0.0 && weight.is_finite();
        require(self.captions.iter().all(|caption| weighs(caption.weight)), "captions", "a weight is not positive")?;
        let Replica { rank, world_size } = self.replica;
        require(rank < world_size, "replica", &format!("rank {rank} of {world_size} replicas"))?;
        let (lanes, divides) = (self.lanes, self.lanes.is_multiple_of(world_size));
        require(divides, "lanes", &format!("{world_size} replicas do not divide {lanes} lanes; 960 suit 64 and 96"))?;
        self.validate_source()?;
        self.transform.validate()
    }

    fn validate_source(&self) -> Result<()> {
        let count = match &self.source {
            Source::Shards(spec) => {
                let (factors, sources) = (self.upsampling_factors.len(), spec.sources().len());
                let fits = factors == 0 || factors == sources;
                let reason = format!("expected one for each of {sources} sources, got {factors}");
                require(fits, "upsampling_factors", &reason)?;
                spec.uris().count()
            }
            Source::Table(table) => table.len(),
            Source::Synthetic(samples) => usize::try_from(*samples).unwrap_or(usize::MAX),
        };
        require(
            (1..=MAX_COUNT).contains(&count),
            "source",
            &format!("expected 1 to {MAX_COUNT} shards or rows, got {count}"),
        )?;
        let draws = self.sampling == Sampling::Resampled;
        let is_shards = matches!(self.source, Source::Shards(_));
        require(is_shards || !draws, "sampling", "only shards are drawn with replacement, not rows of a table")?;
        let positive = self.upsampling_factors.iter().all(|factor| *factor >= 0.0 && factor.is_finite());
        let some = self.upsampling_factors.is_empty() || self.upsampling_factors.iter().any(|factor| *factor > 0.0);
        require(positive && some, "upsampling_factors", "expected numbers from 0 up, one of them positive")?;
        let factors = self.upsampling_factors.is_empty();
        require(
            factors || draws,
            "upsampling_factors",
            "they have a meaning only where shards are drawn with replacement",
        )
    }

    pub(crate) fn image_extensions(&self) -> Vec<&str> {
        self.image_extensions.iter().map(String::as_str).collect()
    }
}

/// Pictures of a batch that are larger have no place in memory.
const MAX_SIDE: usize = 8192;

/// Larger batches are typing errors, and their buffers no machine could hold.
const MAX_BATCH: usize = 1 << 20;

/// More threads than any machine that reads shards has use for.
const MAX_WORKERS: usize = 1024;

/// More ranks than there are accelerators in one place.
const MAX_LANES: usize = 1 << 20;

/// Places in an order are counted in 32 bits.
const MAX_COUNT: usize = u32::MAX as usize;

/// Pauses before a shard is tried again begin with this and double.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(500);

fn between(setting: &'static str, value: usize, least: usize, most: usize) -> Result<()> {
    require((least..=most).contains(&value), setting, &format!("expected {least} to {most}, got {value}"))
}

fn require(holds: bool, setting: &'static str, reason: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Config { setting, reason: reason.into() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_settings_are_named() {
        let spec = ShardSpec::parse("{0..3}.tar").unwrap();
        let config = LoaderConfig::new(Source::Shards(spec), 4, 32, Arc::new(|_| vec![0; 8]), 8);
        assert!(config.validate().is_ok());
        type Change = fn(&mut LoaderConfig);
        let changes: [(&str, Change); 9] = [
            ("batch_size", |c| c.batch_size = 0),
            ("num_samples", |c| c.num_samples = Some(0)),
            ("replica", |c| c.replica = Replica { rank: 2, world_size: 2 }),
            ("lanes", |c| c.replica = Replica { rank: 2, world_size: 7 }),
            ("open_shards", |c| c.open_shards = Some(241)),
            ("image_extensions", |c| c.image_extensions.clear()),
            ("captions", |c| c.captions[0].weight = 0.0),
            ("upsampling_factors", |c| c.upsampling_factors = vec![1.0, 2.0]),
            ("sampling", |c| (c.sampling, c.source) = (Sampling::Resampled, Source::Synthetic(5))),
        ];
        for (setting, change) in changes {
            let mut changed = config.clone();
            change(&mut changed);
            let message = changed.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("`{setting}`")), "{message}");
        }
    }
}
