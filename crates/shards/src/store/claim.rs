//! Claims: of two processes that write the same shard, one does, and the other lets it.
//!
//! On a disk a claim is a locked file `NAME.claim`; the lock goes with its process, however that ends. On S3 it is an
//! object that is put only where there is none; one older than [`STALE`] belongs to a process that is gone.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::s3;
use crate::error::{Error, Result};

/// Far longer than any shard takes.
pub(super) const STALE: Duration = Duration::from_secs(3600);

/// The right to write something, given back when dropped.
#[derive(Debug)]
pub struct Claim(Held);

#[derive(Debug)]
enum Held {
    Nothing,
    File {
        path: PathBuf,
        file: File,
    },
    /// The object holds the token.
    Object {
        bucket: String,
        key: String,
        token: String,
    },
}

impl Claim {
    /// Where nobody else can write.
    pub(super) fn unneeded() -> Self {
        Self(Held::Nothing)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        match &self.0 {
            Held::Nothing => {}
            Held::File { path, file } => {
                // Removed while locked, so that nobody locks a file that is about to lose its name.
                let _ = fs::remove_file(path);
                let _ = file.unlock();
            }
            Held::Object { bucket, key, token } => {
                if let Err(error) = s3::delete_own(bucket, key, token) {
                    tracing::warn!("the claim is left behind, others wait an hour for it: {error}");
                }
            }
        }
    }
}

/// Locks `NAME.claim` in `folder`.
pub(super) fn on_disk(folder: &Path, name: &str) -> Result<Option<Claim>> {
    let path = folder.join(format!("{name}.claim"));
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // File systems without locks have one writer at a time, by the manual.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        // Whoever held it may have removed the name between opening and locking.
        if is_same_file(&file, &path) {
            return Ok(Some(Claim(Held::File { path, file })));
        }
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Puts `KEY.claim` where there is none, or a stale one.
pub(super) fn on_s3(bucket: &str, key: &str) -> Result<Option<Claim>> {
    let key = format!("{key}.claim");
    let token = s3::token();
    let claimed = s3::put_new(bucket, &key, &token)? || s3::replace_older(bucket, &key, &token, STALE)?;
    Ok(claimed.then(|| Claim(Held::Object { bucket: bucket.into(), key, token })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_given_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let claim = on_disk(folder.path(), "00000").unwrap().unwrap();
        assert!(on_disk(folder.path(), "00000").unwrap().is_none());
        assert!(on_disk(folder.path(), "00001").unwrap().is_some());
        drop(claim);
        assert!(on_disk(folder.path(), "00000").unwrap().is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
