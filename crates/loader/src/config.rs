//! What a loader is asked to do.

use std::sync::Arc;

use shards::image::Limits;
use shards::spec::ShardSpec;

use crate::error::{Error, Result};
use crate::split::Replica;
use crate::stop::Stop;
use crate::tokenized::Tokenize;
use crate::transform::Transform;

/// How an epoch draws its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Each sample once an epoch, over all replicas; what is missing to full batches comes from
    /// a further pass.
    Once,
    /// Shards with replacement, by each replica for itself.
    Resampled,
}

/// What to do about a shard that cannot be opened, is malformed or is cut short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnShardError {
    /// End the epoch with the error.
    Fail,
    /// Warn, count it, and go on with the next shard; samples read before stay.
    #[default]
    Skip,
}

/// The settings of one replica's loader. All but `workers` decide the content of batches.
#[derive(Clone)]
pub struct LoaderConfig {
    /// The shards.
    pub spec: ShardSpec,
    /// Samples per batch of this replica.
    pub batch_size: usize,
    /// Decoding threads; 0 means one. An epoch's number of batches is rounded up to a multiple
    /// of it, as in open_clip.
    pub workers: usize,
    /// Seed of every draw.
    pub seed: u64,
    /// How an epoch draws its shards.
    pub sampling: Sampling,
    /// Samples held back to mix them; 0 and 1 keep the order of the shards.
    pub shuffle_buffer: usize,
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
    /// The extension that counts as caption.
    pub caption_extension: String,
    /// Which of the replicas this is.
    pub replica: Replica,
    /// Samples per epoch over all replicas; `None` takes the size that stands beside the shards.
    pub num_samples: Option<u64>,
    /// What to do about a shard that is not whole.
    pub on_shard_error: OnShardError,
    /// The largest picture that is decoded.
    pub limits: Limits,
    /// Ends an epoch before its last batch.
    pub stop: Stop,
}

impl LoaderConfig {
    /// open_clip's settings for training on one replica with one worker.
    pub fn new(spec: ShardSpec, batch_size: usize, image_size: u32, tokenize: Tokenize, context_length: usize) -> Self {
        Self {
            spec,
            batch_size,
            workers: 1,
            seed: 0,
            sampling: Sampling::Once,
            shuffle_buffer: 5000,
            image_size,
            transform: Transform::train(),
            tokenize,
            context_length,
            image_extensions: ["jpg", "png", "jpeg", "webp"].map(String::from).to_vec(),
            caption_extension: "txt".into(),
            replica: Replica::single(),
            num_samples: None,
            on_shard_error: OnShardError::default(),
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
        require(self.image_size > 0, "image_size", "expected at least 1, got 0")?;
        require(self.context_length > 0, "context_length", "expected at least 1, got 0")?;
        require(self.num_samples != Some(0), "num_samples", "expected at least 1, got 0")?;
        require(self.spec.uris().next().is_some(), "spec", "names no shard")?;
        require(!self.image_extensions.is_empty(), "image_extensions", "none given")?;
        let Replica { rank, world_size } = self.replica;
        require(rank < world_size, "replica", &format!("rank {rank} of {world_size} replicas"))?;
        self.transform.validate()
    }

    pub(crate) fn image_extensions(&self) -> Vec<&str> {
        self.image_extensions.iter().map(String::as_str).collect()
    }

    pub(crate) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

/// Larger batches are typing errors, and their buffers no machine could hold.
const MAX_BATCH: usize = 1 << 20;

/// More threads than any machine that reads shards has use for.
const MAX_WORKERS: usize = 1024;

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
        let config = LoaderConfig::new(spec, 4, 32, Arc::new(|_| vec![0; 8]), 8);
        assert!(config.validate().is_ok());
        type Change = fn(&mut LoaderConfig);
        let changes: [(&str, Change); 5] = [
            ("batch_size", |c| c.batch_size = 0),
            ("num_samples", |c| c.num_samples = Some(0)),
            ("replica", |c| c.replica = Replica { rank: 2, world_size: 2 }),
            ("image_extensions", |c| c.image_extensions.clear()),
            ("transform", |c| c.transform = Transform::Train { scale: (0.9, 0.1), ratio: (0.75, 1.25) }),
        ];
        for (setting, change) in changes {
            let mut changed = config.clone();
            change(&mut changed);
            let message = changed.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("`{setting}`")), "{message}");
        }
    }
}
