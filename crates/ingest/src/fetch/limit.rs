//! How many downloads go on at the same time: in all, and from one host. A host that is asked for hundreds of pictures
//! at once drops connections or bans the asker, and a list often names one host many times in a row.
//!
//! Whoever waits for a host holds no place among all downloads, so that a busy host keeps nobody from another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::pace::Pace;

type Hosts = HashMap<String, Arc<Semaphore>>;

/// The places that there are.
#[derive(Clone, Debug)]
pub struct Limit {
    all: Arc<Semaphore>,
    per_host: usize,
    /// Hosts that are being asked or waited for; others are forgotten, since lists name millions.
    hosts: Arc<Mutex<Hosts>>,
    pace: Pace,
}

/// A place among all downloads and among those from its host, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _of_host: OfHost,
}

impl Limit {
    /// At most `all` downloads, `per_host` of them from one host and port, each begun when `pace` allows it.
    pub fn new(all: usize, per_host: usize, pace: Pace) -> Self {
        let all = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Self { all, per_host: per_host.min(Semaphore::MAX_PERMITS), hosts: Arc::default(), pace }
    }

    /// Waits for a place for a download of `url`, in the order of asking.
    pub async fn enter(&self, url: &Url) -> Place {
        let host = host(url);
        let of_host = self.wait_for_host(host.clone()).await;
        self.pace.wait(&host).await;
        // Neither semaphore is ever closed; without its permit a download is still right, only one too many.
        Place { _all: Arc::clone(&self.all).acquire_owned().await.ok(), _of_host: of_host }
    }

    /// Lets nobody begin a download from the host of `url` for `time`.
    pub fn close(&self, url: &Url, time: Duration) {
        self.pace.close(&host(url), time, Instant::now());
    }

    async fn wait_for_host(&self, host: String) -> OfHost {
        let semaphore = {
            let mut hosts = lock(&self.hosts);
            let known = hosts.entry(host.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_host)));
            Arc::clone(known)
        };
        // Made before waiting: one that is dropped while it waits must be forgotten too.
        let mut waiting = OfHost { permit: None, semaphore, host, hosts: Arc::clone(&self.hosts) };
        waiting.permit = Arc::clone(&waiting.semaphore).acquire_owned().await.ok();
        waiting
    }
}

fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0))
}

/// Keeps a host's semaphore known while anybody needs it.
#[derive(Debug)]
struct OfHost {
    permit: Option<OwnedSemaphorePermit>,
    semaphore: Arc<Semaphore>,
    host: String,
    hosts: Arc<Mutex<Hosts>>,
}

impl Drop for OfHost {
    fn drop(&mut self) {
        let mut hosts = lock(&self.hosts);
        // The permit holds the semaphore as well.
        self.permit = None;
        // What is left are the map's and this one's; nobody can take another while the map is locked.
        if Arc::strong_count(&self.semaphore) == 2 {
            hosts.remove(&self.host);
        }
    }
}

/// A thread that panicked cannot have left the map half changed.
fn lock(hosts: &Mutex<Hosts>) -> MutexGuard<'_, Hosts> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// Whether a place is to be had at once.
    async fn is_free(limit: &Limit, text: &str) -> Option<Place> {
        timeout(Duration::ZERO, limit.enter(&url(text))).await.ok()
    }

    #[tokio::test]
    async fn a_host_has_so_many_places_and_others_have_theirs() {
        let limit = Limit::new(10, 2, Pace::new(None));
        let first = limit.enter(&url("http://a/1")).await;
        let _second = limit.enter(&url("http://a/2")).await;
        assert!(is_free(&limit, "http://a/3").await.is_none());
        let elsewhere = [is_free(&limit, "http://b/1").await, is_free(&limit, "http://a:8080/1").await];
        assert!(elsewhere.iter().all(Option::is_some));
        drop(first);
        assert!(is_free(&limit, "http://a/3").await.is_some());
    }

    #[tokio::test]
    async fn all_hosts_together_have_so_many_places() {
        let limit = Limit::new(2, 2, Pace::new(None));
        let places = [limit.enter(&url("http://a/")).await, limit.enter(&url("http://b/")).await];
        assert!(is_free(&limit, "http://c/").await.is_none());
        drop(places);
        assert!(is_free(&limit, "http://c/").await.is_some());
    }

    #[tokio::test]
    async fn hosts_that_nobody_asks_are_forgotten() {
        let limit = Limit::new(10, 1, Pace::new(None));
        let place = limit.enter(&url("http://a/")).await;
        assert!(is_free(&limit, "http://a/").await.is_none());
        assert_eq!(lock(&limit.hosts).len(), 1);
        drop(place);
        assert_eq!(lock(&limit.hosts).len(), 0);
    }
}
