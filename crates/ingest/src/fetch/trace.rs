//! What is known of a row's download, however it ended.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use url::Url;

/// Longest media type that is kept; registered ones are shorter.
const MAX_MIME_CHARS: usize = 100;

/// What happened on the way to a body or to a failure. Of several attempts, all but their number and time is the last one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Times that the URL was asked for; 0 when it was refused before.
    pub attempts: u32,
    /// Time of all attempts; waiting for a place or for the next attempt left out.
    pub elapsed: Duration,
    /// The URL that was asked last, behind all redirects.
    pub final_url: Option<Url>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// The media type that the server claims, in lower case, without parameters.
    pub mime: Option<String>,
    /// Bytes of the body that arrived, decompressed.
    pub bytes: Option<u64>,
}

impl Trace {
    /// Counts an attempt and forgets what the one before it met.
    pub(super) fn begin(&mut self) {
        *self = Self { attempts: self.attempts + 1, elapsed: self.elapsed, ..Self::default() };
    }

    /// Notes the media type of an answer.
    pub(super) fn note_mime(&mut self, headers: &HeaderMap) {
        let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim();
        let mime: String = essence.chars().take(MAX_MIME_CHARS).collect();
        self.mime = Some(mime.to_ascii_lowercase()).filter(|mime| !mime.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_media_type_is_kept_without_parameters() {
        let mut trace = Trace::default();
        trace.note_mime(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("Image/JPEG; q=1"))]));
        assert_eq!(trace.mime.as_deref(), Some("image/jpeg"));
        trace.note_mime(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(" ; "))]));
        assert_eq!(trace.mime, None);
    }

    #[test]
    fn an_attempt_forgets_the_one_before_but_not_its_time() {
        let elapsed = Duration::from_secs(1);
        let mut trace = Trace { attempts: 1, elapsed, http_status: Some(503), bytes: Some(1), ..Trace::default() };
        trace.begin();
        assert_eq!(trace, Trace { attempts: 2, elapsed, ..Trace::default() });
    }
}
