//! `--json`: JSON Lines on standard output, one `{"type": …, "data": …}` a line.

use std::io::Write;

use serde::Serialize;

/// Writes one line.
///
/// # Errors
/// When standard output cannot be written, a closed pipe among the reasons.
pub fn line(kind: &str, data: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string(&serde_json::json!({ "type": kind, "data": data }))?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
