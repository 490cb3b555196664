//! Claims: of two processes that write the same shard, one does, and the other lets it.
//!
//! On a disk a claim is a locked file `NAME.claim`; the lock goes with its process, however that ends. On S3 it is an
//! object that is put only where there is none, and again every few minutes; one older than [`STALE`] belongs to a
//! process that is gone.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::s3;
use crate::error::{Error, Result};

/// More than clocks may differ, of which S3 allows a quarter of an hour.
pub(super) const STALE: Duration = Duration::from_secs(20 * 60);

/// Often enough that a few tries may fail.
const RENEWED_EVERY: Duration = Duration::from_secs(4 * 60);

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
        renewal: Option<Repeating>,
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
        match &mut self.0 {
            Held::Nothing => {}
            Held::File { path, file } => {
                // Removed while locked, so that nobody locks a file that is about to lose its name.
                let _ = fs::remove_file(path);
                let _ = file.unlock();
            }
            Held::Object { bucket, key, token, renewal } => {
                drop(renewal.take());
                if let Err(error) = s3::delete_own(bucket, key, token) {
                    tracing::warn!("the claim is left behind, others wait 20 minutes for it: {error}");
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
    Ok(claimed.then(|| held(bucket, key, token)))
}

fn held(bucket: &str, key: String, token: String) -> Claim {
    let (bucket, own) = (bucket.to_owned(), (bucket.to_owned(), key.clone(), token.clone()));
    let renew = move || match s3::renew(&own.0, &own.1, &own.2) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the claim `s3://{}/{}` was taken over by another run", own.0, own.1),
        Err(error) => tracing::warn!("the claim cannot be renewed: {error}"),
    };
    let renewal = Repeating::start(RENEWED_EVERY, renew);
    let renewal = renewal.inspect_err(|error| tracing::warn!("the claim is not renewed: {error}")).ok();
    Claim(Held::Object { bucket, key, token, renewal })
}

/// Does something again and again, until it is dropped.
#[derive(Debug)]
struct Repeating {
    /// Dropped to stop.
    running: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeating {
    fn start(every: Duration, mut act: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        let (running, stopped) = mpsc::channel::<()>();
        let repeat = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                act();
            }
        };
        let thread = thread::Builder::new().name("claim".into()).spawn(repeat)?;
        Ok(Self { running: Some(running), thread: Some(thread) })
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // Its panic changes nothing for whoever holds the claim.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_ends_with_its_owner() {
        let (sender, calls) = mpsc::channel();
        let repeating = Repeating::start(Duration::from_millis(1), move || _ = sender.send(())).unwrap();
        for _ in 0..3 {
            calls.recv().unwrap();
        }
        drop(repeating);
        let waiting = calls.try_iter().count();
        assert_eq!(calls.try_recv(), Err(mpsc::TryRecvError::Disconnected), "{waiting} calls, and its owner is gone");
    }

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
