//! Runs the stages side by side. Downloads are tasks of an async runtime of their own, at most
//! `thread_count` at a time; decoding has its own threads; each open shard has a thread that
//! writes it in order. The next shard is begun as soon as all rows of the one before it are
//! under way, so that a few slow hosts hold up nothing.
//!
//! Every queue is bounded, and bodies and pictures in flight share one byte budget. A run that
//! is stopped or fails leaves only sealed shards; a run over the same list and folder skips
//! those, whose mark is `NNNNN_stats.json`.

mod decode_pool;
mod early;
mod existing;
mod fingerprint;
mod kept;
mod retry;
mod row;
mod shard;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use shards::key::KeyFormat;
use shards::metadata::{ColumnKind, MetadataLayout};
use shards::store::Claim;
use shards::summary::{ShardSummary, write_sizes};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

pub use self::retry::{RetryConfig, retry};
pub use self::stop::StopToken;

use self::decode_pool::DecodePool;
use self::kept::Kept;
use self::retry::RetryTask;
use self::row::Stages;
use self::shard::{Found, Made as ShardMade, Order, ShardEnd, ShardFormat};
use crate::config::DownloadConfig;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::fetch::{ByteBudget, Fetcher, Trace};
use crate::output::{Manifest, OutputFormat, Place};
use crate::plan::{Plan, ShardTask};
use crate::process::InstructionColumns;
use crate::report::DownloadReport;
use crate::resize_mode::Size;
use crate::url_list::{ListedRow, UrlList};

/// Shards open at the same time: one being filled, the others waiting for their last rows. Small shards may be more, as
/// long as they have no more rows than so many large ones: a host that takes its deadline to fail is in all of them.
const SHARDS_IN_FLIGHT: usize = 4;
const SMALL_SHARDS_IN_FLIGHT: usize = 64;
const ROWS_IN_FLIGHT: u64 = 40_000;

/// A complete shard.
#[derive(Clone, Debug)]
pub struct SealedShard {
    /// Its number.
    pub shard_id: u64,
    /// Its name without extension: `00012`.
    pub name: String,
    /// What became of its rows.
    pub summary: ShardSummary,
}

/// How a row ended.
#[derive(Clone, Copy, Debug)]
pub struct RowEnd<'a> {
    /// Its URL as the list has it; empty where the row is unreadable.
    pub url: &'a str,
    /// As a sample (`None`), or by a failure.
    pub kind: Option<FailureKind>,
    /// What the failure was.
    pub message: Option<&'a str>,
    /// Size of the upright picture that was downloaded, where it was looked at.
    pub original_size: Option<Size>,
    /// What its download was like.
    pub trace: &'a Trace,
}

/// How far a run has looked ahead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    /// Rows that it has downloaded or will download, of the shards planned so far.
    pub rows: u64,
    /// All rows of these shards, those of shards that it leaves out as well.
    pub listed: u64,
    /// The part of the list, 0 to 1, that they were planned from; `None` where that is not known.
    pub list_read: Option<f64>,
}

impl Ahead {
    /// Rows that the run downloads in all: known when the whole list has been read, estimated before.
    pub fn rows_in_all(&self) -> Option<f64> {
        let read = self.list_read.filter(|read| *read > 0.0)?;
        Some(self.rows as f64 + self.listed as f64 * (1.0 - read) / read)
    }
}

/// Is told how a run goes on, from several threads; whatever it does holds the run up.
pub trait Observer: Send + Sync {
    /// A row ended.
    fn row_finished(&self, row: &RowEnd<'_>) {
        let _ = row;
    }

    /// The next shard is planned, or all are.
    fn looked_ahead(&self, ahead: &Ahead) {
        let _ = ahead;
    }

    /// The rows of a shard are begun.
    fn shard_opened(&self, name: &str) {
        let _ = name;
    }

    /// A shard is complete.
    fn shard_sealed(&self, shard: &SealedShard) {
        let _ = shard;
    }

    /// A shard had been completed by an earlier run.
    fn shard_skipped(&self, shard: &SealedShard) {
        let _ = shard;
    }
}

/// Nobody is told.
impl Observer for () {}

/// Downloads the list of `config` into shards, until the end of the list or until `stop`.
/// Blocks, and starts an async runtime, so it cannot be called from one.
///
/// # Errors
/// When an option cannot work, the list cannot be read on, a shard cannot be written, or the
/// folder holds the shards of another list. Failures of rows are counted instead.
pub fn download(config: &DownloadConfig, observer: Arc<dyn Observer>, stop: &StopToken) -> Result<DownloadReport> {
    config.validate()?;
    let mut input = config.input.clone();
    let instructions = InstructionColumns::find(&config.process, &mut input.save_additional_columns);
    let list = UrlList::open(&input)?;
    let (invalid_utf8, read) = (list.invalid_utf8_counter(), list.read_so_far());
    let layout = layout(config, instructions.stored(list.columns().extra.clone()), &list);
    let manifest = Manifest::of(config, &layout);
    let folder = &config.output.output_folder;
    let mut plan = Plan::new(list, config.output.number_sample_per_shard, config.input.packing).peekable();
    existing::check_there_is_something(&config.output, &mut plan, &input.url_list)?;
    folder.prepare()?;
    let first_shard = existing::prepared(&config.output)?;
    manifest.keep(folder)?;
    let cut = read.clone();
    let (output, shards) = (config.output.clone(), Arc::new(AtomicU64::new(first_shard)));
    let counter = Arc::clone(&shards);
    let tasks = plan.map(move |task| task.map(|task| ShardTask { shard_id: task.shard_id + first_shard, ..task }));
    let tasks = tasks.inspect(move |task| _ = counter.fetch_add(task.is_ok().into(), Ordering::Relaxed));
    let tasks = tasks.filter(move |task| task.as_ref().map_or(true, |task| output.owns(task.shard_id)));
    let planned = move |task| Planned { task: Task::Fresh(task), list_read: read.share() };
    let made = Made { layout, instructions };
    let mut report = run(config, made, Box::new(tasks.map(move |task| task.map(&planned))), observer, stop)?;
    (report.invalid_utf8_rows, report.cut_lists) = (invalid_utf8.load(Ordering::Relaxed), cut.cut_files());
    (report.rank, report.world_size) = (config.output.rank, config.output.world_size);
    if !report.interrupted {
        let shards = shards.load(Ordering::Relaxed);
        Manifest::note_shards(folder, shards)?;
        report.shards_in_list = Some(shards - first_shard);
    }
    Ok(report)
}

/// A shard to be made, or to be made again.
enum Task {
    Fresh(ShardTask),
    Again(Box<RetryTask>),
}

impl Task {
    /// Rows that it downloads.
    fn rows(&self) -> u64 {
        match self {
            Self::Fresh(task) => task.rows.len() as u64,
            Self::Again(task) => task.rows.len() as u64,
        }
    }
}

/// A task, and the part of the list that had been read when it was made; `None` where that is not known.
struct Planned {
    task: Task,
    list_read: Option<f64>,
}

/// What the columns of the list are made into.
struct Made {
    layout: MetadataLayout,
    instructions: InstructionColumns,
}

type Tasks = Box<dyn Iterator<Item = Result<Planned>> + Send>;

/// Runs the stages over all of `tasks`.
fn run(
    config: &DownloadConfig,
    made: Made,
    tasks: Tasks,
    observer: Arc<dyn Observer>,
    stop: &StopToken,
) -> Result<DownloadReport> {
    let started = Instant::now();
    let (decode, decode_threads) = DecodePool::start(decode_threads(config), config.process.clone())?;
    let fetcher = Fetcher::new(config.fetch.clone())?;
    let mut run = Run {
        stages: Arc::new(Stages { fetcher, decode, instructions: made.instructions, observer }),
        format: shard_format(config, made.layout),
        budget: ByteBudget::new(config.memory_budget_bytes),
        report: DownloadReport::default(),
        ahead: Ahead::default(),
    };
    let outcome = run_to_end(&mut run, tasks, stop);
    let Run { stages, mut report, .. } = run;
    drop(stages);
    decode_threads.join();
    let sized = match config.output.output_format {
        OutputFormat::Dummy => Ok(()),
        _ => write_sizes(&config.output.output_folder),
    };
    // What ended the run first is the one to tell.
    outcome?;
    sized?;
    config.output.output_folder.clear_idle_claims()?;
    report.interrupted = stop.is_stopped();
    report.seconds = started.elapsed().as_secs_f64();
    report.images_per_second = report.made_by_this_run as f64 / report.seconds.max(f64::EPSILON);
    Ok(report)
}

fn layout(config: &DownloadConfig, additional: Vec<(String, ColumnKind)>, list: &UrlList) -> MetadataLayout {
    let process = &config.process;
    let holds_images = config.output.output_format == OutputFormat::Parquet;
    MetadataLayout {
        additional,
        caption: list.columns().caption,
        exif: process.extract_exif,
        hash: process.compute_hash.map(|hash| hash.as_str().to_string()),
        image: holds_images.then(|| process.encode_format.as_str().to_string()),
    }
}

fn shard_format(config: &DownloadConfig, layout: MetadataLayout) -> ShardFormat {
    let output = &config.output;
    let place = Place {
        folder: output.output_folder.clone(),
        format: output.output_format,
        layout,
        image: config.process.encode_format,
    };
    let keys = KeyFormat::new(output.oom_shard_count, output.number_sample_per_shard);
    ShardFormat { place, keys, deterministic: output.deterministic }
}

fn decode_threads(config: &DownloadConfig) -> usize {
    match config.processes_count {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

fn run_to_end(run: &mut Run, plan: Tasks, stop: &StopToken) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::Worker { worker: "async runtime", reason: e.to_string() })?;
    // One shard is read ahead while the one before it is filled.
    let (tasks, planned) = mpsc::channel(1);
    let planner = thread::Builder::new().name("plan".into()).spawn(move || {
        for task in plan {
            if tasks.blocking_send(task).is_err() {
                return;
            }
        }
    });
    let planner = planner.map_err(|e| Error::Worker { worker: "planner", reason: e.to_string() })?;
    let outcome = runtime.block_on(run.until_stopped(planned, stop));
    // Lookups of names cannot be interrupted and are not waited for.
    runtime.shutdown_background();
    if stop.is_stopped() {
        // The planner may wait for a list that never comes.
        return outcome;
    }
    let planned = planner.join();
    outcome?;
    planned.map_err(|_| Error::Worker { worker: "planner", reason: "it panicked".into() })
}

/// A download in progress.
struct Run {
    stages: Arc<Stages>,
    format: ShardFormat,
    budget: ByteBudget,
    report: DownloadReport,
    ahead: Ahead,
}

/// A shard to be written, and those of its rows that are downloaded, with their places.
struct Work {
    order: Order,
    rows: Vec<(usize, ListedRow)>,
}

/// What runs in the background of a [`Run`].
struct Running {
    rows: JoinSet<()>,
    ends: mpsc::Receiver<ShardEnd>,
    open_shards: usize,
    /// Rows of the open shards.
    open_rows: u64,
}

impl Running {
    fn has_room_for(&self, rows: u64) -> bool {
        let are_small = self.open_rows + rows <= ROWS_IN_FLIGHT && self.open_shards < SMALL_SHARDS_IN_FLIGHT;
        self.open_shards < SHARDS_IN_FLIGHT || are_small
    }
}

impl Run {
    async fn until_stopped(&mut self, planned: mpsc::Receiver<Result<Planned>>, stop: &StopToken) -> Result<()> {
        let (end_sender, ends) = mpsc::channel(SHARDS_IN_FLIGHT);
        let mut running = Running { rows: JoinSet::new(), ends, open_shards: 0, open_rows: 0 };
        let outcome = tokio::select! {
            biased;
            () = stop.stopped() => Ok(()),
            outcome = self.drive(planned, &mut running, end_sender) => outcome,
        };
        // Without rows to come, open shards vanish; one just being sealed still counts.
        running.rows.shutdown().await;
        while let Some(end) = running.ends.recv().await {
            if let Err(e) = self.shard_ended(end) {
                return outcome.and(Err(e));
            }
        }
        outcome
    }

    async fn drive(
        &mut self,
        mut planned: mpsc::Receiver<Result<Planned>>,
        running: &mut Running,
        ends: mpsc::Sender<ShardEnd>,
    ) -> Result<()> {
        while let Some(planned) = planned.recv().await {
            let Some(work) = self.looked_ahead(planned?)? else { continue };
            while !running.has_room_for(work.order.rows as u64) {
                self.advance(running).await?;
            }
            self.begin(work, running, ends.clone()).await?;
        }
        self.ahead.list_read = Some(1.0);
        self.stages.observer.looked_ahead(&self.ahead);
        while running.open_shards > 0 {
            self.advance(running).await?;
        }
        Ok(())
    }

    /// What is to be done for the next task.
    fn looked_ahead(&mut self, Planned { task, list_read }: Planned) -> Result<Option<Work>> {
        self.ahead.listed += task.rows();
        self.ahead.list_read = list_read;
        let work = self.work(task)?;
        self.ahead.rows += work.as_ref().map_or(0, |work| work.rows.len() as u64);
        self.stages.observer.looked_ahead(&self.ahead);
        Ok(work)
    }

    /// What is to be done for a task; `None` where an earlier run did it, or another one is about it.
    fn work(&mut self, task: Task) -> Result<Option<Work>> {
        match task {
            Task::Fresh(task) => self.fresh(task),
            Task::Again(task) => {
                let Some(claim) = self.claim(&task.name)? else { return Ok(None) };
                let RetryTask { shard_id, name, rows, total, kept, fingerprint } = *task;
                let order = Order { shard_id, name, rows: total, fingerprint, kept, claim };
                Ok(Some(Work { order, rows }))
            }
        }
    }

    fn fresh(&mut self, task: ShardTask) -> Result<Option<Work>> {
        let name = self.format.keys.shard_name(task.shard_id);
        let fingerprint = fingerprint::of(&task.rows);
        if let Found::Sealed(_) = self.found(&name, &task, &fingerprint)? {
            return Ok(None);
        }
        let Some(claim) = self.claim(&name)? else { return Ok(None) };
        // Whoever had the claim before may have made it meanwhile.
        match self.found(&name, &task, &fingerprint)? {
            Found::Sealed(_) => return Ok(None),
            Found::Damaged(damage) => {
                tracing::warn!("shard `{name}` is marked as complete, but {damage}: it is made again");
            }
            Found::Nothing => {}
        }
        let (shard_id, rows) = (task.shard_id, task.rows.len());
        let (kept, fingerprint) = (Kept::default(), Some(fingerprint));
        let order = Order { shard_id, name, rows, fingerprint, kept, claim };
        Ok(Some(Work { order, rows: task.rows.into_iter().enumerate().collect() }))
    }

    fn claim(&mut self, name: &str) -> Result<Option<Claim>> {
        let claim = self.format.place.folder.claim(name)?;
        if claim.is_none() {
            self.report.shards_elsewhere += 1;
        }
        Ok(claim)
    }

    /// What an earlier run left of this very shard; one that it sealed is counted.
    fn found(&mut self, name: &str, task: &ShardTask, fingerprint: &str) -> Result<Found> {
        let found = self.format.found(name)?;
        let Found::Sealed(summary) = &found else { return Ok(found) };
        let (expected, name) = (task.rows.len() as u64, name.to_owned());
        if summary.count != expected {
            return Err(Error::OtherPlan { shard: name, expected, found: summary.count });
        }
        if summary.rows_sha256.as_ref().is_some_and(|found| found != fingerprint) {
            return Err(Error::OtherRows { shard: name });
        }
        self.report.add_done(summary);
        let summary = summary.as_ref().clone();
        self.stages.observer.shard_skipped(&SealedShard { shard_id: task.shard_id, name, summary });
        Ok(found)
    }

    /// Opens a shard and gets all its rows under way.
    async fn begin(&mut self, work: Work, running: &mut Running, ends: mpsc::Sender<ShardEnd>) -> Result<()> {
        let rows = work.order.rows as u64;
        self.stages.observer.shard_opened(&work.order.name);
        let outcomes = shard::open(self.format.clone(), work.order, ends)?;
        running.open_shards += 1;
        running.open_rows += rows;
        for (place, listed) in work.rows {
            // Shares go in the order of rows: so the first unfinished row of a shard never waits
            // for memory that later rows hold.
            let Some(share) = self.budget.reserve().await else { return Err(closed()) };
            let (stages, writer) = (Arc::clone(&self.stages), outcomes.clone());
            running.rows.spawn(async move {
                let outcome = row::run(listed, &stages, share).await;
                // The writer is gone only when it failed, which it tells by itself.
                let _ = writer.send((place, outcome)).await;
            });
            while let Some(joined) = running.rows.try_join_next() {
                joined.map_err(row_lost)?;
            }
            if outcomes.is_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for the next row or shard to end.
    async fn advance(&mut self, running: &mut Running) -> Result<()> {
        tokio::select! {
            Some(joined) = running.rows.join_next() => joined.map_err(row_lost),
            Some(end) = running.ends.recv() => {
                running.open_shards -= 1;
                if let Ok(Some(made)) = &end {
                    running.open_rows -= made.shard.summary.count;
                }
                self.shard_ended(end)
            }
            else => Err(closed()),
        }
    }

    fn shard_ended(&mut self, end: ShardEnd) -> Result<()> {
        let Some(ShardMade { shard, fresh }) = end? else { return Ok(()) };
        self.report.add_sealed(&shard.summary);
        self.report.tried_by_this_run += fresh.rows;
        self.report.made_by_this_run += fresh.samples;
        self.report.bytes_downloaded += fresh.bytes;
        self.stages.observer.shard_sealed(&shard);
        Ok(())
    }
}

fn row_lost(error: JoinError) -> Error {
    Error::Worker { worker: "download", reason: error.to_string() }
}

fn closed() -> Error {
    Error::Worker { worker: "pipeline", reason: "a queue closed early".into() }
}

#[cfg(test)]
mod tests;
