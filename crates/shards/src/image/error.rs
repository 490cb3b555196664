//! Why a picture cannot be used. This is trouble with one sample: it is counted by kind.

use super::Format;

/// A picture cannot be decoded or encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The first bytes are those of none of the known formats.
    #[error("no known picture format (starts with {start})")]
    UnknownFormat {
        /// The first bytes, escaped.
        start: String,
    },
    /// The first bytes are those of a format that is not decoded.
    #[error("{name} pictures are not supported")]
    Unsupported {
        /// The format.
        name: &'static str,
    },
    /// The header announces more than the limits allow; nothing was decoded.
    #[error("picture of {width}x{height} is too large (at most {max_pixels} pixels, side at most {max_side})")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit on width times height.
        max_pixels: u64,
        /// The limit on each side.
        max_side: u32,
    },
    /// The bytes end before the picture does.
    #[error("{format} picture is cut short")]
    Truncated {
        /// The format its first bytes claim.
        format: Format,
    },
    /// The bytes break the rules of their format, or use a part of it that is not supported.
    #[error("{format} picture is malformed: {reason}")]
    Malformed {
        /// The format its first bytes claim.
        format: Format,
        /// The decoder's words.
        reason: String,
    },
    /// The encoder refused.
    #[error("picture cannot be encoded: {reason}")]
    Encode {
        /// The encoder's words.
        reason: String,
    },
}

impl ImageError {
    /// A stable name to count by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownFormat { .. } => "unknown_format",
            Self::Unsupported { .. } => "unsupported",
            Self::TooLarge { .. } => "too_large",
            Self::Truncated { .. } => "truncated",
            Self::Malformed { .. } => "malformed",
            Self::Encode { .. } => "encode",
        }
    }
}
