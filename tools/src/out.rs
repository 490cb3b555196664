//! Standard output. Whoever reads it may have had enough (`clipdata ls … | head -n 3`): a pipe that was closed is no fault
//! to tell of, and ends the program as the signal would that other programs get.

use std::fmt;
use std::io::{self, Write};

/// Nobody reads standard output any more.
#[derive(Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

/// Writes text as it is.
///
/// # Errors
/// When standard output cannot be written; [`Closed`] where it was closed.
pub fn text(text: &str) -> io::Result<()> {
    bytes(text.as_bytes())
}

/// Writes text and the end of its line.
///
/// # Errors
/// Those of [`text`].
pub fn line(text: &str) -> io::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes.
///
/// # Errors
/// Those of [`text`].
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(e.kind(), Closed),
        kind => io::Error::new(kind, format!("cannot write to standard output: {e}")),
    })
}

/// Writes text to standard error. That nobody hears it, or that there is no room for it, is no reason to stop.
pub fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a line to standard error, as [`out::tell`](crate::out::tell); takes what `format!` takes.
#[macro_export]
macro_rules! note {
    ($($text:tt)*) => {
        $crate::out::tell(&format!("{}\n", format_args!($($text)*)))
    };
}

/// Whether an error comes from [`Closed`].
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.is::<Closed>() || io.is_some_and(|inner| inner.is::<Closed>())
    })
}

/// Foreign text for a terminal: control characters, which it would act on, as escapes.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_told_from_other_broken_ones() {
        let closed = io::Error::new(io::ErrorKind::BrokenPipe, Closed);
        assert!(is_closed(&anyhow::Error::new(closed).context("while listing")));
        let other = io::Error::new(io::ErrorKind::BrokenPipe, "the command's input");
        assert!(!is_closed(&anyhow::Error::new(other)));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(visible("a\u{1b}[31m\tb\u{9b}é"), "a\\u{1b}[31m\\tb\\u{9b}é");
    }
}
