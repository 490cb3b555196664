//! What ends a run. Trouble with one row is a `SampleFailure` instead.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The run cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused `action` on `path`.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A list of URLs cannot be read on.
    #[error("url list `{}`: {reason}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// A list or table lacks a column that was asked for.
    #[error("`{}` has no column `{column}` (it has: {})", path.display(), or_nothing(available))]
    MissingColumn {
        /// The list or table.
        path: PathBuf,
        /// The name asked for.
        column: String,
        /// The names there are.
        available: String,
    },
    /// An option has a value that cannot work.
    #[error("option `{option}`: {reason}")]
    Config {
        /// The field of the configuration.
        option: &'static str,
        /// What was expected and what came.
        reason: String,
    },
    /// A shard cannot be written.
    #[error(transparent)]
    Shard(#[from] shards::Error),
    /// A table cannot be read.
    #[error("table `{}`: {reason}", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder holds shards that were made otherwise.
    #[error("`{folder}` holds shards that were made with other options: {differences}")]
    OtherOptions {
        /// The folder.
        folder: String,
        /// Names and values.
        differences: String,
    },
    /// The shard that an earlier run finished was made of other rows, though of as many.
    #[error("shard `{shard}` was finished with other rows than the list has for it now: the list changed")]
    OtherRows {
        /// The shard's name.
        shard: String,
    },
    /// The folder does not say how its shards were made.
    #[error("`{folder}` has no manifest.json, which says how its shards were made")]
    NoManifest {
        /// The folder.
        folder: String,
    },
    /// A shard and its table do not fit together.
    #[error("row `{key}` is a success by its table, but {reason}")]
    Disagree {
        /// The row.
        key: String,
        /// What is missing.
        reason: String,
    },
    /// A fault of this library.
    #[error("a fault of this program: {what}")]
    Internal {
        /// What failed.
        what: String,
    },
    /// The shard that an earlier run finished is not the one that this run would write.
    #[error("shard `{shard}` was finished with {found} rows, and the list has {expected} for it now: the list changed")]
    OtherPlan {
        /// The shard's name.
        shard: String,
        /// Rows of this run's plan.
        expected: u64,
        /// Rows in the summary found.
        found: u64,
    },
    /// Rows were lost or counted twice.
    #[error(
        "shard `{shard}`: {rows} rows, but {successes} successes, {failed_to_download} failed to download and \
         {failed_to_resize} failed to resize"
    )]
    Unbalanced {
        /// The shard's name.
        shard: String,
        /// Rows planned.
        rows: u64,
        /// Rows that became samples.
        successes: u64,
        /// Rows without a body.
        failed_to_download: u64,
        /// Rows without a picture.
        failed_to_resize: u64,
    },
    /// A thread of the pipeline ended early, or could not be started.
    #[error("{worker} stopped: {reason}")]
    Worker {
        /// What the thread does.
        worker: &'static str,
        /// Why it ended.
        reason: String,
    },
}

fn or_nothing(available: &str) -> &str {
    if available.is_empty() { "nothing: is it empty?" } else { available }
}

impl Error {
    /// Wraps an I/O error with the action and path that met it; made for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}
