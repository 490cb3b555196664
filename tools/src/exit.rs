//! How the binaries end: exit codes, and errors as people read them.

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::log::Warnings;
use crate::out;

/// What a shell shows of a program that the signal of a closed pipe ended, 128 + SIGPIPE.
const CLOSED: u8 = 141;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// The command ran, and the data it saw are bad.
    BadData,
    /// Stopped by the user, cleanly.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::BadData => ExitCode::from(1),
            Outcome::Interrupted => ExitCode::from(130),
        }
    }
}

/// An error with advice on what to do about it.
#[derive(Debug)]
pub struct Hint(pub String);

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is told where `RUST_LOG` does not say: warnings, without those of the S3 client about each place where it looks
/// for its configuration.
const QUIET: &str = "aws_config=off,aws_runtime=off,aws_smithy_runtime=off";

/// Sends the libraries' warnings to standard error; `RUST_LOG` says more or less.
pub fn start_logging() {
    start_logging_at("warn");
}

/// The same from another level on.
pub fn start_logging_at(level: &str) {
    let unless_told = |_| EnvFilter::from(format!("{level},{QUIET}"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(unless_told);
    // A line that cannot be written would be told by a macro that panics where standard error is closed.
    let shown = fmt::layer().with_target(false).without_time().log_internal_errors(false);
    let shown = shown.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let logged = fmt::layer()
        .with_target(false)
        .without_time()
        .log_internal_errors(false)
        .with_ansi(false)
        .with_writer(|| Warnings);
    tracing_subscriber::registry().with(filter).with(shown).with(logged).init();
    // Panics are caught and told as errors; where they happened is for whoever sets RUST_LOG.
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
}

/// Runs a command so that a fault of the program itself ends as an error, too.
///
/// # Errors
/// Those of `command`, and its panic.
pub fn guarded(command: impl FnOnce() -> anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(command)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let error = anyhow::anyhow!("a fault of this program: {}", text.unwrap_or("no reason given"));
        Err(error.context(Hint("RUST_LOG=debug shows where; a damaged input file may be the cause".to_owned())))
    })
}

/// Turns a command's result into an exit code, printing `error:`, `caused by:` and `hint:` once
/// on standard error. Failure and wrong usage are 2.
pub fn finish(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(outcome) => outcome.into(),
        // Whoever closed the pipe knows.
        Err(error) if out::is_closed(&error) => ExitCode::from(CLOSED),
        Err(error) => {
            out::tell(&describe(&error));
            ExitCode::from(2)
        }
    }
}

/// An error as people read it, in lines; what a terminal would act on is escaped, but for line ends.
pub fn describe(error: &anyhow::Error) -> String {
    let hint = error.downcast_ref::<Hint>().map(|hint| hint.0.clone());
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        let repeats = causes.last().is_some_and(|last| last.contains(&cause));
        if Some(&cause) != hint.as_ref() && !repeats {
            causes.push(cause);
        }
    }
    let mut lines = causes.into_iter();
    let mut text = format!("error: {}\n", lines.next().unwrap_or_default());
    text.extend(lines.map(|cause| format!("caused by: {cause}\n")));
    text.extend(hint.map(|hint| format!("hint: {hint}\n")));
    text.split('\n').map(out::visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_is_told_once_with_its_cause_and_hint() {
        let result: anyhow::Result<()> = Err(anyhow::anyhow!("no such column")).context("cannot read `a.tsv`");
        let error = result.context(Hint("try --url-col".to_owned())).unwrap_err();
        assert_eq!(describe(&error), "error: cannot read `a.tsv`\ncaused by: no such column\nhint: try --url-col\n");
    }
}
