//! From a URL to the first answer that is no redirect. Redirects are followed by hand, so that every hop is vetted.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Response};
use tokio::time::timeout;
use url::Url;

use super::address_guard::AddressGuard;
use super::robots_cache::{PlaceFor, RobotsCache};
use super::trace::Trace;
use super::transport_error::{no_byte, request_failure};
use super::{retry, target};
use crate::failure::{FailureKind, SampleFailure};

/// Why an attempt did not end with bytes.
#[derive(Debug)]
pub struct Refusal {
    /// The reason.
    pub failure: SampleFailure,
    /// The host that asked to be left alone, and for how long.
    pub left_alone: Option<(Url, Duration)>,
}

impl From<SampleFailure> for Refusal {
    fn from(failure: SampleFailure) -> Self {
        Self { failure, left_alone: None }
    }
}

/// How URLs are asked for, by what rules.
#[derive(Clone, Debug)]
pub struct Asker {
    /// One that follows no redirects.
    pub client: Client,
    /// Addresses that may be asked.
    pub guard: AddressGuard,
    /// Redirects followed for one URL.
    pub max_redirects: usize,
    /// For the head of one answer, its connection included.
    pub head_timeout: Duration,
    /// Where `robots.txt` is obeyed. That of the first URL's host is checked before.
    pub robots: Option<RobotsCache>,
}

impl Asker {
    /// The first answer to `url` that is no redirect; 2xx.
    ///
    /// # Errors
    /// Any failure from `scheme` to `robots_txt`.
    pub async fn answer(&self, url: &Url, trace: &mut Trace) -> Result<Response, Refusal> {
        let mut url = url.clone();
        let mut asked = Vec::new();
        loop {
            trace.final_url = Some(url.clone());
            trace.http_status = None;
            let sent = timeout(self.head_timeout, self.client.get(url.clone()).send()).await.map_err(|_| no_byte())?;
            let response = sent.map_err(|e| request_failure(&e))?;
            trace.http_status = Some(response.status().as_u16());
            if response.status().is_success() {
                return Ok(response);
            }
            let Some(location) = location(&response) else { return Err(refused(&response, url)) };
            let next = target::follow(&url, &location, self.guard)?;
            asked.push(url);
            url = self.next_hop(&asked, next).await?;
        }
    }

    async fn next_hop(&self, asked: &[Url], next: Url) -> Result<Url, SampleFailure> {
        let failure = |message: String| Err(SampleFailure::new(FailureKind::Redirect, message));
        if asked.contains(&next) {
            return failure(format!("redirected in a loop, after {} back to `{}`", asked.len(), shortened(&next)));
        }
        if asked.len() > self.max_redirects {
            let to = shortened(&next);
            return failure(format!("expected at most {} redirects, got one more, to `{to}`", self.max_redirects));
        }
        if let Some(robots) = &self.robots {
            robots.check(&next, PlaceFor::ItsRow).await?;
        }
        Ok(next)
    }
}

fn location(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
    location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned())
}

fn refused(response: &Response, url: Url) -> Refusal {
    let status = response.status();
    let kind = FailureKind::HttpStatus(status.as_u16());
    let left_alone = if matches!(status.as_u16(), 429 | 503) { asked_for(response.headers()) } else { None };
    Refusal {
        failure: SampleFailure::new(kind, format!("the server answered {status}")),
        left_alone: left_alone.map(|time| (url, time)),
    }
}

fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    retry::asked_for(headers, SystemTime::now()).filter(|time| !time.is_zero())
}

/// Enough of a URL for a message.
fn shortened(url: &Url) -> String {
    url.as_str().chars().take(120).collect()
}
