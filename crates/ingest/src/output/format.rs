//! What a shard is made of, and what is done about shards that are there already.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a shard is made of. Beside it lie `NNNNN.parquet`, its rows, and `NNNNN_stats.json`, their counts, which marks the
/// shard as complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// A tar, `NNNNN.tar`.
    Webdataset,
    /// A folder `NNNNN` of files: picture, caption and JSON of each sample.
    Files,
    /// Pictures in the table `NNNNN.parquet` itself.
    Parquet,
    /// A folder `NNNNN` of pictures, and `NNNNN.csv`, tabs between `title` and `filepath`: what open_clip reads as csv.
    Csv,
    /// Nothing but the counts.
    Dummy,
}

impl OutputFormat {
    /// The name, as options and manifests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webdataset => "webdataset",
            Self::Files => "files",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Dummy => "dummy",
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is done about shards that an earlier run left in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncrementalMode {
    /// They stay, and are not made again.
    Incremental,
    /// They are deleted first.
    Overwrite,
    /// They stay, and the list makes new ones behind them.
    Extend,
}
