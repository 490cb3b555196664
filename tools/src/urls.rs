//! Training on a list of URLs: a download into shards in the background, and a loader that waits for the shard whose turn it
//! is. The first pass takes shards in the order of the list, which is the one they are sealed in; whoever comes again finds
//! the shards that are there, and the rest is downloaded.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use ingest::fetch::address_guard::AddressGuard;
use ingest::plan::Packing;
use ingest::url_list::{InputOptions, UrlList};
use ingest::{DownloadConfig, DownloadReport, Observer, RowEnd, SealedShard, StopToken};
use loader::{Arrival, Stop};
use shards::uri::ShardUri;

use crate::human;

/// Rows that fail before it is said that nothing can be downloaded.
const HOPELESS: u64 = 1000;

/// How often whoever waits for a shard looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is downloaded, and how.
#[derive(Clone, Debug)]
pub struct UrlData {
    /// The list and its columns.
    pub input: InputOptions,
    /// Where the shards go.
    pub folder: PathBuf,
    /// Rows of a shard.
    pub rows_per_shard: usize,
    /// Side of the pictures in the shards.
    pub image_size: u32,
    /// Whether addresses of private networks are asked.
    pub private_addresses: bool,
}

/// A download under way.
pub struct Downloading {
    /// Rows of the list.
    pub rows: u64,
    /// All shards, those to come included.
    pub spec: String,
    shared: Arc<Shared>,
    stop: StopToken,
    thread: JoinHandle<()>,
}

/// What the downloading and the reading threads share.
#[derive(Default)]
struct Shared {
    /// Where the shards go.
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sealed: HashSet<String>,
    /// Rows that ended in this run, and shards' rows of earlier ones.
    ended: u64,
    succeeded: u64,
    /// Why the last row failed.
    last_failure: Option<String>,
    result: Option<Result<DownloadReport, String>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells those who wait.
struct Watch(Arc<Shared>);

impl Watch {
    fn sealed(&self, shard: &SealedShard) {
        self.0.lock().sealed.insert(shard.name.clone());
        self.0.changed.notify_all();
    }
}

impl Observer for Watch {
    fn row_finished(&self, row: &RowEnd<'_>) {
        let mut state = self.0.lock();
        state.ended += 1;
        match row.kind {
            None => state.succeeded += 1,
            Some(kind) => state.last_failure = Some(row.message.map_or_else(|| kind.to_string(), str::to_owned)),
        }
    }

    fn shard_sealed(&self, shard: &SealedShard) {
        self.sealed(shard);
    }

    fn shard_skipped(&self, shard: &SealedShard) {
        {
            let mut state = self.0.lock();
            state.ended += shard.summary.count;
            state.succeeded += shard.summary.successes;
        }
        self.sealed(shard);
    }
}

impl UrlData {
    /// Counts the rows, and begins to download.
    ///
    /// # Errors
    /// When the list cannot be read or has no rows, or the folder holds shards of another list.
    pub fn start(&self) -> anyhow::Result<Downloading> {
        let rows = self.count()?;
        let config = self.config();
        config.validate().context("--train-data")?;
        let shards = rows.div_ceil(self.rows_per_shard as u64);
        let spec = self.folder.join(format!("{{00000..{:05}}}.tar", shards - 1)).display().to_string();
        let shared = Arc::new(Shared { folder: self.folder.clone(), ..Shared::default() });
        let stop = StopToken::new();
        let (watch, stopped, told) = (Arc::new(Watch(Arc::clone(&shared))), stop.clone(), Arc::clone(&shared));
        let download = move || {
            let run = std::panic::AssertUnwindSafe(|| ingest::download(&config, watch, &stopped));
            let result = match std::panic::catch_unwind(run) {
                Ok(result) => result.map_err(|error| format!("{:#}", anyhow::Error::new(error))),
                Err(_) => Err("a fault of this program in the download".to_owned()),
            };
            told.lock().result = Some(result);
            told.changed.notify_all();
        };
        let thread = std::thread::Builder::new().name("download".to_owned()).spawn(download);
        let thread = thread.context("cannot start the download")?;
        Ok(Downloading { rows, spec, shared, stop, thread })
    }

    fn config(&self) -> DownloadConfig {
        let mut config = DownloadConfig::new(self.input.url_list.clone(), self.folder.clone());
        config.input = self.input.clone();
        config.input.packing = Packing::AcrossFiles;
        config.output.number_sample_per_shard = self.rows_per_shard;
        config.process.image_size = self.image_size;
        config.process.resize_mode = ingest::resize_mode::ResizeMode::KeepRatio;
        if self.private_addresses {
            config.fetch.guard = AddressGuard::AllowPrivate;
        }
        config
    }

    /// Rows of the list, those that cannot be read included: each has a place in a shard.
    fn count(&self) -> anyhow::Result<u64> {
        let list = || format!("--train-data `{}`", self.input.url_list.display());
        let mut opened = UrlList::open(&self.input).with_context(list)?;
        if !opened.columns().caption {
            bail!("{}: no captions; --caption-col names their column", list());
        }
        let mut rows = 0;
        for index in 0..opened.file_count() {
            for row in opened.rows(index).with_context(list)? {
                // One that is damaged has its place, too.
                let _ = row.with_context(list)?;
                rows += 1;
            }
        }
        if rows == 0 {
            bail!("{}: the list has no rows", list());
        }
        Ok(rows)
    }
}

impl Downloading {
    /// How the loader waits for a shard.
    pub fn arrival(&self) -> Arrival {
        let shared = Arc::clone(&self.shared);
        Arrival::new(move |uri, stop| wait(&shared, uri, stop))
    }

    /// Ends the download where it stands, and says what it came to; shards that are not sealed are downloaded by whoever
    /// comes again.
    ///
    /// # Errors
    /// When the download failed.
    pub fn finish(self) -> anyhow::Result<DownloadReport> {
        self.stop.stop();
        if self.thread.join().is_err() {
            bail!("the downloading thread failed");
        }
        match self.shared.lock().result.take() {
            Some(Ok(report)) => Ok(report),
            Some(Err(reason)) => bail!("the download failed: {reason}"),
            None => bail!("the download ended without a result"),
        }
    }
}

/// Until the shard is sealed, the download is over, or nobody wants it any more.
fn wait(shared: &Shared, uri: &ShardUri, stop: &Stop) -> Result<(), String> {
    let name = uri.local_path().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let Some(name) = name else { return Ok(()) };
    let mut state = shared.lock();
    loop {
        if state.sealed.contains(&name) {
            // A list of which nothing arrives would be waited for to its end.
            return if is_hopeless(&state) { Err(hopeless(&shared.folder, &state)) } else { Ok(()) };
        }
        if stop.is_set() {
            return Ok(());
        }
        match &state.result {
            Some(Err(reason)) => return Err(format!("the download failed: {reason}")),
            Some(Ok(_)) => return Err("the download is over, and did not make it".to_owned()),
            None if is_hopeless(&state) => return Err(hopeless(&shared.folder, &state)),
            None => {}
        }
        state = shared.changed.wait_timeout(state, LOOK_EVERY).map_or_else(|p| p.into_inner().0, |(state, _)| state);
    }
}

fn is_hopeless(state: &State) -> bool {
    state.ended >= HOPELESS && state.succeeded == 0
}

fn hopeless(folder: &Path, state: &State) -> String {
    let last = state.last_failure.as_deref().unwrap_or("they failed in an earlier run");
    let (rows, folder) = (human::thousands(state.ended), folder.display());
    format!(
        "none of the first {rows} rows could be downloaded; the last: {last} (`clipdata retry {folder}` asks for them again, \
         another --download-folder begins anew)"
    )
}

/// A download in a sentence: every row of the list is in it.
pub fn told(report: &DownloadReport, rows: u64) -> String {
    let mut text =
        format!("urls: {} of the list: {} downloaded", human::counted(rows, "row"), human::thousands(report.successes));
    for (count, what) in
        [(report.failed_to_download, "failed to download"), (report.failed_to_resize, "failed to resize")]
    {
        if count > 0 {
            text.push_str(&format!(", {} {what}", human::thousands(count)));
        }
    }
    let kinds: Vec<String> = report.failures_by_kind.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    if !kinds.is_empty() {
        text.push_str(&format!(" ({})", kinds.join(", ")));
    }
    let rest = rows.saturating_sub(report.count);
    if rest > 0 {
        text.push_str(&format!(", {} not in a sealed shard yet: the same command goes on", human::thousands(rest)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(name: &str) -> ShardUri {
        ShardUri::Local(PathBuf::from("shards").join(name))
    }

    #[test]
    fn whoever_waits_goes_on_when_the_shard_is_sealed_or_nobody_wants_it() {
        let shared = Arc::new(Shared::default());
        let waiting = Arc::clone(&shared);
        let waiter = std::thread::spawn(move || wait(&waiting, &uri("00001.tar"), &Stop::default()));
        shared.lock().sealed.insert("00001".to_owned());
        shared.changed.notify_all();
        assert_eq!(waiter.join().unwrap(), Ok(()));
        let stop = Stop::default();
        stop.set();
        assert_eq!(wait(&shared, &uri("00002.tar"), &stop), Ok(()));
    }

    #[test]
    fn a_shard_that_will_not_come_is_an_error() {
        let shared = Shared::default();
        shared.lock().result = Some(Err("disk full".to_owned()));
        assert!(wait(&shared, &uri("00000.tar"), &Stop::default()).unwrap_err().contains("disk full"));
        let shared = Shared::default();
        (shared.lock().ended, shared.lock().last_failure) = (HOPELESS, Some("connection refused".to_owned()));
        let told = wait(&shared, &uri("00000.tar"), &Stop::default()).unwrap_err();
        assert!(told.contains("none of the first 1,000 rows") && told.contains("connection refused"), "{told}");
    }

    #[test]
    fn every_row_is_in_the_sentence() {
        let report = DownloadReport {
            count: 7,
            successes: 5,
            failed_to_download: 2,
            failures_by_kind: [("http_status".to_owned(), 2)].into(),
            ..DownloadReport::default()
        };
        let expected = "urls: 10 rows of the list: 5 downloaded, 2 failed to download (http_status: 2), \
                        3 not in a sealed shard yet: the same command goes on";
        assert_eq!(told(&report, 10), expected);
    }
}
