//! `--remote-sync`: what a run writes, copied to S3 or to another folder while it goes, and what a run on another machine
//! left there.
//!
//! Below the remote folder lies the run's folder as it is here. `checkpoints/index.json` is written last and names the
//! checkpoints that are whole, newest last; `epoch_latest` is no folder and is left out.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use model::weights::{CONFIG_FILE, MODEL_FILE};
use serde::{Deserialize, Serialize};
use shards::store::Folder;
use shards::uri::ShardUri;
use trainer::checkpoint::{LOADER, OPTIMIZER, STATE, state};

const INDEX: &str = "index.json";
const CHECKPOINTS: &str = "checkpoints";

/// The checkpoints of a remote run.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    checkpoints: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    name: String,
    steps: u64,
    files: Vec<String>,
}

/// Copies a run's folder now and then, until it is dropped or finished.
pub struct Sync {
    end: Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Sync {
    /// Copies once, so that a place that takes nothing is known before any work, and from then on every so many seconds.
    ///
    /// # Errors
    /// When the first copy fails.
    pub fn start(run: &Path, remote: Folder, every: Duration) -> anyhow::Result<Self> {
        let mut mirror = Mirror { run: run.to_path_buf(), remote, copied: HashMap::new() };
        mirror.copy().context("--remote-sync")?;
        let (end, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("remote-sync".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every.max(Duration::from_secs(1))) {
                if let Err(error) = mirror.copy() {
                    tracing::warn!("--remote-sync: {error:#}; the next try is in {} s", every.as_secs());
                }
            }
            mirror.copy()
        })?;
        Ok(Self { end, thread })
    }

    /// Copies what is left.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(self) -> anyhow::Result<()> {
        drop(self.end);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread failed"))?.context("--remote-sync: the last copy")
    }
}

/// What was copied, by size and time of change.
struct Mirror {
    run: PathBuf,
    remote: Folder,
    copied: HashMap<PathBuf, (u64, SystemTime)>,
}

impl Mirror {
    fn copy(&mut self) -> anyhow::Result<()> {
        let index = self.index()?;
        let before = read_index(&self.remote)?;
        let run = self.run.clone();
        self.copy_folder(&run, "")?;
        let checkpoints = within(&self.remote, CHECKPOINTS)?;
        checkpoints.prepare()?;
        checkpoints.write(INDEX, &serde_json::to_vec_pretty(&index)?)?;
        let is_gone = |entry: &&Entry| index.checkpoints.iter().all(|kept| kept.name != entry.name);
        for entry in before.checkpoints.iter().filter(is_gone) {
            checkpoints.delete(&entry.name)?;
            self.copied.retain(|path, _| !path.starts_with(self.run.join(CHECKPOINTS).join(&entry.name)));
        }
        Ok(())
    }

    /// The checkpoints that are whole here now.
    fn index(&self) -> anyhow::Result<Index> {
        let folder = self.run.join(CHECKPOINTS);
        let mut checkpoints = Vec::new();
        for path in listed(&folder)?.into_iter().filter(|path| path.join(STATE).is_file()) {
            let files = listed(&path)?.iter().map(|file| name_of(file)).collect();
            checkpoints.push(Entry { name: name_of(&path), steps: state(&path)?.steps, files });
        }
        checkpoints.sort_by_key(|entry| entry.steps);
        Ok(Index { checkpoints })
    }

    fn copy_folder(&mut self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let remote = within(&self.remote, name)?;
        remote.prepare()?;
        for path in listed(folder)? {
            if path.is_dir() {
                let inner = if name.is_empty() { name_of(&path) } else { format!("{name}/{}", name_of(&path)) };
                self.copy_folder(&path, &inner)?;
            } else {
                self.copy_file(&path, &remote)?;
            }
        }
        Ok(())
    }

    /// A file that vanished meanwhile belongs to a checkpoint that was superseded.
    fn copy_file(&mut self, path: &Path, remote: &Folder) -> anyhow::Result<()> {
        let Ok(found) = path.metadata() else { return Ok(()) };
        let stamp = (found.len(), found.modified()?);
        if self.copied.get(path) == Some(&stamp) {
            return Ok(());
        }
        let Ok(mut file) = File::open(path) else { return Ok(()) };
        let mut copy = remote.create(&name_of(path))?;
        io::copy(&mut file, &mut copy).with_context(|| format!("cannot copy `{}`", path.display()))?;
        copy.seal()?;
        self.copied.insert(path.to_path_buf(), stamp);
        Ok(())
    }
}

/// What lies in a folder and is neither a link nor on its way in or out, in order.
fn listed(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list `{}`", folder.display()))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> =
        paths.into_iter().filter(|path| !path.is_symlink() && !name_of(path).ends_with(".tmp")).collect();
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A folder within another.
pub fn within(folder: &Folder, name: &str) -> anyhow::Result<Folder> {
    Ok(if name.is_empty() { folder.clone() } else { Folder::parse(&format!("{folder}/{name}"))? })
}

fn read_index(run: &Folder) -> anyhow::Result<Index> {
    let Some(bytes) = within(run, CHECKPOINTS)?.read(INDEX)? else { return Ok(Index::default()) };
    serde_json::from_slice(&bytes).with_context(|| format!("`{run}/{CHECKPOINTS}/{INDEX}`"))
}

/// Fetches the newest checkpoint of a remote run into `checkpoints`, unless one of as many steps is there already.
///
/// # Errors
/// When it cannot be read or written.
pub fn fetch_newest(run: &Folder, checkpoints: &Path, steps_here: Option<u64>) -> anyhow::Result<Option<PathBuf>> {
    let Some(newest) = read_index(run)?.checkpoints.pop() else { return Ok(None) };
    if steps_here.is_some_and(|here| here >= newest.steps) {
        return Ok(None);
    }
    let from = within(run, &format!("{CHECKPOINTS}/{}", newest.name))?;
    let into = checkpoints.join(&newest.name);
    fetch(&from, &newest.files, &into)?;
    Ok(Some(into))
}

/// The files that a checkpoint may have, for one whose index is not known.
const FILES: [&str; 6] = [MODEL_FILE, CONFIG_FILE, "config.json", OPTIMIZER, LOADER, STATE];

/// Fetches the checkpoint at an address.
///
/// # Errors
/// When there is none, or it cannot be read or written.
pub fn fetch_checkpoint(address: &str, into: &Path) -> anyhow::Result<()> {
    let from = Folder::parse(address).context("--resume")?;
    let mut files = Vec::new();
    for name in FILES {
        if from.size(name)?.is_some() {
            files.push(name.to_owned());
        }
    }
    if !files.iter().any(|name| name == STATE) {
        bail!("--resume: there is no checkpoint at `{address}`: it has no {STATE}");
    }
    fetch(&from, &files, into)
}

/// Appears whole or not at all.
fn fetch(from: &Folder, files: &[String], into: &Path) -> anyhow::Result<()> {
    let open = into.with_added_extension("tmp");
    let _ = fs::remove_dir_all(&open);
    fs::create_dir_all(&open).with_context(|| format!("cannot create `{}`", open.display()))?;
    for name in files {
        let uri = ShardUri::parse(&format!("{from}/{name}"))?;
        let mut file = File::create(open.join(name)).with_context(|| format!("cannot create `{name}`"))?;
        io::copy(&mut shards::store::open(&uri)?, &mut file).with_context(|| format!("cannot fetch `{uri}`"))?;
        file.sync_all().with_context(|| format!("cannot write `{name}`"))?;
    }
    let _ = fs::remove_dir_all(into);
    fs::rename(&open, into).with_context(|| format!("cannot create `{}`", into.display()))
}
