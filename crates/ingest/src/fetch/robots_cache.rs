//! The `robots.txt` of each host, asked for once a day: what a row needs before its URL may be asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};
use url::{Position, Url};

use super::limit::Limit;
use super::robots::{MAX_BYTES, Rules};
use super::transport_error::{request_failure, timed_out};
use super::{address_guard::AddressGuard, target};
use crate::failure::{FailureKind, SampleFailure};

/// How long the rules of a host are good (RFC 9309, section 2.4).
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// Redirects that are followed to the file (section 2.3.1.2).
const MAX_REDIRECTS: usize = 5;

/// Files read at the same time: each may take half a megabyte, outside the byte budget.
const READ_AT_ONCE: usize = 16;

/// Hosts whose rules are kept, and the bytes that these may take in all; beyond either all are forgotten.
const MAX_HOSTS: usize = 65_536;
const MAX_KEPT_BYTES: usize = 16 << 20;

/// Which place among the downloads the file is read in.
#[derive(Clone, Copy, Debug)]
pub enum PlaceFor<'a> {
    /// One of its own, which is waited for.
    Itself(&'a Limit),
    /// That of the row that needs it, which has one: to wait for a second one while holding the first could last for ever.
    ItsRow,
}

/// Rules by host.
#[derive(Clone, Debug)]
pub struct RobotsCache {
    client: Client,
    guard: AddressGuard,
    product: String,
    /// For one file.
    deadline: Duration,
    reading: Arc<Semaphore>,
    hosts: Arc<Mutex<Hosts>>,
}

#[derive(Debug, Default)]
struct Hosts {
    by_origin: HashMap<String, Arc<Host>>,
    bytes: usize,
}

#[derive(Debug)]
struct Host {
    since: Instant,
    rules: OnceCell<Rules>,
}

impl RobotsCache {
    /// For the crawler `product`, asking with `client` what `guard` allows, `deadline` for each file.
    pub fn new(client: Client, guard: AddressGuard, product: String, deadline: Duration) -> Self {
        let reading = Arc::new(Semaphore::new(READ_AT_ONCE));
        Self { client, guard, product, deadline, reading, hosts: Arc::default() }
    }

    /// Checks that `url` may be asked for, reading the rules of its host where they are not known yet.
    ///
    /// # Errors
    /// Failure `robots_txt`, and whatever keeps the host from being asked.
    pub async fn check(&self, url: &Url, place: PlaceFor<'_>) -> Result<(), SampleFailure> {
        let host = self.host(url);
        let rules = host.rules.get_or_try_init(|| self.first(url, place)).await?;
        if rules.allow(&url[Position::BeforePath..]) {
            return Ok(());
        }
        Err(SampleFailure::new(FailureKind::RobotsTxt, "the host's robots.txt disallows it"))
    }

    async fn first(&self, url: &Url, place: PlaceFor<'_>) -> Result<Rules, SampleFailure> {
        let file = url.join("/robots.txt").map_err(|e| SampleFailure::new(FailureKind::BadUrl, e.to_string()))?;
        let _place = match place {
            PlaceFor::Itself(limit) => Some(limit.enter(&file).await),
            PlaceFor::ItsRow => None,
        };
        let _reading = self.reading.acquire().await;
        let rules = timeout(self.deadline, self.read(file)).await.map_err(|_| timed_out())??;
        self.count(rules.size());
        Ok(rules)
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let now = Instant::now();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.by_origin.len() >= MAX_HOSTS || hosts.bytes > MAX_KEPT_BYTES {
            *hosts = Hosts::default();
        }
        let new = || Arc::new(Host { since: now, rules: OnceCell::new() });
        let host = hosts.by_origin.entry(url[..Position::BeforePath].to_owned()).or_insert_with(new);
        if now.duration_since(host.since) >= GOOD_FOR {
            *host = new();
        }
        Arc::clone(host)
    }

    fn count(&self, bytes: usize) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).bytes += bytes;
    }

    /// Reads the file: one that is not there allows everything, one that cannot be had now nothing (section 2.3.1).
    async fn read(&self, mut url: Url) -> Result<Rules, SampleFailure> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.get(url.clone()).send().await.map_err(|e| request_failure(&e))?;
            let status = response.status();
            let location = response.headers().get("location").filter(|_| status.is_redirection());
            if let Some(location) = location.map(|location| String::from_utf8_lossy(location.as_bytes())) {
                url = target::follow(&url, &location, self.guard)?;
                continue;
            }
            return match status.as_u16() {
                200..=299 => self.rules(response).await,
                429 | 500.. => Ok(Rules::disallow_all()),
                _ => Ok(Rules::default()),
            };
        }
        Ok(Rules::default())
    }

    async fn rules(&self, mut response: reqwest::Response) -> Result<Rules, SampleFailure> {
        let mut text = Vec::new();
        while text.len() < MAX_BYTES
            && let Some(chunk) = response.chunk().await.map_err(|e| request_failure(&e))?
        {
            text.extend_from_slice(&chunk);
        }
        Ok(Rules::parse(&text, &self.product))
    }
}
