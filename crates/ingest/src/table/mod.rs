//! Tables of URLs, captions and scores: scanned lazily by polars, described in numbers.

pub mod hosts;
pub mod numbers;
mod scan;
pub mod stats;

pub use hosts::{HostStats, Share};
pub use numbers::{Bin, NumberStats, Quantiles};
pub use stats::{ColumnStats, StatsOptions, TableStats, stats};
