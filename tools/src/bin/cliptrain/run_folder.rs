//! The folder of a run: its name, that it can be written, and that a start that fails leaves none behind.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use model::config::ModelConfig;
use model::weights::CONFIG_FILE;
use tools::exit::Hint;
use tools::log::{self, LogFile};
use tools::{human, sources};
use trainer::pretrained::Source;
use trainer::zoo::{Name, name_of};

use crate::cli::{LATEST, Train};
use crate::params::python_float;

/// Where a run writes. It is this process's alone; what was made for it is gone again when it is dropped, unless it is kept.
#[derive(Debug)]
pub struct RunFolder {
    /// Its path.
    pub path: PathBuf,
    /// Whether a run of this name wrote there before.
    pub is_continued: bool,
    /// `out.log`, locked.
    log: LogFile,
    /// What was made for it, innermost first.
    made: Vec<PathBuf>,
}

impl RunFolder {
    /// Makes and takes the folder that the flags name; `None` with `--logs None`.
    ///
    /// # Errors
    /// When another run has the name, or the folder cannot be written.
    pub fn take(arguments: &Train) -> anyhow::Result<Option<Self>> {
        let Some(logs) = arguments.output.logs_folder() else { return Ok(None) };
        if let Some(name) = &arguments.output.name {
            return Self::named(arguments, logs.join(name)).map(Some);
        }
        let first = logs.join(run_name(arguments, &now()));
        let numbered = (2..).map(|number| PathBuf::from(format!("{}-{number}", first.display())));
        for path in std::iter::once(first.clone()).chain(numbered) {
            let made = missing(&path);
            fs::create_dir_all(logs).with_context(|| cannot("create", logs)).context("--logs")?;
            // Of runs that begin at the same moment one makes the folder, and the others take the next.
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| cannot("create", &path)).context("--logs"),
                Ok(()) => return Self::open(path, false, made).map(Some),
            }
        }
        bail!("--logs: no name is left")
    }

    fn named(arguments: &Train, path: PathBuf) -> anyhow::Result<Self> {
        let is_continued = path.join(log::FILE).exists();
        if is_continued && !continues(arguments, &path) {
            let error = anyhow::anyhow!("the run `{}` exists already", path.display());
            return Err(error.context(Hint("--name gives another, --resume latest goes on with this one".to_owned())));
        }
        let made = missing(&path);
        fs::create_dir_all(&path).with_context(|| cannot("create", &path)).context("--logs")?;
        Self::open(path, is_continued, made)
    }

    fn open(path: PathBuf, is_continued: bool, mut made: Vec<PathBuf>) -> anyhow::Result<Self> {
        let log_path = path.join(log::FILE);
        let log = LogFile::open(&log_path).context("--logs")?;
        if !is_continued {
            made.insert(0, log_path);
        }
        if !log.lock() {
            bail!("another process is training in `{}`", path.display());
        }
        Ok(Self { path, is_continued, log, made })
    }

    /// Its log, to be written to its end.
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn log(&self) -> anyhow::Result<LogFile> {
        self.log.again()
    }

    /// What was made stays.
    pub fn keep(&mut self) {
        self.made.clear();
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        for path in self.made.drain(..) {
            // Only the innermost folder may hold anything: what is not the run's own stays.
            let removed = match path.is_dir() {
                true if path == self.path => fs::remove_dir_all(&path),
                true => fs::remove_dir(&path),
                false => fs::remove_file(&path),
            };
            if let Err(error) = removed {
                tracing::debug!("`{}` stays: {error}", path.display());
            }
        }
    }
}

/// The folders that are not there yet, innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    missing.map(Path::to_path_buf).collect()
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} `{}`", path.display())
}

/// The folder of the run that `--resume latest` means, where it is only read.
pub fn of_name(arguments: &Train) -> Option<PathBuf> {
    Some(arguments.output.logs_folder()?.join(arguments.output.name.as_ref()?))
}

/// Whether the flags say that the run in `path` goes on.
fn continues(arguments: &Train, path: &Path) -> bool {
    match arguments.output.resume.as_deref() {
        Some(LATEST) => true,
        Some(from) => {
            fs::canonicalize(from).is_ok_and(|from| fs::canonicalize(path).is_ok_and(|run| from.starts_with(run)))
        }
        None => false,
    }
}

/// open_clip's name of a run that was given none.
fn run_name(arguments: &Train, time: &str) -> String {
    let model = expected_model(arguments);
    let (lr, _) = arguments.optimization.adamw(&model);
    let model = model.replace('/', "-");
    let (lr, batch, workers) = (python_float(lr), arguments.batch_size, arguments.workers);
    let precision = clap::ValueEnum::to_possible_value(&arguments.architecture.precision);
    let precision = precision.map(|value| value.get_name().to_owned()).unwrap_or_default();
    format!("{time}-model_{model}-lr_{lr}-b_{batch}-j_{workers}-p_{precision}")
}

/// What the model will be called, as far as can be told before it is opened: by the flags, or by the folder of the weights.
fn expected_model(arguments: &Train) -> String {
    let assumed = match arguments.architecture.name() {
        Name::Given(name) => return name,
        Name::Assumed(name) => name,
    };
    let resumed = arguments.output.resume.as_ref().filter(|from| *from != LATEST);
    let Some(weights) = resumed.or(arguments.architecture.pretrained.as_ref()) else { return assumed };
    let Source::Path(weights) = Source::parse(weights) else { return assumed };
    let folder = weights.ancestors().take(2).find(|folder| folder.join(CONFIG_FILE).is_file());
    let config = folder.and_then(|folder| ModelConfig::read(&folder.join(CONFIG_FILE)).ok());
    let called = |config: ModelConfig| name_of(&config.model_cfg).unwrap_or("vit-custom").to_owned();
    config.map_or(assumed, called)
}

/// The present moment in UTC as `2026_11_24-02_11_55`.
fn now() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = human::civil_date(days);
    format!("{year:04}_{month:02}_{day:02}-{:02}_{:02}_{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Refuses shards of this machine that are not there, before any work. Those elsewhere are asked when they are read.
///
/// # Errors
/// Names the first of them, unless so many may be missing.
pub fn check_shards(spec: &str, may_be_missing: Option<u64>) -> anyhow::Result<()> {
    let spec = sources::parse(spec).context("--train-data")?;
    let missing = spec.uris().filter_map(|uri| uri.local_path()).filter(|path| !path.exists());
    let missing: Vec<&Path> = missing.collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let (count, all) = (missing.len(), spec.uris().count());
    let told = format!(
        "--train-data: {count} of {} missing, first `{}`",
        human::counted(all as u64, "shard"),
        first.display()
    );
    if may_be_missing.is_some_and(|most| count as u64 <= most) {
        tracing::warn!("{told}");
        return Ok(());
    }
    let hint = "braces name every shard, such as {00000..00041}; --max-bad-shards N goes on without up to N";
    Err(anyhow::anyhow!(told).context(Hint(hint.to_owned())))
}

/// Refuses a place within the run's own folder: copies of the run would be copied themselves.
///
/// # Errors
/// Names both flags.
pub fn check_not_within(run: &Path, other: &Path, flag: &str) -> anyhow::Result<()> {
    let (Ok(run), Ok(other)) = (std::path::absolute(run), std::path::absolute(other)) else { return Ok(()) };
    if other.starts_with(&run) {
        bail!("{flag} `{}` lies within the run's own folder", other.display());
    }
    Ok(())
}
