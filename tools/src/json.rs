//! `--json`: JSON Lines on standard output, one `{"type": …, "data": …}` a line.

use serde::Serialize;

use crate::out;

/// Writes one line.
///
/// # Errors
/// When standard output cannot be written, a closed pipe among the reasons.
pub fn line(kind: &str, data: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string(&serde_json::json!({ "type": kind, "data": data }))?;
    out::line(&text)
}
