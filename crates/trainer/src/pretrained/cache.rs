//! The hub's cache on the disk, in the layout of Python's huggingface_hub: `models--ORG--NAME/` with `blobs/` by their ETag,
//! `snapshots/COMMIT/` with links into them, and `refs/main` with the commit.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A repository's part of the cache.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// The part of `ORG/NAME`.
    ///
    /// # Errors
    /// For a name that is none: it would lead out of the cache.
    pub fn new(cache: &Path, name: &str) -> Result<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        if !(1..=2).contains(&parts.len()) || !parts.iter().all(|part| is_plain(part)) {
            let reason = format!("expected the name of a repository such as ORG/NAME, got `{name}`");
            return Err(Error::Config { option: "--pretrained", reason });
        }
        Ok(Self { folder: cache.join(format!("models--{}", parts.join("--"))) })
    }

    /// The newest version of a file that is here.
    pub fn find(&self, file: &str) -> Option<PathBuf> {
        let commit = fs::read_to_string(self.folder.join("refs/main")).ok()?;
        let commit = Some(commit.trim()).filter(|commit| is_plain(commit))?;
        Some(self.folder.join("snapshots").join(commit).join(file)).filter(|path| path.is_file())
    }

    /// Where a blob is, and where it grows while it comes.
    pub fn blob(&self, etag: &str) -> Result<(PathBuf, PathBuf)> {
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
        Ok((blobs.join(etag), blobs.join(format!("{etag}.incomplete"))))
    }

    /// Makes a blob the newest version of a file; returns the file.
    pub fn publish(&self, blob: &Path, commit: &str, file: &str) -> Result<PathBuf> {
        let snapshot = self.folder.join("snapshots").join(commit);
        let refs = self.folder.join("refs");
        for folder in [&snapshot, &refs] {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let path = snapshot.join(file);
        let _ = fs::remove_file(&path);
        link(blob, &path).map_err(Error::io("create", &path))?;
        let (main, open) = (refs.join("main"), refs.join(format!("main.{}", std::process::id())));
        fs::write(&open, commit).map_err(Error::io("write", &open))?;
        fs::rename(&open, &main).map_err(Error::io("rename", &open))?;
        Ok(path)
    }
}

/// A link to `../../blobs/ETAG`; a copy where the file system has no links.
fn link(blob: &Path, path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let etag = blob.file_name().unwrap_or_default();
        let linked = std::os::unix::fs::symlink(Path::new("../../blobs").join(etag), path);
        if linked.is_ok() {
            return linked;
        }
    }
    fs::copy(blob, path).map(drop)
}

/// Whether a name is one part of a path and nothing else.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::Repository;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let cache = std::path::Path::new("cache");
        for name in ["../x", "a/b/c", "", "a//b", "/a", "a/..", "a b/c"] {
            assert!(Repository::new(cache, name).is_err(), "{name}");
        }
        assert!(Repository::new(cache, "timm/vit_base_patch32_clip_224.openai").is_ok());
    }
}
