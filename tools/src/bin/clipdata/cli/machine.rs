//! What a run may take of the machine.

use clap::Args;

use super::values::byte_size;

/// What the process takes beside bodies and pictures: code, connections, tables.
const BASE_BYTES: u64 = 100_000_000;

/// The least that leaves room for a picture and some bodies.
const LEAST_BYTES: u64 = 48_000_000;

/// Threads and memory.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Threads that decode and resize [default: one a core]
    #[arg(long, value_name = "N")]
    pub processes_count: Option<usize>,
    /// Memory of the whole run, whatever URLs send; a picture that needs more is refused
    #[arg(long, value_name = "BYTES", default_value = "400MB", value_parser = byte_size)]
    pub max_memory: u64,
}

impl Machine {
    /// Bytes for bodies, and for pictures while they are decoded.
    pub fn budgets(&self) -> (u64, u64) {
        let bytes = self.max_memory.saturating_sub(BASE_BYTES).max(LEAST_BYTES);
        (bytes / 3, bytes / 3 * 2)
    }
}
