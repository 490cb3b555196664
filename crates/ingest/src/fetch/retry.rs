//! Whether a failure is worth another attempt, and how long to wait for it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use url::Url;

use crate::failure::FailureKind;

/// The first wait, doubled from one to the next.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait that is not asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The longest wait that a server may ask for with `Retry-After`; what asks for hours is not waited for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Whether the same URL may end in another way a moment later.
pub fn may_change(kind: FailureKind) -> bool {
    use FailureKind::{Connect, Dns, HttpStatus, Timeout, TruncatedBody};
    matches!(kind, Timeout | Connect | Dns | TruncatedBody | HttpStatus(429 | 500 | 502 | 503 | 504))
}

/// The wait after attempt number `attempt`, from 1: exponential, at least what the server asked for, and shortened by up
/// to half in a way that differs from URL to URL, so that rows that failed together do not come back together.
pub fn wait(url: &Url, attempt: u32, asked_for: Option<Duration>) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let own = doubled.min(LONGEST_WAIT).mul_f64(1.0 - jitter(url, attempt) / 2.0);
    own.max(asked_for.unwrap_or_default())
}

/// From 0 to 1, the same in every run.
fn jitter(url: &Url, attempt: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (url.as_str(), attempt).hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

/// The wait that `Retry-After` asks for, in seconds or as a date, up to a minute.
pub fn asked_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn only_what_may_change_is_tried_again() {
        use FailureKind::{BadUrl, Connect, Dns, ForbiddenAddress, HttpStatus, NotAnImage, OptOut, Redirect};
        use FailureKind::{Timeout, TooLarge, TruncatedBody};
        for kind in [Timeout, Connect, Dns, TruncatedBody, HttpStatus(429), HttpStatus(500), HttpStatus(504)] {
            assert!(may_change(kind), "{kind}");
        }
        for kind in [BadUrl, ForbiddenAddress, NotAnImage, OptOut, Redirect, TooLarge] {
            assert!(!may_change(kind), "{kind}");
        }
        for status in [400, 401, 403, 404, 410, 451, 501] {
            assert!(!may_change(HttpStatus(status)), "{status}");
        }
    }

    #[test]
    fn waits_double_differ_and_are_the_same_in_every_run() {
        let urls: Vec<_> = (0..50).map(|i| Url::parse(&format!("http://a/{i}")).unwrap()).collect();
        for (attempt, longest) in [(1, 500), (2, 1000), (3, 2000), (7, 30_000), (1000, 30_000)] {
            let mut waits: Vec<_> = urls.iter().map(|url| wait(url, attempt, None).as_millis()).collect();
            assert_eq!(waits, urls.iter().map(|url| wait(url, attempt, None).as_millis()).collect::<Vec<_>>());
            assert!(waits.iter().all(|wait| (longest / 2..=longest).contains(wait)), "{waits:?}");
            waits.sort_unstable();
            waits.dedup();
            assert!(waits.len() > 25, "{waits:?}");
        }
    }

    #[test]
    fn what_the_server_asks_for_is_the_least_wait() {
        let url = Url::parse("http://a/").unwrap();
        assert_eq!(wait(&url, 1, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert!(wait(&url, 5, Some(Duration::from_secs(1))) > Duration::from_secs(3));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_up_to_a_minute() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let asked = |text: &'static str| {
            asked_for(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]), now)
                .map(|wait| wait.as_secs())
        };
        assert_eq!(asked("3"), Some(3));
        assert_eq!(asked("86400"), Some(60));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked_for(&HeaderMap::new(), now), None);
    }
}
