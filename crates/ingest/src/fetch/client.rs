//! The HTTP client: one pool of connections for all downloads, attempts with a deadline each, and between them no place
//! among the connections.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Client, redirect};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::answer::{Asker, Refusal};
use super::body::Times;
use super::budget::Reservation;
use super::held::Content;
use super::limit::{Limit, Place};
use super::names::Names;
use super::opt_out::OptOut;
use super::options::FetchOptions;
use super::pace::Pace;
use super::robots_cache::{PlaceFor, RobotsCache};
use super::trace::Trace;
use super::transport_error::{innermost, timed_out};
use super::user_agent::UserAgent;
use super::{body, retry, target};
use crate::error::Error;
use crate::failure::{FailureKind, SampleFailure};

/// Lists name millions of hosts; a connection idle for longer will not be asked again soon.
const IDLE: Duration = Duration::from_secs(15);
const IDLE_PER_HOST: usize = 8;

/// What a server may send ahead over HTTP/2 while nobody reads: it is held outside the byte budget.
const HTTP2_STREAM_WINDOW: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 512 << 10;

/// A place is given back when no memory is to be had for that long: the row that holds the memory may need the place.
const MEMORY_WAIT: Duration = Duration::from_secs(5);

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

/// A body, wherever it is, and where it came from.
struct Answered {
    content: Content,
    final_url: Url,
    http_status: u16,
}

/// Downloads bodies.
#[derive(Clone, Debug)]
pub struct Fetcher {
    asker: Asker,
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
        let agent = UserAgent::new(&options)?;
        let client = client(&options, agent.header)?;
        let (guard, max_redirects) = (options.guard, options.max_redirects);
        let head_timeout = options.connect_timeout + options.read_timeout;
        let opt_out = OptOut::new(&options.disallowed_header_directives, &agent.product);
        let robots =
            options.robots_txt.then(|| RobotsCache::new(client.clone(), guard, agent.product, options.timeout));
        let pace = Pace::new(options.max_requests_per_host_per_second);
        let limit = Limit::new(options.max_connections, options.max_connections_per_host, pace);
        Ok(Self { asker: Asker { client, guard, max_redirects, head_timeout, robots }, options, limit, opt_out })
    }

    /// Downloads what is behind `url`, growing `share` by what it reads. A deadline counts from when there is a place
    /// among the downloads that may go on at the same time. The trace comes with failures too, which are of any kind
    /// from `bad_url` to `empty`.
    pub async fn fetch(&self, url: &str, share: &mut Reservation) -> (Result<Fetched, SampleFailure>, Trace) {
        let mut trace = Trace::default();
        let outcome = match target::parse(url, self.options.guard) {
            Ok(url) => self.attempts(&url, share, &mut trace).await,
            Err(failure) => Err(failure),
        };
        (outcome, trace)
    }

    async fn attempts(&self, url: &Url, share: &mut Reservation, trace: &mut Trace) -> Result<Fetched, SampleFailure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Refusal { failure, left_alone } = match self.attempt(url, share, trace).await {
                Ok(fetched) => return Ok(fetched),
                Err(refusal) => refusal,
            };
            if let Some((host, time)) = &left_alone {
                self.limit.close(host, *time);
            }
            if attempt > self.options.retries || !retry::may_change(failure.kind) {
                return Err(failure);
            }
            share.shrink(0);
            sleep(retry::wait(url, attempt, left_alone.map(|(_, time)| time))).await;
        }
    }

    async fn attempt(&self, url: &Url, share: &mut Reservation, trace: &mut Trace) -> Result<Fetched, Refusal> {
        if let Some(robots) = &self.asker.robots {
            robots.check(url, PlaceFor::Itself(&self.limit)).await?;
        }
        let place = self.place(url, share).await;
        trace.begin();
        let started = Instant::now();
        let outcome = self.exchange(url, started + self.options.timeout, share, trace).await;
        trace.elapsed += started.elapsed();
        drop(place);
        let Answered { content, final_url, http_status } = outcome?;
        let body = content.load(share).await.map_err(|e| body::not_held(&e))?;
        Ok(Fetched { body, final_url, http_status, content_type: trace.mime.clone() })
    }

    /// A place, and the memory to begin with.
    async fn place(&self, url: &Url, share: &mut Reservation) -> Place {
        loop {
            let place = self.limit.enter(url).await;
            if timeout(MEMORY_WAIT, share.grow(body::START_BYTES)).await.is_ok() {
                return place;
            }
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        deadline: Instant,
        share: &mut Reservation,
        trace: &mut Trace,
    ) -> Result<Answered, Refusal> {
        let answered = timeout_at(deadline, self.asker.answer(url, trace)).await;
        let response = answered.map_err(|_| timed_out())??;
        trace.note_mime(response.headers());
        self.check_opt_out(response.headers())?;
        let final_url = response.url().clone();
        let http_status = response.status().as_u16();
        let times = Times { deadline, idle: self.options.read_timeout };
        let content = body::read(response, self.options.max_body_bytes, times, share, trace).await?;
        Ok(Answered { content, final_url, http_status })
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

fn client(options: &FetchOptions, user_agent: HeaderValue) -> Result<Client, Error> {
    if options.ignore_ssl_certificate {
        tracing::warn!("certificates are not checked: anybody on the way can read and replace what https URLs give");
    }
    let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("image/*, */*;q=0.5"))]);
    let builder = Client::builder()
        .user_agent(user_agent)
        .default_headers(accept)
        .redirect(redirect::Policy::none())
        // A proxy would look up names out of the guard's sight.
        .no_proxy()
        .referer(false)
        .dns_resolver(Names::new(&options.dns, options.guard))
        .connect_timeout(options.connect_timeout)
        .tls_danger_accept_invalid_certs(options.ignore_ssl_certificate)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW);
    builder.build().map_err(|e| Error::Worker { worker: "http client", reason: innermost(&e) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_is_forbidden_after_its_lookup() {
        let fetcher = Fetcher::new(FetchOptions::default()).unwrap();
        let mut share = super::super::ByteBudget::new(1000).reserve().await.unwrap();
        let (outcome, trace) = fetcher.fetch("http://localhost:1/", &mut share).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, FailureKind::ForbiddenAddress, "{failure}");
        assert_eq!((trace.attempts, trace.http_status), (1, None));
        assert_eq!(trace.final_url.unwrap().as_str(), "http://localhost:1/");
    }
}
