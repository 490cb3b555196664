//! The demo from end to end: draw, serve, download, describe, train, evaluate, report. Each stage makes
//! exactly the library call that the binaries make, on files that the printed commands can use again.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use ingest::fetch::address_guard::AddressGuard;
use ingest::table::{StatsOptions, TableStats};
use ingest::{DownloadConfig, DownloadReport, Observer, StopToken};
use loader::Stop;
use model::Device;
use model::clip::Clip;
use model::zero_shot::Template;
use serde::Serialize;
use trainer::config::{AdamW, Decay, Saving, optimizer_defaults};
use trainer::evaluate::{Evaluated, Labels, Periodic, Suite, ZeroShotReport, ZeroShotTask};
use trainer::metrics::{Metrics, ResultsFile};
use trainer::step::Trainer;
use trainer::{Evaluator, Observer as TrainObserver, StepReport, TrainConfig, TrainReport};

use super::caption::TEMPLATES;
use super::grammar::{Class, Drawing, Grammar, HeldOut};
use crate::log::{self, LogFile};
use crate::server::Server;
use crate::training::{self, Session, TrainData};
use crate::zoo;

/// Model of the demo; small enough to train in minutes on two cores.
pub const MODEL: &str = "tiny-32";
/// Training pictures in one shard.
const SAMPLES_PER_SHARD: usize = 500;
/// Held-out pictures of each class.
const HELD_OUT_PER_CLASS: usize = 8;
/// Side of the pictures in the shards; the model crops 32 from it.
const IMAGE_SIZE: u32 = 40;
/// What the demo trains with; the printed command says the same.
pub const BATCH_SIZE: usize = 128;
/// Base learning rate.
pub const LR: f64 = 1e-3;
/// Steps of warm-up.
pub const WARMUP: u64 = 100;
/// Decoding threads.
pub const WORKERS: usize = 2;
/// Steps between two lines of its log.
const LOG_EVERY_N_STEPS: u64 = 10;

/// What the user may choose.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Folder for everything.
    pub output: PathBuf,
    /// Training pictures.
    pub pictures: usize,
    /// Passes over them.
    pub epochs: u64,
    /// Seed of drawings, weights and order.
    pub seed: u64,
}

/// The paths of a demo's folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The pictures that are served.
    pub fn pictures(&self) -> PathBuf {
        self.root.join("pictures")
    }

    /// The list of URLs and captions.
    pub fn url_list(&self) -> PathBuf {
        self.root.join("pictures.tsv")
    }

    /// The downloaded shards.
    pub fn shards(&self) -> PathBuf {
        self.root.join("shards")
    }

    /// Held-out pictures in class folders; `set` is `seen` or `unseen`.
    pub fn held_out(&self, set: &str) -> PathBuf {
        self.root.join("held-out").join(set)
    }

    /// Names of all classes, one a line.
    pub fn class_names(&self) -> PathBuf {
        self.root.join("class-names.txt")
    }

    /// Templates, one a line.
    pub fn templates(&self) -> PathBuf {
        self.root.join("templates.txt")
    }

    /// Folder of training runs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The page to look at.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

/// Everything that the demo found out.
pub struct Demo {
    /// Where its files are.
    pub layout: Layout,
    /// Port that the pictures were served on.
    pub port: u16,
    /// The drawings of the training set.
    pub training: Vec<Drawing>,
    /// The drawings kept apart.
    pub held_out: HeldOut,
    /// What became of the URLs.
    pub download: DownloadReport,
    /// The table of the downloaded samples, described.
    pub stats: TableStats,
    /// Loss of every step.
    pub losses: Vec<(u64, f64)>,
    /// The training in numbers.
    pub train: TrainReport,
    /// Zero-shot on new pictures of pairs seen in training.
    pub seen: ZeroShotReport,
    /// Zero-shot on pairs never seen in training.
    pub unseen: ZeroShotReport,
    /// Seed of drawings, weights and order.
    pub seed: u64,
    /// Seconds of everything.
    pub seconds: f64,
}

/// The last line of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct DemoSummary {
    /// Top-1 on new pictures of pairs seen in training, 0 to 1.
    pub top1_seen_pairs: f64,
    /// Top-1 on pictures of pairs never seen in training, 0 to 1.
    pub top1_unseen_pairs: f64,
    /// Colour–shape pairs.
    pub classes: usize,
    /// Of these never seen in training.
    pub classes_unseen: usize,
    /// Training pairs.
    pub pictures: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds of everything.
    pub seconds: f64,
    /// The page to look at.
    pub report: PathBuf,
}

impl Demo {
    /// The summary for machines.
    pub fn summary(&self) -> DemoSummary {
        DemoSummary {
            top1_seen_pairs: self.seen.top1,
            top1_unseen_pairs: self.unseen.top1,
            classes: Class::all().len(),
            classes_unseen: Class::unseen().len(),
            pictures: self.download.successes,
            steps: self.train.steps,
            seconds: self.seconds,
            report: self.layout.report(),
        }
    }
}

/// Keeps the loss of every step.
struct Losses<'a>(&'a mut Vec<(u64, f64)>);

impl TrainObserver for Losses<'_> {
    fn on_step(&mut self, step: &StepReport, _: &[loader::Batch]) {
        self.0.push((step.step, step.loss));
    }
}

/// Runs the demo; `tell` hears a line at the start of each stage, `display` of the training.
///
/// # Errors
/// When the folder holds something already, or a stage fails.
pub fn run(
    options: &DemoOptions,
    stop: &Stop,
    tell: &mut dyn FnMut(&str),
    display: Box<dyn TrainObserver + '_>,
) -> anyhow::Result<Demo> {
    let started = Instant::now();
    let layout = Layout::new(&options.output);
    prepare_folder(&options.output)?;

    tell(&format!("drawing {} pictures", options.pictures));
    let grammar = Grammar::default();
    let training = grammar.training(options.seed, options.pictures);
    let held_out = grammar.held_out(options.seed, HELD_OUT_PER_CLASS);
    fs::create_dir_all(layout.pictures())
        .with_context(|| format!("cannot create `{}`", layout.pictures().display()))?;
    let server = Server::start(&layout.pictures(), 0).context("cannot serve the pictures on 127.0.0.1")?;
    write_files(&layout, &training, &held_out, &server)?;

    tell(&format!("downloading them from {}", server.url("/")));
    let download = ingest::download(&download_config(&layout), Arc::new(Quiet), &StopToken::new())?;
    let port = server.address().port();
    drop(server);
    ensure!(download.successes > 0, "no picture could be downloaded: {:?}", download.failures_by_kind);

    tell("describing the samples");
    let stats = ingest::table::stats(&metadata(&layout)?, &StatsOptions::default())?;

    tell(&format!("training {MODEL} for {} epochs", options.epochs));
    let (mut losses, found) = (Vec::new(), Rc::new(RefCell::new(Evaluated::default())));
    let clip = Clip::new(&model::presets::config(MODEL)?, options.seed, &Device::Cpu)?;
    let train = train(&layout, options, clip, stop, (&mut losses, &found), display)?;
    let [seen, unseen] = <[ZeroShotReport; 2]>::try_from(found.take().zero_shot)
        .map_err(|reports| anyhow::anyhow!("stopped before the evaluation ({} of 2 reports)", reports.len()))?;
    let (seed, seconds) = (options.seed, started.elapsed().as_secs_f64());
    Ok(Demo { layout, port, training, held_out, download, stats, losses, train, seen, unseen, seed, seconds })
}

/// Trains with the log that any run has, and evaluates at the end.
fn train(
    layout: &Layout,
    options: &DemoOptions,
    clip: Clip,
    stop: &Stop,
    (losses, found): (&mut Vec<(u64, f64)>, &Rc<RefCell<Evaluated>>),
    display: Box<dyn TrainObserver + '_>,
) -> anyhow::Result<TrainReport> {
    let (config, data) = train_config(layout, options);
    let tokenizer = Arc::new(training::tokenizer(&clip, &zoo::hub())?);
    let mut trainer = Trainer::new(clip, config.adamw, config.grad_clip_norm)?;
    trainer.seed = data.seed;
    let session = Session::new(&config, trainer, tokenizer, &data, stop)?;
    let tasks = Periodic {
        suite: Suite::open(tasks(layout)?, None)?,
        zero_shot: config.frequency(options.epochs),
        pairs: config.frequency(0),
        tokenizer: Arc::clone(&session.tokenizer),
        stop: stop.clone(),
        facts: Box::new(|_| Metrics::default()),
        keep: Rc::clone(found),
    };
    let run = layout.logs().join("demo");
    let checkpoints = run.join("checkpoints");
    fs::create_dir_all(&checkpoints).with_context(|| format!("cannot create `{}`", checkpoints.display()))?;
    let log = LogFile::open(&run.join(log::FILE))?.observer(LOG_EVERY_N_STEPS);
    let results = ResultsFile::open(checkpoints.join("results.jsonl"))?;
    let mut observers: Vec<Box<dyn TrainObserver + '_>> =
        vec![Box::new(Losses(losses)), Box::new(log), Box::new(results), display];
    let mut evaluators: Vec<Box<dyn Evaluator + '_>> = vec![Box::new(tasks)];
    Ok(session.run(&mut evaluators, &mut observers)?.report)
}

/// Makes the folder; one that a demo made before is emptied, any other that holds something is refused.
fn prepare_folder(root: &Path) -> anyhow::Result<()> {
    let marker = root.join("pictures.tsv");
    let is_empty = fs::read_dir(root).map(|mut entries| entries.next().is_none()).unwrap_or(true);
    ensure!(is_empty || marker.is_file(), "`{}` holds something else; --output names another folder", root.display());
    if !is_empty {
        fs::remove_dir_all(root).with_context(|| format!("cannot empty `{}`", root.display()))?;
    }
    fs::create_dir_all(root).with_context(|| format!("cannot create `{}`", root.display()))
}

fn write_files(layout: &Layout, training: &[Drawing], held_out: &HeldOut, server: &Server) -> anyhow::Result<()> {
    let mut list = "caption\turl\n".to_owned();
    for drawing in training {
        write(&layout.pictures().join(&drawing.name), &drawing.jpeg)?;
        list.push_str(&format!("{}\t{}\n", drawing.caption, server.url(&format!("/{}", drawing.name))));
    }
    for (set, drawings) in [("seen", &held_out.seen), ("unseen", &held_out.unseen)] {
        for drawing in drawings {
            let folder = layout.held_out(set).join(drawing.class.name().replace(' ', "_"));
            write(&folder.join(&drawing.name), &drawing.jpeg)?;
        }
    }
    write(&layout.url_list(), list.as_bytes())?;
    let names: Vec<String> = Class::all().into_iter().map(Class::name).collect();
    write(&layout.class_names(), (names.join("\n") + "\n").as_bytes())?;
    write(&layout.templates(), (TEMPLATES.join("\n") + "\n").as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

struct Quiet;

impl Observer for Quiet {}

fn download_config(layout: &Layout) -> DownloadConfig {
    let mut config = DownloadConfig::new(layout.url_list(), layout.shards());
    config.input.caption_col = Some("caption".to_owned());
    config.output.number_sample_per_shard = SAMPLES_PER_SHARD;
    config.process.image_size = IMAGE_SIZE;
    config.process.resize_mode = ingest::resize_mode::ResizeMode::KeepRatio;
    config.fetch.guard = AddressGuard::AllowPrivate;
    config.fetch.max_connections = 32;
    config
}

/// The tables beside the shards.
fn metadata(layout: &Layout) -> anyhow::Result<Vec<PathBuf>> {
    let folder = layout.shards();
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut tables: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect();
    tables.sort();
    Ok(tables)
}

fn train_config(layout: &Layout, options: &DemoOptions) -> (TrainConfig, TrainData) {
    let (_, defaults) = optimizer_defaults(MODEL);
    let config = TrainConfig {
        run_dir: Some(layout.logs().join("demo")),
        epochs: options.epochs,
        lr: LR,
        adamw: AdamW { wd: 0.1, ..defaults },
        warmup: WARMUP,
        decay: Decay::Cosine,
        accum_freq: 1,
        grad_clip_norm: None,
        saving: Saving { frequency: 0, ..Saving::every_epoch() },
    };
    let last = options.pictures.div_ceil(SAMPLES_PER_SHARD).saturating_sub(1);
    let spec = layout.shards().join(format!("{{00000..{last:05}}}.tar")).display().to_string();
    let data = TrainData::shards(spec, BATCH_SIZE, WORKERS, options.seed);
    (config, data)
}

fn tasks(layout: &Layout) -> anyhow::Result<Vec<ZeroShotTask>> {
    let templates = TEMPLATES.iter().map(|template| Template::parse(template)).collect::<Result<Vec<_>, _>>()?;
    let class_names: Vec<String> = Class::all().into_iter().map(Class::name).collect();
    let task = |set: &str| ZeroShotTask {
        name: format!("{set}-pairs"),
        labels: Labels::Folder(layout.held_out(set)),
        benchmark: None,
        class_names: Some(class_names.clone()),
        templates: templates.clone(),
        batch_size: BATCH_SIZE,
        workers: WORKERS,
    };
    Ok(vec![task("seen"), task("unseen")])
}
