//! What the binaries `clipdata` and `cliptrain` share: how they speak to a terminal, how they end, and
//! the pieces that the demo is made of.

pub mod cluster;
pub mod demo;
pub mod embed;
pub mod exit;
pub mod human;
pub mod json;
pub mod log;
pub mod memory;
pub mod observe;
pub mod out;
pub mod plot;
pub mod report;
pub mod server;
pub mod sources;
pub mod spelling;
pub mod terminal;
pub mod training;
pub mod urls;
pub mod usage;
pub mod zoo;
