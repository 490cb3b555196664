//! A training run put together from its parts: the same for `cliptrain` and for the demo. Not what is told of it: `crate::log`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use loader::{
    Arrival, Augmentation, Cache, CaptionSource, Loader, LoaderConfig, MissingEnd, Policy, Sampling, Source, Stop,
    Table, Tokenize, Transform,
};
use model::clip::Clip;
use model::tokenizer::Tokenizer;
use shards::spec::ShardSpec;
use trainer::pretrained::Hub;
use trainer::step::Trainer;
use trainer::train::{Run, Start, Trained, train};
use trainer::{Evaluator, Observer, TrainConfig};

use crate::exit::Hint;
use crate::{sources, terminal};

/// The data of a run.
#[derive(Clone, Debug)]
pub struct TrainData {
    /// Where samples come from.
    pub source: DataSource,
    /// Samples of an epoch, where the shards' folder does not tell or is not to be believed.
    pub num_samples: Option<u64>,
    /// How shards are drawn.
    pub sampling: Sampling,
    /// One factor a `::` source.
    pub upsampling_factors: Vec<f64>,
    /// Pairs of a batch.
    pub batch_size: usize,
    /// Threads that decode; epochs are rounded by them.
    pub workers: usize,
    /// Seed of order and crops.
    pub seed: u64,
    /// Random changes of pictures.
    pub augmentation: Augmentation,
    /// Extensions that count as pictures.
    pub image_extensions: Vec<String>,
    /// Where captions stand.
    pub captions: Vec<CaptionSource>,
    /// Bytes of samples held back to mix them.
    pub shuffle_buffer: u64,
    /// Lanes of the run.
    pub lanes: usize,
    /// Shards open side by side.
    pub open_shards: Option<usize>,
    /// What to do about shards and samples that cannot be used.
    pub policy: Policy,
    /// What to think of a tar without end marker.
    pub missing_end: MissingEnd,
    /// Where copies of shards from afar are kept, and how many bytes of them.
    pub cache: Option<(PathBuf, u64)>,
    /// Largest picture, in pixels.
    pub max_image_pixels: Option<u64>,
    /// Whether commands that do no more than fetch a shard are done without.
    pub rewrite_pipes: bool,
    /// How to wait for shards that are still to come.
    pub arrival: Option<Arrival>,
}

/// Where samples come from, as the command line names it.
#[derive(Clone, Debug)]
pub enum DataSource {
    /// Tar shards, `{000..999}` and `::` allowed.
    Shards(String),
    /// A table of files and captions.
    Csv {
        /// The table.
        path: PathBuf,
        /// Between cells.
        separator: u8,
        /// Column of the pictures' paths.
        image_column: String,
        /// Column of the captions.
        caption_column: String,
    },
    /// Files with their captions, or labels.
    Rows(Arc<Table>),
    /// Black pictures.
    Synthetic,
}

impl TrainData {
    /// Shards, with the loader's own settings for all else.
    pub fn shards(spec: String, batch_size: usize, workers: usize, seed: u64) -> Self {
        Self {
            source: DataSource::Shards(spec),
            num_samples: None,
            sampling: Sampling::Once,
            upsampling_factors: Vec::new(),
            batch_size,
            workers,
            seed,
            augmentation: Augmentation::default(),
            image_extensions: ["jpg", "png", "jpeg", "webp"].map(String::from).to_vec(),
            captions: vec![CaptionSource::text("txt")],
            shuffle_buffer: loader::SHUFFLE_BUFFER,
            lanes: loader::LANES,
            open_shards: None,
            policy: Policy::default(),
            missing_end: MissingEnd::default(),
            cache: None,
            max_image_pixels: None,
            rewrite_pipes: false,
            arrival: None,
        }
    }

    fn open_source(&self) -> anyhow::Result<Source> {
        Ok(match &self.source {
            DataSource::Shards(spec) => Source::Shards(self.shard_spec(spec)?),
            DataSource::Csv { path, separator, image_column, caption_column } => {
                Source::Table(Arc::new(table(path, *separator, image_column, caption_column)?))
            }
            DataSource::Rows(table) => Source::Table(Arc::clone(table)),
            DataSource::Synthetic => Source::Synthetic(
                self.num_samples
                    .ok_or_else(|| anyhow::anyhow!("synthetic data have no size of their own").context(size_hint()))?,
            ),
        })
    }

    fn shard_spec(&self, spec: &str) -> anyhow::Result<ShardSpec> {
        let spec = sources::parse(spec)?;
        Ok(if self.rewrite_pipes { spec.without_commands()? } else { spec })
    }

    /// The loader's settings for pictures of `side` pixels and captions of `context_length` ids.
    ///
    /// # Errors
    /// When the specification is malformed, or a table or the cache cannot be opened.
    pub fn config(&self, side: u32, tokenize: Tokenize, context_length: usize) -> anyhow::Result<LoaderConfig> {
        let mut config = LoaderConfig::new(self.open_source()?, self.batch_size, side, tokenize, context_length);
        config.upsampling_factors = self.upsampling_factors.clone();
        config.workers = self.workers;
        config.seed = self.seed;
        config.sampling = self.sampling;
        config.shuffle_buffer = self.shuffle_buffer;
        config.lanes = self.lanes;
        config.open_shards = self.open_shards;
        config.transform = Transform::Train(self.augmentation);
        config.image_extensions = self.image_extensions.clone();
        config.captions = self.captions.clone();
        config.num_samples = self.num_samples;
        config.policy = self.policy;
        config.missing_end = self.missing_end;
        config.arrival = self.arrival.clone();
        if let Some((folder, max_bytes)) = &self.cache {
            config.cache = Some(Cache::new(folder, *max_bytes).context("cache of shards")?);
        }
        config.limits.max_pixels = self.max_image_pixels.unwrap_or(config.limits.max_pixels);
        Ok(config)
    }
}

/// Reads a table of pictures and captions.
///
/// # Errors
/// When it cannot be read, or its columns are others.
pub fn table(path: &Path, separator: u8, image_column: &str, caption_column: &str) -> anyhow::Result<Table> {
    if !path.exists() {
        anyhow::bail!("there is no file `{}`", path.display());
    }
    Table::read(path, separator, image_column, caption_column).map_err(|error| {
        let hint = "--csv-separator says what stands between its cells, --csv-img-key and --csv-caption-key what its columns are called";
        anyhow::Error::new(error).context(Hint(hint.to_owned()))
    })
}

fn size_hint() -> Hint {
    Hint("--train-num-samples N says how many samples an epoch has".to_owned())
}

/// A warning where a run ends before its learning rate has risen.
pub fn long_warmup(warmup: u64, steps: u64) -> Option<String> {
    (warmup > steps).then(|| format!("warning: --warmup {warmup} is longer than the whole run of {steps} steps"))
}

/// The loader of a configuration.
///
/// # Errors
/// When it makes no sense, or the number of samples is unknown.
pub fn made(config: LoaderConfig) -> anyhow::Result<Loader> {
    match Loader::new(config) {
        Err(error @ loader::Error::UnknownSize { .. }) => Err(anyhow::Error::new(error).context(size_hint())),
        loader => Ok(loader?),
    }
}

/// Opens the data for a model; batches end early once `stop` is set.
///
/// # Errors
/// When the specification is malformed, or the number of samples is unknown.
pub fn open(data: &TrainData, clip: &Clip, tokenizer: &Arc<Tokenizer>, stop: &Stop) -> anyhow::Result<Loader> {
    let (tokenizer, context_length) = (Arc::clone(tokenizer), clip.config().text_cfg.context_length);
    let tokenize: Tokenize = Arc::new(move |caption| tokenizer.encode(caption, context_length));
    let mut config = data.config(clip.config().vision_cfg.image_size as u32, tokenize, context_length)?;
    config.stop = stop.clone();
    made(config).with_context(|| format!("cannot train on {}", data.source))
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards(spec) => write!(f, "`{spec}`"),
            Self::Csv { path, .. } => write!(f, "`{}`", path.display()),
            Self::Rows(_) => f.write_str("the class folders"),
            Self::Synthetic => f.write_str("synthetic data"),
        }
    }
}

/// The tokenizer that a model's text tower asks for.
///
/// # Errors
/// When its files cannot be had, or it has more ids than the tower.
pub fn tokenizer(clip: &Clip, hub: &Hub) -> anyhow::Result<Tokenizer> {
    trainer::zoo::tokenizer(clip.config(), &[], hub).context("--model")
}

/// A stop that the first Ctrl-C or SIGTERM sets; commands that stream shards are ended with it.
///
/// # Errors
/// When signals cannot be watched.
pub fn stop_on_interrupt() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    let stopper = stop.clone();
    let interrupted = move || {
        crate::note!("{}", terminal::STOPPING);
        stopper.set();
        shards::store::end_commands();
    };
    terminal::on_interrupt(interrupted).context("cannot watch for Ctrl-C")?;
    Ok(stop)
}

/// A stop that the first Ctrl-C, SIGTERM or SIGUSR1 sets, and which of them it was; `saves` is whether there will be a checkpoint.
///
/// # Errors
/// When signals cannot be watched.
pub fn stop_on_request(saves: bool) -> anyhow::Result<(Stop, Arc<OnceLock<terminal::Asked>>)> {
    let (stop, asked) = (Stop::default(), Arc::new(OnceLock::new()));
    let (stopper, answer) = (stop.clone(), Arc::clone(&asked));
    let requested = move |by| {
        let checkpoint = if saves { "with" } else { "without" };
        crate::note!("stopping after this step, {checkpoint} a checkpoint; Ctrl-C once more to stop at once");
        let _ = answer.set(by);
        stopper.set();
        shards::store::end_commands();
    };
    terminal::on_request(requested).context("cannot watch for signals")?;
    Ok((stop, asked))
}

/// A run whose data, tokenizer and optimizer are there; nothing is written yet.
pub struct Session<'a> {
    config: &'a TrainConfig,
    /// Model and optimizer.
    pub trainer: Trainer,
    /// Where batches come from.
    pub loader: Loader,
    /// Of captions and prompts.
    pub tokenizer: Arc<Tokenizer>,
    /// Where it begins.
    pub start: Start,
    stop: &'a Stop,
}

impl<'a> Session<'a> {
    /// A run from its start; batches end early once `stop` is set.
    ///
    /// # Errors
    /// When the configuration makes no sense, the data cannot be opened, or are too few for a step.
    pub fn new(
        config: &'a TrainConfig,
        trainer: Trainer,
        tokenizer: Arc<Tokenizer>,
        data: &TrainData,
        stop: &'a Stop,
    ) -> anyhow::Result<Self> {
        config.validate()?;
        let loader = open(data, &trainer.clip, &tokenizer, stop)?;
        enough(data, loader.num_samples())?;
        config.steps_per_epoch(loader.epoch_size())?;
        let start = Start::of(&loader);
        Ok(Self { config, trainer, loader, tokenizer, start, stop })
    }

    /// Trains.
    ///
    /// # Errors
    /// When anything stops the run; the message says what.
    pub fn run(self, evaluator: &mut dyn Evaluator, observer: &mut dyn Observer) -> anyhow::Result<Trained> {
        let Self { config, trainer, loader, start, stop, .. } = self;
        Ok(train(Run { config, trainer, loader: &loader, start, stop, evaluator, observer })?)
    }
}

/// A batch that is larger than an epoch would hold samples twice, each of which the contrastive loss takes for the other's wrong
/// answer.
///
/// # Errors
/// When an epoch has not the samples of one batch.
pub fn enough(data: &TrainData, samples: u64) -> anyhow::Result<()> {
    if samples >= data.batch_size as u64 {
        return Ok(());
    }
    let size = data.batch_size;
    let error = anyhow::anyhow!("--batch-size {size}: an epoch has {samples} samples, fewer than one batch");
    Err(error.context(Hint("a smaller --batch-size, or more data".to_owned())))
}
