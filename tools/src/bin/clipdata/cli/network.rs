//! How URLs are asked for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use ingest::fetch::FetchOptions;
use ingest::fetch::address_guard::AddressGuard;
use ingest::fetch::names::Dns;
use tools::exit::Hint;

use super::values::{byte_size, list, optional, switch};

const DNS_PORT: u16 = 53;

/// Nobody waits longer for a picture than a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Deadlines, limits and manners.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Downloads in flight
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub thread_count: usize,
    /// Downloads in flight from one host
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub max_connections_per_host: usize,
    /// Downloads begun in a second from one host; as many as it answers where not given
    #[arg(long, value_name = "REQUESTS/SECOND")]
    pub max_requests_per_host_per_second: Option<f64>,
    /// Deadline of one URL, redirects and body included
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub timeout: f64,
    /// Longest time until a connection stands, name and TLS included
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub connect_timeout: f64,
    /// Longest time without a byte
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub read_timeout: f64,
    /// Attempts after the first, for what may end better: timeouts, lost connections, 429 and 5xx
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// Redirects followed for one URL
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub max_redirects: usize,
    /// Largest body that is read
    #[arg(long, value_name = "BYTES", default_value = "50MB", value_parser = byte_size)]
    pub max_body_bytes: u64,
    /// How names become addresses: `cached`, by the system's name servers, answers kept for as long as they say; `system`, by the system every time; or addresses of name servers
    #[arg(long, value_name = "HOW", default_value = "cached", value_parser = dns)]
    pub dns: Dns,
    /// The whole user agent
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
    /// Name in the user agent, for sites that want to know who asks
    #[arg(long, value_name = "TOKEN")]
    pub user_agent_token: Option<String>,
    /// X-Robots-Tag directives that forbid a picture; an empty value honours none
    #[arg(long, value_name = "LIST", default_value = "noai,noimageai,noindex,noimageindex,noml")]
    pub disallowed_header_directives: String,
    /// Ask each host for its robots.txt, once a day, and obey it
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub robots_txt: bool,
    /// Do not check certificates: anybody on the way can replace what is downloaded
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub ignore_ssl_certificate: bool,
    /// Let URLs lead to this machine and to private networks
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub allow_private_addresses: bool,
}

impl Network {
    /// What the flags say.
    ///
    /// # Errors
    /// When a time is out of range.
    pub fn options(self) -> anyhow::Result<FetchOptions> {
        let guard = if self.allow_private_addresses { AddressGuard::AllowPrivate } else { AddressGuard::PublicOnly };
        Ok(FetchOptions {
            max_connections: self.thread_count,
            max_connections_per_host: self.max_connections_per_host,
            max_requests_per_host_per_second: self.max_requests_per_host_per_second,
            timeout: seconds("--timeout", self.timeout)?,
            connect_timeout: seconds("--connect-timeout", self.connect_timeout)?,
            read_timeout: seconds("--read-timeout", self.read_timeout)?,
            retries: self.retries,
            max_redirects: self.max_redirects,
            max_body_bytes: self.max_body_bytes,
            guard,
            dns: self.dns,
            user_agent: optional(self.user_agent),
            ignore_ssl_certificate: self.ignore_ssl_certificate,
            robots_txt: self.robots_txt,
            user_agent_token: optional(self.user_agent_token),
            disallowed_header_directives: list(&self.disallowed_header_directives),
        })
    }
}

fn seconds(flag: &str, value: f64) -> anyhow::Result<Duration> {
    let found = Duration::try_from_secs_f64(value).ok().filter(|time| *time <= LONGEST);
    found
        .ok_or_else(|| anyhow!(Hint(format!("{flag} takes seconds, such as 10 or 2.5"))))
        .with_context(|| format!("{flag}: expected 0 to {} seconds, got {value}", LONGEST.as_secs()))
}

fn dns(text: &str) -> Result<Dns, String> {
    match text {
        "cached" => Ok(Dns::Cached),
        "system" => Ok(Dns::System),
        servers => servers.split(',').map(name_server).collect::<Result<_, _>>().map(Dns::Servers),
    }
}

/// An address, with or without a port.
fn name_server(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    bare.or_else(|_| text.parse())
        .map_err(|_| format!("`{text}` is none of cached, system and the address of a name server, such as 192.0.2.53"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_up_to_a_day() {
        assert_eq!(seconds("--timeout", 2.5).unwrap(), Duration::from_millis(2500));
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e308, 86_401.0] {
            let message = seconds("--timeout", wrong).unwrap_err().to_string();
            assert!(message.starts_with("--timeout: expected 0 to 86400 seconds, got "), "{message}");
        }
    }

    #[test]
    fn name_servers_are_addresses_with_or_without_a_port() {
        let addresses = ["192.0.2.53:53", "[2001:db8::53]:53", "127.0.0.1:5353"].map(|text| text.parse().unwrap());
        assert_eq!(dns("192.0.2.53, 2001:db8::53,127.0.0.1:5353"), Ok(Dns::Servers(addresses.to_vec())));
        assert_eq!(dns("system"), Ok(Dns::System));
        assert!(dns("dns.example").unwrap_err().contains("`dns.example` is none of"));
        assert!(dns("").is_err());
    }
}
