//! The HTTP client: one pool of connections for all downloads, one deadline for each, redirects
//! followed by hand so that every hop is vetted.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Response, redirect};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::address_guard::{ForbiddenHost, UnknownHost};
use super::budget::Reservation;
use super::limit::Limit;
use super::opt_out::OptOut;
use super::options::FetchOptions;
use super::{body, target};
use crate::error::Error;
use crate::failure::{FailureKind, SampleFailure};

/// The name that servers see, and may address in `X-Robots-Tag`.
const PRODUCT: &str = "clipdata";

/// Redirects followed for one URL.
const MAX_REDIRECTS: usize = 5;

/// Lists name millions of hosts; a connection idle for longer will not be asked again soon.
const IDLE: Duration = Duration::from_secs(15);
const IDLE_PER_HOST: usize = 8;

/// A body and what came with it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body, decompressed; at least one byte.
    pub body: Bytes,
    /// Where it came from in the end.
    pub final_url: Url,
    /// The status of the last answer, 2xx.
    pub http_status: u16,
    /// The type that the server claims.
    pub content_type: Option<String>,
}

/// Downloads bodies.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    options: FetchOptions,
    limit: Limit,
    opt_out: OptOut,
}

impl Fetcher {
    /// A client with its pool of connections.
    ///
    /// # Errors
    /// When the user agent is no header value, or TLS cannot be set up.
    pub fn new(options: FetchOptions) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("image/*, */*;q=0.5"));
        let client = Client::builder()
            .user_agent(user_agent(options.user_agent_token.as_deref())?)
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            // A proxy would look up names out of the guard's sight.
            .no_proxy()
            .referer(false)
            .dns_resolver(options.guard)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build()
            .map_err(|e| Error::Worker { worker: "http client", reason: chain(&e) })?;
        let opt_out = OptOut::new(&options.disallowed_header_directives, PRODUCT);
        let limit = Limit::new(options.max_connections, options.max_connections_per_host);
        Ok(Self { client, options, limit, opt_out })
    }

    /// Downloads what is behind `url`, growing `share` by what it reads. The deadline counts from when there is a place
    /// among the downloads that may go on at the same time.
    ///
    /// # Errors
    /// Any failure from `bad_url` to `empty`.
    pub async fn fetch(&self, url: &str, share: &mut Reservation) -> Result<Fetched, SampleFailure> {
        let url = target::parse(url, self.options.guard)?;
        let _place = self.limit.enter(&url).await;
        let deadline = Instant::now() + self.options.timeout;
        let response = timeout_at(deadline, self.answer(url)).await.map_err(|_| timed_out())??;
        self.check_opt_out(response.headers())?;
        let final_url = response.url().clone();
        let http_status = response.status().as_u16();
        let content_type = header_text(response.headers(), CONTENT_TYPE.as_str());
        let body = body::read(response, self.options.max_body_bytes, deadline, share).await?;
        Ok(Fetched { body, final_url, http_status, content_type })
    }

    /// The first answer that is no redirect; 2xx.
    async fn answer(&self, mut url: Url) -> Result<Response, SampleFailure> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.get(url.clone()).send().await.map_err(|e| request_failure(&e))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let location = header_text(response.headers(), LOCATION.as_str()).filter(|_| status.is_redirection());
            match location {
                Some(location) => url = target::follow(&url, &location, self.options.guard)?,
                None => {
                    let kind = FailureKind::HttpStatus(status.as_u16());
                    return Err(SampleFailure::new(kind, format!("the server answered {status}")));
                }
            }
        }
        Err(SampleFailure::new(FailureKind::Redirect, format!("more than {MAX_REDIRECTS} redirects")))
    }

    fn check_opt_out(&self, headers: &HeaderMap) -> Result<(), SampleFailure> {
        let values = headers.get_all("x-robots-tag").iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        match texts.iter().find_map(|text| self.opt_out.forbidden_by(text)) {
            Some(directive) => {
                let message = format!("X-Robots-Tag says `{directive}`");
                Err(SampleFailure::new(FailureKind::OptOut, message))
            }
            None => Ok(()),
        }
    }
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn user_agent(token: Option<&str>) -> Result<HeaderValue, Error> {
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    let user = token.map_or(String::new(), |token| format!("; {token}"));
    let text = format!("{PRODUCT}/{version} (+img2dataset-compatible; image-text dataset download{user})");
    HeaderValue::from_str(&text).map_err(|_| Error::Config {
        option: "user_agent_token",
        reason: format!("`{text}` cannot be sent as a header"),
    })
}

/// The failure of a request whose deadline passed.
pub(super) fn timed_out() -> SampleFailure {
    SampleFailure::new(FailureKind::Timeout, "the deadline passed")
}

/// What `error`, met before or within an answer, means for the row.
pub(super) fn request_failure(error: &reqwest::Error) -> SampleFailure {
    let kind = if let Some(forbidden) = cause::<ForbiddenHost>(error) {
        return SampleFailure::new(FailureKind::ForbiddenAddress, forbidden.to_string());
    } else if let Some(unknown) = cause::<UnknownHost>(error) {
        return SampleFailure::new(FailureKind::Dns, unknown.to_string());
    } else if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_connect() {
        FailureKind::Connect
    } else if error.is_builder() {
        FailureKind::BadUrl
    } else {
        FailureKind::Protocol
    };
    SampleFailure::new(kind, chain(error))
}

fn cause<E: StdError + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(found) = inner.downcast_ref::<E>() {
            return Some(found);
        }
        source = inner.source();
    }
    None
}

/// The innermost reason, which says most, without the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_says_who_asks() {
        let agent = user_agent(Some("lab.example")).unwrap();
        let expected = "clipdata/0.1 (+img2dataset-compatible; image-text dataset download; lab.example)";
        assert_eq!(agent.to_str().unwrap(), expected);
        assert!(user_agent(Some("a\nb")).unwrap_err().to_string().contains("user_agent_token"));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_forbidden_after_its_lookup() {
        let fetcher = Fetcher::new(FetchOptions::default()).unwrap();
        let mut share = super::super::ByteBudget::new(1000).reserve().await.unwrap();
        let failure = fetcher.fetch("http://localhost:1/", &mut share).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::ForbiddenAddress, "{failure}");
    }
}
