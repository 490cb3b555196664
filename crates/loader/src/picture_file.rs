//! Pictures that are files of their own, in folders that may hold anything.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// As large as a member of a shard may be.
const MOST_BYTES: u64 = 1 << 30;

/// The bytes of a picture's file.
///
/// # Errors
/// When it cannot be read, is no file (one end of a pipe would be waited for), or is larger than any picture.
pub fn read_picture(path: &Path) -> io::Result<Vec<u8>> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "expected a file"));
    }
    if about.len() > MOST_BYTES {
        let reason = format!("expected at most {MOST_BYTES} bytes, got {}", about.len());
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    std::fs::read(path)
}

/// Folders that were gone into: links may lead back to one.
#[derive(Debug, Default)]
pub struct Visited(HashSet<PathBuf>);

impl Visited {
    /// Whether `folder` is met for the first time, under whatever name.
    pub fn is_new(&mut self, folder: &Path) -> bool {
        self.0.insert(std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_and_folders_are_met_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), b"x").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        assert_eq!(read_picture(&folder.path().join("a.jpg")).unwrap(), b"x");
        assert!(read_picture(folder.path()).unwrap_err().to_string().contains("expected a file"));
        let sparse = std::fs::File::create(folder.path().join("large.jpg")).unwrap();
        sparse.set_len(MOST_BYTES + 1).unwrap();
        assert!(read_picture(&folder.path().join("large.jpg")).unwrap_err().to_string().contains("got 1073741825"));
        let mut visited = Visited::default();
        assert!(visited.is_new(folder.path()) && !visited.is_new(&folder.path().join("again")));
    }
}
