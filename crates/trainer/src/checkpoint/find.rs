//! The checkpoint that a run goes on from.

use std::fs;
use std::path::{Path, PathBuf};

use super::state;
use crate::error::{Error, Result};

/// The link to the newest checkpoint that `--save-most-recent` keeps.
pub const LATEST: &str = "epoch_latest";

/// The whole checkpoint of `folder` with the most steps; `None` where there is none, or no such folder.
///
/// # Errors
/// When the folder cannot be listed, and when it holds checkpoints but no whole one: a run that began anew would write over
/// them.
pub fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.exists() {
        return Ok(None);
    }
    let entries = fs::read_dir(folder).map_err(Error::io("list", folder))?;
    let (mut best, mut damaged) = (None, Vec::new());
    for entry in entries {
        let path = entry.map_err(Error::io("list", folder))?.path();
        // What was being written or removed when a run was killed, and the link, which is one of the others.
        let is_passing = path.extension().is_some_and(|extension| extension == "tmp") || path.is_symlink();
        if is_passing || !is_named_like_one(&path) {
            continue;
        }
        match state(&path) {
            Ok(state) if best.as_ref().is_none_or(|(steps, _)| *steps < state.steps) => {
                best = Some((state.steps, path))
            }
            Ok(_) => {}
            Err(error) => damaged.push(error),
        }
    }
    let fatal = if best.is_none() { damaged.pop() } else { None };
    damaged.iter().for_each(|error| tracing::warn!("passed over: {error}"));
    fatal.map_or(Ok(best.map(|(_, path)| path)), Err)
}

fn is_named_like_one(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.is_dir() && ["epoch_", "step_"].iter().any(|start| name.starts_with(start))
}
