//! What ends a run of the loader. A sample that cannot be used is counted, not an `Error`.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The loader cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting makes no sense.
    #[error("loader setting `{setting}`: {reason}")]
    Config {
        /// The field of the configuration.
        setting: &'static str,
        /// What was expected and what came.
        reason: String,
    },
    /// A shard cannot be read, and the policy is to fail.
    #[error(transparent)]
    Shard(#[from] shards::Error),
    /// A shard is not whole, and the policy is to fail.
    #[error("shard `{shard}` is incomplete: {reason} (at byte {offset}, after {samples} samples)")]
    ShardIncomplete {
        /// The shard.
        shard: String,
        /// What is missing.
        reason: String,
        /// Where, in the uncompressed tar.
        offset: u64,
        /// How many samples it gave before.
        samples: u64,
    },
    /// A shard that was waited for will not come.
    #[error("shard `{shard}` is not there: {reason}")]
    NeverCame {
        /// The shard.
        shard: String,
        /// Why.
        reason: String,
    },
    /// A picture given by itself cannot be decoded.
    #[error("{name}: {reason}")]
    Picture {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody knows how many samples there are.
    #[error(
        "size of the data set unknown: `{shard}` is in no sizes.json and has no _stats.json beside it; give the number of samples"
    )]
    UnknownSize {
        /// The first shard of unknown size.
        shard: String,
    },
    /// A whole pass, or all shards of a source, gave nothing to train on; going on would be an endless loop.
    #[error("no usable sample in {whence}: {seen}")]
    NoUsableSample {
        /// What was read.
        whence: String,
        /// What was seen there.
        seen: Box<Seen>,
    },
    /// A sample cannot be used, and the policy is to fail.
    #[error("`{shard}`: sample `{key}` cannot be used: {reason}")]
    Sample {
        /// The shard.
        shard: String,
        /// The sample.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More cannot be used than the policy allows.
    #[error("{count} {what} could not be used (at most {most} are accepted); the last: {last}")]
    TooMany {
        /// "shards" or "samples".
        what: &'static str,
        /// How many there were.
        count: u64,
        /// The largest number.
        most: u64,
        /// What was wrong with the last one.
        last: String,
    },
    /// A position is one of other data, or of another order.
    #[error("the position does not fit this loader: `{setting}` was {expected} when it was saved, and is {got}")]
    Position {
        /// What differs.
        setting: &'static str,
        /// As it was.
        expected: String,
        /// As it is.
        got: String,
    },
    /// A table of pictures and captions cannot be used.
    #[error("table `{}`: {reason}", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// The tokenizer does not fit the configuration.
    #[error("tokenizer gave {got} ids for a caption (expected {expected})")]
    TokenCount {
        /// The context length.
        expected: usize,
        /// What came.
        got: usize,
    },
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
    /// A folder is not a folder of class folders with pictures.
    #[error("class folder `{}`: {reason}", path.display())]
    ClassFolder {
        /// The folder.
        path: PathBuf,
        /// What was expected and what came.
        reason: &'static str,
    },
    /// A thread of the loader ended by itself; a fault of this program.
    #[error("a {thread} thread of the loader failed")]
    Thread {
        /// Which kind of thread.
        thread: &'static str,
    },
}

/// What was read where nothing could be used, since the loader was made: shards that were read again count again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Samples read.
    pub samples: u64,
    /// Of these, without a picture.
    pub missing_image: u64,
    /// Of these, without a caption, or with a blank one.
    pub missing_caption: u64,
    /// Pictures that did not decode.
    pub undecodable: u64,
    /// Shards that could not be opened, or not be read to a proper end.
    pub bad_shards: u64,
    /// What was wrong with the last one.
    pub trouble: Option<String>,
    /// Extensions that count as pictures.
    pub image_extensions: String,
    /// Where captions are looked for.
    pub captions: String,
    /// Extensions met in samples that lack something, with how often; empty where there were none.
    pub extensions: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples read", self.samples)?;
        for (count, what, where_from) in [
            (self.missing_image, "without a picture", &self.image_extensions),
            (self.missing_caption, "with a picture and no caption, or a blank one", &self.captions),
        ] {
            if count > 0 {
                write!(f, ", {count} {what} (looked for: {where_from})")?;
            }
        }
        if self.undecodable > 0 {
            write!(f, ", {} not decodable", self.undecodable)?;
        }
        if self.bad_shards > 0 {
            write!(f, "; shards not whole or not readable: {}", self.bad_shards)?;
        }
        if let Some(trouble) = &self.trouble {
            write!(f, ", the last: {trouble}")?;
        }
        if !self.extensions.is_empty() {
            write!(f, "; extensions seen: {}", self.extensions)?;
        }
        Ok(())
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}
