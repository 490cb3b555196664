//! Why a row did not become a sample. Every reason has a stable name, counted in summaries and
//! reports, and a status in img2dataset's sense.

use std::fmt;

use shards::metadata::Status;

/// The reason in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FailureKind {
    /// The row of the list is unreadable.
    BadRow,
    /// The text is no URL.
    BadUrl,
    /// The URL's scheme is neither http nor https.
    Scheme,
    /// The address is one that public hosts do not have.
    ForbiddenAddress,
    /// The host has no address.
    Dns,
    /// No connection, TLS included.
    Connect,
    /// The whole request took longer than allowed.
    Timeout,
    /// Too many redirects, or one that leads nowhere.
    Redirect,
    /// The server does not answer in HTTP.
    Protocol,
    /// An answer other than 2xx.
    HttpStatus(u16),
    /// The server forbids the use of the picture (`X-Robots-Tag`).
    OptOut,
    /// The host's `robots.txt` disallows the URL.
    RobotsTxt,
    /// The body is larger than allowed.
    TooLarge,
    /// The connection ended within the body.
    TruncatedBody,
    /// The body cannot be decompressed.
    ContentEncoding,
    /// The body's hash is not the one that the list gives.
    HashMismatch,
    /// The body has no bytes.
    Empty,
    /// The body is no picture of a known format.
    NotAnImage,
    /// The body is a picture of a format that is not decoded.
    UnsupportedFormat,
    /// The picture ends early.
    TruncatedImage,
    /// The picture's content is damaged.
    Decode,
    /// The header announces more pixels than allowed, or than there is memory for.
    TooManyPixels,
    /// The smaller side is under `min_image_size`.
    TooSmall,
    /// The sides' ratio is over `max_aspect_ratio`.
    AspectRatio,
    /// The picture cannot be encoded.
    Encode,
    /// A fault of ours.
    Internal,
}

impl FailureKind {
    /// One of each kind, whatever its status.
    const ALL: [Self; 26] = [
        Self::BadRow,
        Self::BadUrl,
        Self::Scheme,
        Self::ForbiddenAddress,
        Self::Dns,
        Self::Connect,
        Self::Timeout,
        Self::Redirect,
        Self::Protocol,
        Self::HttpStatus(0),
        Self::OptOut,
        Self::RobotsTxt,
        Self::TooLarge,
        Self::TruncatedBody,
        Self::ContentEncoding,
        Self::HashMismatch,
        Self::Empty,
        Self::NotAnImage,
        Self::UnsupportedFormat,
        Self::TruncatedImage,
        Self::Decode,
        Self::TooManyPixels,
        Self::TooSmall,
        Self::AspectRatio,
        Self::Encode,
        Self::Internal,
    ];

    /// Names that rows can be chosen by, those of single HTTP statuses (`http_404`) left out.
    pub fn names() -> [&'static str; Self::ALL.len()] {
        Self::ALL.map(Self::column_name)
    }

    /// Whether a failure can have this name.
    pub fn is_name(name: &str) -> bool {
        let status = name.strip_prefix("http_").filter(|code| code.len() == 3);
        Self::names().contains(&name) || status.is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// The stable name, in snake case; HTTP statuses as `http_404`.
    pub fn name(self) -> String {
        match self {
            Self::HttpStatus(status) => format!("http_{status}"),
            other => other.column_name().to_string(),
        }
    }

    /// The full name of a kind as tables have it: with its number, where it is an HTTP status.
    pub fn full_name(column_name: &str, http_status: Option<u16>) -> String {
        match http_status.filter(|_| column_name == Self::HttpStatus(0).column_name()) {
            Some(status) => Self::HttpStatus(status).name(),
            None => column_name.to_owned(),
        }
    }

    /// The stable name without the number of an HTTP status, as the column `error_kind` has it.
    pub fn column_name(self) -> &'static str {
        match self {
            Self::BadRow => "bad_row",
            Self::BadUrl => "bad_url",
            Self::Scheme => "scheme",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::Protocol => "protocol",
            Self::HttpStatus(_) => "http_status",
            Self::OptOut => "opt_out",
            Self::RobotsTxt => "robots_txt",
            Self::TooLarge => "too_large",
            Self::TruncatedBody => "truncated_body",
            Self::ContentEncoding => "content_encoding",
            Self::HashMismatch => "hash_mismatch",
            Self::Empty => "empty",
            Self::NotAnImage => "not_an_image",
            Self::UnsupportedFormat => "unsupported_format",
            Self::TruncatedImage => "truncated_image",
            Self::Decode => "decode",
            Self::TooManyPixels => "too_many_pixels",
            Self::TooSmall => "too_small",
            Self::AspectRatio => "aspect_ratio",
            Self::Encode => "encode",
            Self::Internal => "internal",
        }
    }

    /// How img2dataset counts it: whatever happens once bytes could have arrived, an empty body
    /// included, is a failure to resize.
    pub fn status(self) -> Status {
        match self {
            Self::Empty
            | Self::NotAnImage
            | Self::UnsupportedFormat
            | Self::TruncatedImage
            | Self::Decode
            | Self::TooManyPixels
            | Self::TooSmall
            | Self::AspectRatio
            | Self::Encode
            | Self::Internal => Status::FailedToResize,
            _ => Status::FailedToDownload,
        }
    }

    /// The HTTP status, where that is the reason.
    pub fn http_status(self) -> Option<u16> {
        if let Self::HttpStatus(status) = self { Some(status) } else { None }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// The reason of one row: a kind to count, and words for whoever looks at the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleFailure {
    /// The reason.
    pub kind: FailureKind,
    /// What was expected and what came.
    pub message: String,
}

impl SampleFailure {
    /// A failure of `kind`, said in words.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for SampleFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_statuses_are_told_apart_by_name() {
        assert_eq!(FailureKind::HttpStatus(404).name(), "http_404");
        assert_eq!(FailureKind::HttpStatus(404).column_name(), "http_status");
        assert_eq!(FailureKind::TooManyPixels.name(), "too_many_pixels");
    }

    #[test]
    fn decode_trouble_counts_as_failed_to_resize() {
        assert_eq!(FailureKind::NotAnImage.status(), Status::FailedToResize);
        assert_eq!(FailureKind::Empty.status(), Status::FailedToResize);
        assert_eq!(FailureKind::HashMismatch.status(), Status::FailedToDownload);
        assert_eq!(FailureKind::BadRow.status(), Status::FailedToDownload);
        assert_eq!(FailureKind::TruncatedBody.status(), Status::FailedToDownload);
    }
}
