//! Which checkpoints a run writes, and which of them it keeps.

use std::fs;
use std::path::{Path, PathBuf};

use loader::LoaderPosition;

use super::{LATEST, Moment, discard, named, remove, save, sync};
use crate::config::Saving;
use crate::error::{Error, Result};
use crate::step::Trainer;

/// The checkpoints of one run.
pub struct Keeper {
    folder: Option<PathBuf>,
    saving: Saving,
    /// Steps that the last checkpoint has, or the run began with.
    saved_steps: u64,
    /// Checkpoints that go once there is a later one.
    passing: Vec<PathBuf>,
}

impl Keeper {
    /// Keeps checkpoints in `folder`, which is made; `None` keeps nothing. What a killed run left half done is removed.
    ///
    /// # Errors
    /// When the folder cannot be made, or listed.
    pub fn new(folder: Option<PathBuf>, saving: Saving, steps: u64) -> Result<Self> {
        let mut passing = Vec::new();
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
                let path = entry.map_err(Error::io("list", folder))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.ends_with(".tmp") {
                    discard(&path)?;
                } else if name.starts_with("step_") {
                    passing.push(path);
                }
            }
        }
        Ok(Self { folder, saving, saved_steps: steps, passing })
    }

    /// Whether a checkpoint is written after `epoch` completed epochs of `epochs`.
    pub fn is_due(&self, epoch: u64, epochs: u64) -> bool {
        self.saving.most_recent || self.is_kept(epoch) || epoch == epochs
    }

    fn is_kept(&self, epoch: u64) -> bool {
        self.saving.frequency > 0 && epoch.is_multiple_of(self.saving.frequency)
    }

    /// Saves, and removes what this supersedes. Nothing is done where no step was taken since the last checkpoint, but for
    /// the end of an epoch.
    ///
    /// # Errors
    /// When the folder cannot be written; what was there stays.
    pub fn save(&mut self, trainer: &Trainer, position: &LoaderPosition, moment: &Moment) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = named(folder, moment, trainer.steps());
        if self.saved_steps == trainer.steps() && (moment.steps_in_epoch > 0 || path.exists() || trainer.steps() == 0) {
            return Ok(None);
        }
        save(trainer, position, moment, &path)?;
        if self.saving.most_recent {
            point_to(&folder.join(LATEST), &path)?;
        }
        self.saved_steps = trainer.steps();
        for old in self.passing.drain(..).filter(|old| *old != path) {
            remove(&old)?;
        }
        if moment.steps_in_epoch > 0 || self.saving.delete_previous || !self.is_kept(moment.epoch) {
            self.passing.push(path.clone());
        }
        Ok(Some(path))
    }
}

/// Replaces the link at once: it points to a whole checkpoint at any time.
fn point_to(link: &Path, checkpoint: &Path) -> Result<()> {
    let fresh = link.with_extension("tmp");
    discard(&fresh)?;
    let target = checkpoint.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(target, &fresh).map_err(Error::io("link", &fresh))?;
    fs::rename(&fresh, link).map_err(Error::io("rename", &fresh))?;
    link.parent().map_or(Ok(()), sync)
}
