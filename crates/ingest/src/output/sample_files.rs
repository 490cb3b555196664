//! Samples as files of a folder: made under another name, and renamed when all are there.

use std::fs;
use std::path::PathBuf;

use shards::Field;
use shards::key::SampleKey;
use shards::store::Folder;
use shards::store::local::StagedFolder;

use crate::error::{Error, Result};

/// The files of one shard's samples.
pub(super) struct SampleFiles {
    target: Target,
}

enum Target {
    /// Renamed as a whole.
    Staged(StagedFolder),
    /// Where nothing can be renamed, the shard's summary says that all files are there.
    Direct { folder: Folder, name: String },
}

/// What is done about samples that are there already, where they cannot be replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// A try that was cut off left them, and they may be none this time.
    Deleted,
    /// Most of them are written again as they are.
    Overwritten,
}

impl SampleFiles {
    /// Starts the folder `name` within `folder`.
    pub(super) fn create(folder: &Folder, name: &str, leftovers: Leftovers) -> Result<Self> {
        let target = match folder.local_path() {
            Some(path) => Target::Staged(StagedFolder::create(&path.join(name))?),
            None => {
                if leftovers == Leftovers::Deleted {
                    folder.delete(name)?;
                }
                Target::Direct { folder: folder.clone(), name: name.to_owned() }
            }
        };
        Ok(Self { target })
    }

    /// Writes a file for each of a sample's fields.
    pub(super) fn write(&self, key: &SampleKey, fields: &[Field]) -> Result<()> {
        for field in fields {
            let file = format!("{key}.{}", field.extension);
            match &self.target {
                Target::Staged(staged) => {
                    let path: PathBuf = staged.contents().join(&file);
                    fs::write(&path, &field.bytes).map_err(Error::io("write", &path))?;
                }
                Target::Direct { folder, name } => folder.write(&format!("{name}/{file}"), &field.bytes)?,
            }
        }
        Ok(())
    }

    /// Gives the folder its name.
    pub(super) fn seal(self) -> Result<()> {
        match self.target {
            Target::Staged(staged) => Ok(staged.seal()?),
            Target::Direct { .. } => Ok(()),
        }
    }
}
