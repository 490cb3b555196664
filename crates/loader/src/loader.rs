//! The loader: data that were looked at once, and the runs of batches over them.

use std::sync::Arc;

use shards::reader::Proof;
use shards::spec::ShardSpec;
use shards::uri::ShardUri;

use crate::batches::Batches;
use crate::config::{LoaderConfig, Source};
use crate::context::{Context, Data, Shard};
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::plan::Plan;
use crate::position::{LoaderPosition, Order};
use crate::seed::Digest;
use crate::size::{EpochSize, epoch_size, epoch_size_of_rows, recorded};
use crate::stats::{LoaderStats, Tally};

/// One replica's view of a data set.
pub struct Loader {
    context: Arc<Context>,
    order: Order,
}

/// What is found out about the data before any sample is read.
struct Found {
    data: Data,
    count: usize,
    sizes: Option<Arc<[u64]>>,
    cumulative_weights: Option<Arc<[f64]>>,
    /// Shards of each `::` source.
    sources: Vec<u64>,
    digest: Digest,
}

impl Loader {
    /// Checks the settings and finds out how large an epoch is; no shard is opened yet.
    ///
    /// # Errors
    /// When a setting makes no sense, or no number of samples is given and the shards have none beside them.
    pub fn new(mut config: LoaderConfig) -> Result<Self> {
        config.validate()?;
        let Found { data, count, sizes, cumulative_weights, sources, digest } = match &config.source {
            Source::Shards(spec) => of_shards(spec, &config)?,
            Source::Table(table) => {
                of_rows(Data::Table(Arc::clone(table)), table.len(), Digest::default().with(table.text().as_bytes()))
            }
            Source::Synthetic(samples) => {
                let count = usize::try_from(*samples).unwrap_or(usize::MAX);
                of_rows(Data::Synthetic, count, Digest::default().with(&samples.to_le_bytes()))
            }
        };
        if config.num_samples.is_none() {
            config.num_samples = sizes.as_ref().map(|sizes| sizes.iter().sum());
        }
        match config.num_samples {
            None => return Err(unknown_size(&data)),
            Some(0) => {
                let reason = "the shards are empty by their sizes".into();
                return Err(Error::Config { setting: "source", reason });
            }
            Some(_) => {}
        }
        let lanes = Lanes::new(config.lanes, config.open_shards, count);
        let order = Order {
            data: digest.hex(),
            seed: config.seed,
            sampling: config.sampling,
            shuffle_buffer: config.shuffle_buffer,
            lanes: lanes.lanes,
            streams: lanes.streams,
            sizes_known: sizes.is_some(),
        };
        let sizes = sizes.filter(|_| matches!(data, Data::Shards(_)));
        let (seed, sampling, arriving) = (config.seed, config.sampling, config.arrival.is_some());
        let plan = Plan { seed, sampling, lanes, count, sizes, arriving, cumulative_weights };
        let context = Context { config, data, plan, tally: Tally::new(&sources) };
        Ok(Self { context: Arc::new(context), order })
    }

    /// How much each epoch has that starts with the settings as they are.
    pub fn epoch_size(&self) -> EpochSize {
        self.context.epoch_size(self.context.config.workers)
    }

    /// The same for a run that began with so many workers.
    pub fn epoch_size_with(&self, workers: usize) -> EpochSize {
        self.context.epoch_size(workers)
    }

    /// Samples of a batch, all replicas together.
    pub fn global_batch_size(&self) -> u64 {
        let config = &self.context.config;
        (config.batch_size as u64).saturating_mul(config.replica.world_size as u64)
    }

    /// Samples of an epoch, before they are rounded to full batches.
    pub fn num_samples(&self) -> u64 {
        self.context.config.num_samples.unwrap_or(0)
    }

    /// The start of a run.
    pub fn start(&self) -> LoaderPosition {
        let workers = self.context.config.workers;
        LoaderPosition::start(self.order.clone(), workers, self.context.epoch_samples(workers))
    }

    /// The start of an epoch of a run that was begun elsewhere, and left no position. Slots are counted from here, and where
    /// order does not depend on epochs it is that of the start of a run.
    pub fn start_of(&self, epoch: u64) -> LoaderPosition {
        LoaderPosition { epoch, ..self.start() }
    }

    /// Batches from the start of a run; reading starts at once.
    pub fn batches(&self) -> Batches {
        Batches::start(Arc::clone(&self.context), self.start())
    }

    /// Whether a run may go on from `position` with these data and settings.
    ///
    /// # Errors
    /// When the position is one of other data or of another order.
    pub fn check(&self, position: &LoaderPosition) -> Result<()> {
        position.check(&self.order)
    }

    /// Batches from `position` on: the very next one comes first. Another number of replicas gets the same samples as long
    /// as they together take as many at a time.
    ///
    /// # Errors
    /// When the position is one of other data or of another order.
    pub fn batches_from(&self, position: &LoaderPosition) -> Result<Batches> {
        position.check(&self.order)?;
        Ok(Batches::start(Arc::clone(&self.context), position.clone()))
    }

    /// Counts since the loader was made.
    pub fn stats(&self) -> LoaderStats {
        self.context.tally.lock().counts.clone()
    }
}

impl Context {
    fn epoch_size(&self, workers: usize) -> EpochSize {
        let (batch_size, world_size) = (self.config.batch_size as u64, self.config.replica.world_size as u64);
        let samples = self.config.num_samples.unwrap_or(0);
        match self.data {
            Data::Shards(_) => epoch_size(samples, batch_size, world_size, workers as u64),
            Data::Table(_) | Data::Synthetic => epoch_size_of_rows(samples, batch_size, world_size),
        }
    }

    /// Samples that all replicas get in an epoch, by so many of open_clip's workers.
    pub(crate) fn epoch_samples(&self, workers: usize) -> u64 {
        self.epoch_size(workers).num_samples
    }
}

fn of_rows(data: Data, count: usize, digest: Digest) -> Found {
    let sizes = Some([count as u64].into());
    Found { data, count, sizes, cumulative_weights: None, sources: vec![count as u64], digest }
}

fn of_shards(spec: &ShardSpec, config: &LoaderConfig) -> Result<Found> {
    let uris: Vec<ShardUri> = spec.uris().cloned().collect();
    let proofs = match &config.arrival {
        None => recorded(&uris, config.missing_end)?,
        Some(_) => vec![Proof { samples: None, bytes: None, missing_end: config.missing_end }; uris.len()],
    };
    let sources = spec.sources().iter().enumerate().flat_map(|(source, uris)| uris.iter().map(move |_| source));
    let mut digest = Digest::default();
    let mut shards = Vec::with_capacity(uris.len());
    for ((uri, proof), source) in uris.into_iter().zip(proofs).zip(sources) {
        let name: Arc<str> = uri.to_string().into();
        digest = digest.with(name.as_bytes()).with(&proof.samples.unwrap_or(u64::MAX).to_le_bytes());
        shards.push(Shard { uri, name, source, proof });
    }
    digest = config.upsampling_factors.iter().fold(digest, |digest, factor| digest.with(&factor.to_le_bytes()));
    let sum = |sum: &mut f64, shard: &Shard| {
        *sum += config.upsampling_factors.get(shard.source)?;
        Some(*sum)
    };
    let weights: Arc<[f64]> = shards.iter().scan(0.0, sum).collect();
    Ok(Found {
        count: shards.len(),
        sizes: shards.iter().map(|shard| shard.proof.samples).collect(),
        cumulative_weights: (!weights.is_empty()).then_some(weights),
        sources: spec.sources().iter().map(|source| source.len() as u64).collect(),
        digest,
        data: Data::Shards(shards.into()),
    })
}

/// A shard without a size may simply not be there.
fn unknown_size(data: &Data) -> Error {
    let unknown = match data {
        Data::Shards(shards) => shards.iter().find(|shard| shard.proof.samples.is_none()),
        Data::Table(_) | Data::Synthetic => None,
    };
    let path = unknown.and_then(|shard| shard.uri.local_path());
    match path.map(|path| (path, path.metadata())) {
        Some((path, Err(error))) => Error::io("open", path)(error),
        _ => Error::UnknownSize { shard: unknown.map_or(String::new(), |shard| shard.name.to_string()) },
    }
}
