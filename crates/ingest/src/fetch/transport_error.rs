//! What the HTTP client's errors mean for a row.

use std::error::Error as StdError;

use super::address_guard::{ForbiddenHost, UnknownHost};
use crate::failure::{FailureKind, SampleFailure};

/// The failure of a request whose deadline passed.
pub fn timed_out() -> SampleFailure {
    SampleFailure::new(FailureKind::Timeout, "the deadline passed")
}

/// The failure of a request to which nothing came for too long.
pub fn no_byte() -> SampleFailure {
    SampleFailure::new(FailureKind::Timeout, "no byte came in time")
}

/// What `error`, met before or within an answer, means for the row.
pub fn request_failure(error: &reqwest::Error) -> SampleFailure {
    let kind = if let Some(forbidden) = cause::<ForbiddenHost>(error) {
        return SampleFailure::new(FailureKind::ForbiddenAddress, forbidden.to_string());
    } else if let Some(unknown) = cause::<UnknownHost>(error) {
        return SampleFailure::new(FailureKind::Dns, unknown.to_string());
    } else if error.is_timeout() {
        return SampleFailure::new(FailureKind::Timeout, "no connection came in time");
    } else if error.is_connect() {
        FailureKind::Connect
    } else if error.is_builder() {
        // The URL itself was taken, so it is the answer's `Location` that no request can be built from.
        FailureKind::Redirect
    } else {
        FailureKind::Protocol
    };
    SampleFailure::new(kind, innermost(error))
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
pub fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}
