//! The checkpoint that a run goes on from.

use std::fs;
use std::path::{Path, PathBuf};

use super::{STATE, state};
use crate::error::{Error, Result};

/// The link to the newest checkpoint that `--save-most-recent` keeps.
pub const LATEST: &str = "epoch_latest";

/// The whole checkpoint of `folder` with the most steps; `None` where there is none, or no such folder.
///
/// # Errors
/// When the folder cannot be listed.
pub fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.exists() {
        return Ok(None);
    }
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let mut best = None;
    for entry in entries {
        let path = entry.map_err(Error::io("list", folder))?.path();
        // What was being written or removed when a run was killed, and the link, which is one of the others.
        let is_passing = path.extension().is_some_and(|extension| extension == "tmp") || path.is_symlink();
        if is_passing || !path.join(STATE).is_file() {
            continue;
        }
        match state(&path) {
            Ok(state) if best.as_ref().is_none_or(|(steps, _)| *steps < state.steps) => {
                best = Some((state.steps, path))
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("passed over: {error}"),
        }
    }
    Ok(best.map(|(_, path)| path))
}
