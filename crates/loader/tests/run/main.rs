//! Runs over real shards: what comes out, in which order, what is counted, and where a run goes on.

mod data;
mod losses;
mod order;
mod resume;
mod tables;
