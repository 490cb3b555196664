//! How URLs are asked for.

use std::time::Duration;

use super::address_guard::AddressGuard;
use crate::config::{at_least_one, between};
use crate::error::Result;

/// How downloads are made.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Downloads at the same time, in all.
    pub max_connections: usize,
    /// Downloads at the same time from one host and port.
    pub max_connections_per_host: usize,
    /// Longest time for one URL, from the first connection to the last byte of the body, redirects included.
    pub timeout: Duration,
    /// Largest body in bytes, as sent and as decompressed.
    pub max_body_bytes: u64,
    /// Addresses that may be connected to.
    pub guard: AddressGuard,
    /// A token to name the user in the user agent.
    pub user_agent_token: Option<String>,
    /// Directives of `X-Robots-Tag` that forbid the use of a picture; empty: none do.
    pub disallowed_header_directives: Vec<String>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_connections_per_host: 16,
            timeout: Duration::from_secs(10),
            max_body_bytes: 50_000_000,
            guard: AddressGuard::PublicOnly,
            user_agent_token: None,
            disallowed_header_directives: ["noai", "noimageai", "noindex", "noimageindex"].map(String::from).to_vec(),
        }
    }
}

impl FetchOptions {
    /// Checks what a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        between("thread_count", self.max_connections, 1, 65_536)?;
        between("max_connections_per_host", self.max_connections_per_host, 1, 65_536)?;
        at_least_one("timeout", self.timeout.as_nanos().try_into().unwrap_or(u64::MAX))?;
        at_least_one("max_body_bytes", self.max_body_bytes)
    }
}
