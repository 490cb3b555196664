//! Files on local disks: a file appears under its name whole or not at all.
//!
//! The content goes to `NAME.tmp-<process>-<number>` beside the target; sealing flushes it to
//! the disk, renames it and flushes the folder. What a killed run leaves behind never carries
//! the final name; [`remove_leftovers`] clears it. A full disk is waited for, a little.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::remote::{block_on, patience};
use crate::error::{Error, Result};

/// What separates a file's name from the part that names the run writing it.
const TEMPORARY: &str = ".tmp-";

/// Seconds of pause before a full disk is tried again.
const FULL_DISK_PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

/// Large enough that a shard is written in few system calls.
const BUFFER_BYTES: usize = 1 << 18;

/// What tells one state of a file from another: its length, and when it changed last in nanoseconds since 1970.
///
/// # Errors
/// When there is no such file.
pub fn state(path: &Path) -> Result<String> {
    let about = fs::metadata(path).map_err(Error::io("look at", path))?;
    let changed = about.modified().map_err(Error::io("look at", path))?;
    let since_1970 = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}", about.len(), since_1970.as_nanos()))
}

/// Why a file cannot be read as a small one: it is none, or has more bytes than `most`. `None` where it can, or is not there.
pub(super) fn small(path: &Path, most: u64) -> Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
        Ok(about) if !about.is_file() => Ok(Some("expected a file".to_owned())),
        Ok(about) if about.len() > most => Ok(Some(format!("expected at most {most} bytes, got {}", about.len()))),
        Ok(_) => Ok(None),
    }
}

/// A file that gets its name only when it is sealed; dropped unsealed, it vanishes.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once sealed.
    file: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Starts a file that will be called `path`.
    ///
    /// # Errors
    /// When the folder does not take a new file.
    pub fn create(path: &Path) -> Result<Self> {
        let temporary = temporary_beside(path);
        let file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
        let file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { path: path.to_path_buf(), temporary, file })
    }

    /// The name the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the content durable and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// When the disk refuses; the target is then as it was.
    pub fn seal(mut self) -> Result<()> {
        let Some(buffered) = self.file.take() else { return Ok(()) };
        let sealed = self.write_through(buffered);
        if sealed.is_err() {
            // The first trouble is the one to tell; a leftover is cleared by the next run.
            let _ = fs::remove_file(&self.temporary);
        }
        sealed
    }

    fn write_through(&self, buffered: BufWriter<File>) -> Result<()> {
        let mut buffered = buffered;
        patiently(&self.temporary, || buffered.flush()).map_err(Error::io("write", &self.temporary))?;
        let file = buffered.into_inner().map_err(|e| Error::io("write", &self.temporary)(e.into_error()))?;
        file.sync_all().map_err(Error::io("flush", &self.temporary))?;
        drop(file);
        fs::rename(&self.temporary, &self.path).map_err(Error::io("rename to", &self.path))?;
        sync_folder(folder_of(&self.path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        patiently(&self.temporary, || file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(buffered) = self.file.take() {
            // What is still buffered must not be written to a file about to vanish.
            let (file, _) = buffered.into_parts();
            drop(file);
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Tries again while the disk is full, for half a minute: whoever runs long downloads makes room when told to. Not once
/// the process is told to end.
fn patiently<T>(path: &Path, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for pause in FULL_DISK_PAUSES {
        match write() {
            Err(error) if is_full(&error) => {
                tracing::warn!("no room for `{}`: trying again in {pause} s ({error})", path.display());
                if !block_on(patience::pause(Duration::from_secs(pause)))? {
                    return Err(error);
                }
            }
            written => return written,
        }
    }
    write()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A folder that gets its name only when it is sealed; dropped unsealed, it vanishes.
#[derive(Debug)]
pub struct StagedFolder {
    path: PathBuf,
    temporary: PathBuf,
}

impl StagedFolder {
    /// Starts a folder that will be called `path`.
    ///
    /// # Errors
    /// When the folder around it does not take a new one.
    pub fn create(path: &Path) -> Result<Self> {
        let temporary = temporary_beside(path);
        fs::create_dir(&temporary).map_err(Error::io("create", &temporary))?;
        Ok(Self { path: path.to_path_buf(), temporary })
    }

    /// Where its files are until then.
    pub fn contents(&self) -> &Path {
        &self.temporary
    }

    /// Makes its files durable and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn seal(self) -> Result<()> {
        sync_file_system(&self.temporary)?;
        match fs::rename(&self.temporary, &self.path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                exchange(&self.temporary, &self.path).map_err(Error::io("replace", &self.path))?;
            }
            renamed => renamed.map_err(Error::io("rename to", &self.path))?,
        }
        sync_folder(folder_of(&self.path))
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        // Once sealed, this is the name of nothing, or of the folder that was replaced.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Two folders get each other's name, in one step where the file system knows how: at no time is there none under either.
#[allow(unsafe_code)]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes());
        let (from, to) = (name(one)?, name(other)?);
        let (here, flags) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
        // SAFETY: both names are terminated and live until the call returns.
        if unsafe { libc::renameat2(here, from.as_ptr(), here, to.as_ptr(), flags) } == 0 {
            return Ok(());
        }
    }
    let aside = temporary_beside(other);
    fs::rename(other, &aside)?;
    fs::rename(one, other)?;
    fs::rename(aside, one)
}

/// One flush for ten thousand small files instead of one for each.
#[allow(unsafe_code)]
fn sync_file_system(folder: &Path) -> Result<()> {
    use std::os::fd::AsRawFd;
    let handle = File::open(folder).map_err(Error::io("flush", folder))?;
    // SAFETY: syncfs takes a descriptor, which is open for as long as `handle` lives.
    match unsafe { libc::syncfs(handle.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(Error::io("flush", folder)(io::Error::last_os_error())),
    }
}

/// Deletes what earlier runs left unsealed in `folder` of the files whose names begin with `name`; returns how many.
/// Call it only where no other process writes them.
///
/// # Errors
/// When the folder cannot be read or a leftover cannot be deleted.
pub fn remove_leftovers(folder: &Path, name: &str) -> Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let is_of_name = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        if is_of_name && is_leftover(&path) {
            let removal = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removal.map_err(Error::io("delete", &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let Some((_, run)) = name.rsplit_once(TEMPORARY) else { return false };
    !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_os_string();
    name.push(format!("{TEMPORARY}{}-{number}", std::process::id()));
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A rename is durable only when the folder's own entry is.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(Error::io("flush", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_only_once_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.tar");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!path.exists());
        file.seal().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["00000.tar"]);
    }

    #[test]
    fn a_dropped_file_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sizes.json");
        fs::write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["sizes.json"]);
    }

    #[test]
    fn leftovers_are_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["00000.tar.tmp-12-0", "00000.tar", "notes.tmp-x", "a.tmp-"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        assert_eq!(remove_leftovers(folder.path(), "00001").unwrap(), 0);
        assert_eq!(remove_leftovers(folder.path(), "00000").unwrap(), 1);
        assert_eq!(names(folder.path()), ["00000.tar", "a.tmp-", "notes.tmp-x"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = AtomicFile::create(&folder.path().join("no/x.tar")).unwrap_err().to_string();
        assert!(message.starts_with("cannot create") && message.contains("x.tar.tmp-"), "{message}");
    }
}
