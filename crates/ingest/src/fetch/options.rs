//! How URLs are asked for.

use std::time::Duration;

use super::address_guard::AddressGuard;
use super::names::Dns;
use crate::config::{at_least_one, between};
use crate::error::{Error, Result};

/// How downloads are made.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Downloads at the same time, in all.
    pub max_connections: usize,
    /// Downloads at the same time from one host and port.
    pub max_connections_per_host: usize,
    /// Downloads begun in a second from one host and port; `None`: as many as it answers.
    pub max_requests_per_host_per_second: Option<f64>,
    /// Longest time of one attempt, from the first connection to the last byte of the body, redirects included.
    pub timeout: Duration,
    /// Longest time until a connection stands, name and TLS included.
    pub connect_timeout: Duration,
    /// Longest time without a byte.
    pub read_timeout: Duration,
    /// Attempts after the first, where another one may end better.
    pub retries: u32,
    /// Redirects followed for one URL.
    pub max_redirects: usize,
    /// Largest body in bytes, as sent and as decompressed.
    pub max_body_bytes: u64,
    /// Addresses that may be connected to.
    pub guard: AddressGuard,
    /// How names become addresses.
    pub dns: Dns,
    /// The whole user agent, instead of one that says what asks.
    pub user_agent: Option<String>,
    /// A token to name the user in the user agent.
    pub user_agent_token: Option<String>,
    /// Whether servers may have any certificate, or none that fits.
    pub ignore_ssl_certificate: bool,
    /// Whether hosts are asked for their `robots.txt`, which is then obeyed.
    pub robots_txt: bool,
    /// Directives of `X-Robots-Tag` that forbid the use of a picture; empty: none do.
    pub disallowed_header_directives: Vec<String>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_connections_per_host: 16,
            max_requests_per_host_per_second: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            retries: 0,
            max_redirects: 5,
            max_body_bytes: 50_000_000,
            guard: AddressGuard::PublicOnly,
            dns: Dns::Cached,
            user_agent: None,
            user_agent_token: None,
            ignore_ssl_certificate: false,
            robots_txt: false,
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
        between("max_redirects", self.max_redirects, 0, 100)?;
        between("retries", self.retries as usize, 0, 100)?;
        some_time("timeout", self.timeout)?;
        some_time("connect_timeout", self.connect_timeout)?;
        some_time("read_timeout", self.read_timeout)?;
        rate(self.max_requests_per_host_per_second)?;
        at_least_one("max_body_bytes", self.max_body_bytes)
    }
}

fn some_time(option: &'static str, time: Duration) -> Result<()> {
    at_least_one(option, time.as_nanos().try_into().unwrap_or(u64::MAX))
}

fn rate(per_second: Option<f64>) -> Result<()> {
    match per_second {
        Some(rate) if !(0.001..=1e6).contains(&rate) => Err(Error::Config {
            option: "max_requests_per_host_per_second",
            reason: format!("expected 0.001 to 1000000, got {rate}"),
        }),
        _ => Ok(()),
    }
}
