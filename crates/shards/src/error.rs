//! What can go wrong with a shard as a whole. Trouble with one sample is a value that is
//! counted, not an `Error`.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A shard, or the place where it lives, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused `action` on `path`.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb: "create", "read", "rename".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A shard specification such as `{000..009}.tar` is malformed.
    #[error("shard specification `{spec}`: {reason}")]
    Spec {
        /// The specification as given.
        spec: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A source of bytes (http, s3, pipe) failed.
    #[error("`{uri}`: {reason}")]
    Source {
        /// The shard.
        uri: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The bytes at `offset` are not what the tar format asks for.
    #[error("shard `{shard}`: {reason} (at byte {offset})")]
    Malformed {
        /// The shard.
        shard: String,
        /// Offset of the offending block from the start of the (uncompressed) tar.
        offset: u64,
        /// What was expected and what came.
        reason: String,
    },
    /// A table beside a shard (parquet, JSON) cannot be read or written.
    #[error("table `{}`: {reason}", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Wraps an I/O error with the action and path that met it; made for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}
