//! What a run may take of the machine.

use anyhow::bail;
use clap::Args;
use tools::human;

use super::values::byte_size;

/// What the process takes beside connections, bodies and pictures: code, tables.
const BASE_BYTES: u64 = 60_000_000;

/// What the HTTP client reads ahead on a connection whose server is fast.
const CONNECTION_BYTES: u64 = 600_000;

/// The least that leaves room for a picture and some bodies.
const LEAST_BYTES: u64 = 48_000_000;

/// Threads and memory.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Threads that decode and resize [default: one a core]
    #[arg(long, value_name = "N")]
    pub processes_count: Option<usize>,
    /// Memory of the whole run, whatever URLs send, those of --thread-count connections included; a picture that needs more than
    /// two thirds of the rest is refused
    #[arg(long, value_name = "BYTES", default_value = "400MB", value_parser = byte_size)]
    pub max_memory: u64,
}

impl Machine {
    /// Refuses less than a run takes for itself.
    ///
    /// # Errors
    /// Names the least.
    pub fn check(&self) -> anyhow::Result<()> {
        let least = BASE_BYTES + LEAST_BYTES;
        if self.max_memory < least {
            bail!("--max-memory: expected at least {}, got {}", human::bytes(least), human::bytes(self.max_memory));
        }
        Ok(())
    }

    /// Bytes for bodies, and for pictures while they are decoded, beside so many connections.
    pub fn budgets(&self, connections: usize) -> (u64, u64) {
        let beside = (connections as u64).saturating_mul(CONNECTION_BYTES).saturating_add(BASE_BYTES);
        let bytes = self.max_memory.saturating_sub(beside).max(LEAST_BYTES);
        (bytes / 3, bytes / 3 * 2)
    }
}
