//! From a list of URLs to shards of pictures and captions, and statistics of the tables around
//! them.
//!
//! The flow, one typed stage a file: [`url_list`] reads rows, [`plan`] deals them out to
//! shards, [`fetch`] downloads, [`process`] decodes, resizes and encodes, [`pipeline`] runs the
//! stages side by side and seals shards through the crate `shards`. Trouble with one row is a
//! [`SampleFailure`] that is counted; an [`Error`] ends the run.
#![warn(missing_docs)]

pub mod blur;
pub mod config;
pub mod encode;
pub mod error;
pub mod exif;
pub mod failure;
pub mod fetch;
pub mod hash;
pub mod output;
pub mod pipeline;
pub mod plan;
pub mod process;
pub mod report;
pub mod resize;
pub mod resize_mode;
pub mod table;
pub mod url_list;

pub use config::DownloadConfig;
pub use error::{Error, Result};
pub use failure::{FailureKind, SampleFailure};
pub use pipeline::{Ahead, Observer, RetryConfig, RowEnd, SealedShard, StopToken, download, retry};
pub use report::DownloadReport;
pub use table::{StatsOptions, TableStats, stats};
