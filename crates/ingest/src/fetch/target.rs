//! From the text of a list to a URL that may be asked for.

use url::Url;

use super::address_guard::AddressGuard;
use crate::failure::{FailureKind, SampleFailure};

/// Longest URL that a server may redirect to: as long as what servers take, and kept with its row until the shard ends.
const MAX_URL_BYTES: usize = 8192;

/// Longest URL that HTTP's own parser takes.
const MAX_URI_BYTES: usize = 65_534;

/// Parses the text of a list. Spaces and characters beyond ASCII are percent-encoded,
/// international names written in ASCII.
///
/// # Errors
/// Failures `bad_url`, `scheme` and `forbidden_address`.
pub fn parse(text: &str, guard: AddressGuard) -> Result<Url, SampleFailure> {
    let url = Url::parse(text.trim())
        .map_err(|e| SampleFailure::new(FailureKind::BadUrl, format!("`{}` is no URL: {e}", shortened(text))))?;
    let length = url.as_str().len();
    if length > MAX_URI_BYTES {
        let message = format!("`{}` is {length} bytes long (expected at most {MAX_URI_BYTES})", shortened(text));
        return Err(SampleFailure::new(FailureKind::BadUrl, message));
    }
    vetted(url, guard)
}

/// Resolves the `Location` of a redirect.
///
/// # Errors
/// Failures `redirect`, `scheme` and `forbidden_address`.
pub fn follow(from: &Url, location: &str, guard: AddressGuard) -> Result<Url, SampleFailure> {
    let refused = |why: &str| {
        let message = format!("redirected to `{}`, which is {why}", shortened(location));
        SampleFailure::new(FailureKind::Redirect, message)
    };
    let url = from.join(location.trim()).map_err(|e| refused(&format!("no URL: {e}")))?;
    match url.as_str().len() {
        0..=MAX_URL_BYTES => vetted(url, guard),
        length => Err(refused(&format!("{length} bytes long (expected at most {MAX_URL_BYTES})"))),
    }
}

fn vetted(mut url: Url, guard: AddressGuard) -> Result<Url, SampleFailure> {
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("expected http or https, got `{}`", shortened(url.scheme()));
        return Err(SampleFailure::new(FailureKind::Scheme, message));
    }
    guard.check_literal(&url).map_err(|e| SampleFailure::new(FailureKind::ForbiddenAddress, e.to_string()))?;
    url.set_fragment(None);
    Ok(url)
}

/// Lists hold anything; a message holds the start of it.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, FailureKind> {
        parse(text, AddressGuard::PublicOnly).map(String::from).map_err(|failure| failure.kind)
    }

    #[test]
    fn spaces_and_other_scripts_are_encoded() {
        assert_eq!(parsed(" http://a.b/c d.jpg#top ").unwrap(), "http://a.b/c%20d.jpg");
        assert_eq!(parsed("http://a.b/caf\u{e9}.jpg").unwrap(), "http://a.b/caf%C3%A9.jpg");
        assert_eq!(parsed("HTTP://B\u{fc}cher.de/").unwrap(), "http://xn--bcher-kva.de/");
    }

    #[test]
    fn only_http_and_https_are_asked() {
        for text in ["file:///etc/passwd", "ftp://a/b", "data:image/png;base64,AA", "gopher://a/", "File:///x"] {
            assert_eq!(parsed(text), Err(FailureKind::Scheme), "{text}");
        }
        assert_eq!(parsed("not a url"), Err(FailureKind::BadUrl));
        assert_eq!(parsed("http://"), Err(FailureKind::BadUrl));
        assert_eq!(parsed(&format!("http://a.b/{}", "a".repeat(70_000))), Err(FailureKind::BadUrl));
        assert_eq!(parsed("http://169.254.169.254/latest"), Err(FailureKind::ForbiddenAddress));
    }

    #[test]
    fn redirects_are_vetted_like_urls() {
        let from = Url::parse("https://a.b/x/y.jpg").unwrap();
        let to = |location| follow(&from, location, AddressGuard::PublicOnly).map_err(|failure| failure.kind);
        assert_eq!(to("../z.jpg").unwrap().as_str(), "https://a.b/z.jpg");
        assert_eq!(to("//c.d/"), Ok(Url::parse("https://c.d/").unwrap()));
        assert_eq!(to("http://127.0.0.1/"), Err(FailureKind::ForbiddenAddress));
        assert_eq!(to("file:///etc/passwd"), Err(FailureKind::Scheme));
        assert_eq!(to(&format!("/{}", "a".repeat(MAX_URL_BYTES))), Err(FailureKind::Redirect));
    }
}
