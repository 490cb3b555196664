//! Copies of shards from far away on this machine's disk.
//!
//! A copy is kept under a hash of the whole address, the mark by which its server knows its state, and its length, so that
//! a shard that has changed is another one. It gets its name once all of it is there. Format: the shard's bytes, then
//! `CRC1` and their CRC-32 (4 bytes, the lowest first), which is checked whenever the copy is read to its end. Copies that
//! were used least recently go first when there is no more room.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Crc;
use sha2::{Digest, Sha256};

use super::local::AtomicFile;
use super::{http, s3};
use crate::error::{Error, Result};
use crate::uri::ShardUri;

const ENDING: &str = "shard";
const MARK: &[u8; 4] = b"CRC1";
const TRAILER_BYTES: u64 = 8;

/// A folder of copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    max_bytes: u64,
}

impl Cache {
    /// Copies in `folder`, which is created, of `max_bytes` together.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn new(folder: &Path, max_bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        Ok(Self { folder: folder.to_path_buf(), max_bytes })
    }

    /// Opens the bytes at `uri`, from the disk where they are there, else from afar, in which case a copy is kept. Files of
    /// this machine, commands, and servers that give no mark are not copied.
    ///
    /// # Errors
    /// Those of [`super::open`], and when the disk cannot be read.
    pub fn open(&self, uri: &ShardUri) -> Result<Box<dyn Read + Send>> {
        let Some((mark, length)) = state(uri)? else { return super::open(uri) };
        if length.saturating_add(TRAILER_BYTES) > self.max_bytes {
            return super::open(uri);
        }
        let path = self.folder.join(name(uri, &mark, length));
        if let Some(copy) = Copy::open(&path, length)? {
            return Ok(Box::new(copy));
        }
        let file = match AtomicFile::create(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!("no copy of `{uri}` is kept: {error}");
                None
            }
        };
        let source = super::open(uri)?;
        Ok(Box::new(Filling { source, file, crc: Crc::new(), length, cache: self.clone() }))
    }

    /// Removes what was used least recently until all fits.
    fn make_room(&self) -> io::Result<()> {
        let mut copies = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|ending| ending == ENDING) {
                let about = entry.metadata()?;
                copies.push((about.modified()?, about.len(), entry.path()));
            }
        }
        copies.sort();
        let mut bytes: u64 = copies.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in copies {
            if bytes <= self.max_bytes {
                break;
            }
            remove(&path)?;
            bytes -= length;
        }
        Ok(())
    }
}

/// The mark of what is at `uri`, and its length; `None` where copies would be of no use.
pub(super) fn state(uri: &ShardUri) -> Result<Option<(String, u64)>> {
    match uri {
        ShardUri::Http(url) => http::state(url),
        ShardUri::S3 { bucket, key } => {
            let Some(head) = s3::head(bucket, key)? else {
                return Err(s3::failed(bucket, key, "there is no such object".into()));
            };
            let length = head.content_length.and_then(|length| u64::try_from(length).ok());
            Ok(head.e_tag.zip(length))
        }
        ShardUri::Local(_) | ShardUri::Pipe(_) => Ok(None),
    }
}

fn name(uri: &ShardUri, mark: &str, length: u64) -> String {
    let hash = Sha256::digest(format!("{uri}\n{mark}\n{length}"));
    let hex: String = hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.{ENDING}")
}

/// Another process may have been first.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A copy being read.
struct Copy {
    path: PathBuf,
    content: Take<File>,
    crc: Crc,
    expected: u32,
}

impl Copy {
    /// `None` where there is none, or one that is not whole, which is removed.
    fn open(path: &Path, length: u64) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io("open", path))?,
        };
        let Some(expected) = trailer(&file, length).map_err(Error::io("read", path))? else {
            remove(path).map_err(Error::io("remove", path))?;
            return Ok(None);
        };
        // Only the order in which copies go depends on it.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(Self { path: path.to_path_buf(), content: file.take(length), crc: Crc::new(), expected }))
    }
}

/// The sum at the end of a file of `length` bytes and a trailer; the file is then at its start.
fn trailer(mut file: &File, length: u64) -> io::Result<Option<u32>> {
    if file.metadata()?.len() != length + TRAILER_BYTES {
        return Ok(None);
    }
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.seek(SeekFrom::Start(length))?;
    file.read_exact(&mut trailer)?;
    file.rewind()?;
    let sum = trailer.last_chunk::<4>().map(|sum| u32::from_le_bytes(*sum));
    Ok(sum.filter(|_| trailer.starts_with(MARK)))
}

impl Read for Copy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.crc.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && (self.content.limit() > 0 || self.crc.sum() != self.expected) {
            remove(&self.path)?;
            return Err(io::Error::other(format!("its copy `{}` was damaged, and is removed", self.path.display())));
        }
        Ok(count)
    }
}

/// A shard that is copied while it is read.
struct Filling {
    source: Box<dyn Read + Send>,
    /// `None` once the disk has refused, or the copy is sealed.
    file: Option<AtomicFile>,
    crc: Crc,
    length: u64,
    cache: Cache,
}

impl Filling {
    fn keep(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        self.crc.update(bytes);
        if let Err(error) = file.write_all(bytes) {
            tracing::warn!("no copy `{}` is kept: {error}", file.path().display());
            self.file = None;
        }
    }

    /// Reading goes on without a copy where this fails.
    fn seal(&mut self) {
        let Some(mut file) = self.file.take() else { return };
        if u64::from(self.crc.amount()) != self.length & u64::from(u32::MAX) {
            return;
        }
        let path = file.path().to_path_buf();
        let sealed = file
            .write_all(&[&MARK[..], &self.crc.sum().to_le_bytes()].concat())
            .map_err(Error::io("write", &path))
            .and_then(|()| file.seal())
            .and_then(|()| self.cache.make_room().map_err(Error::io("make room in", &self.cache.folder)));
        if let Err(error) = sealed {
            tracing::warn!("no copy is kept: {error}");
        }
    }
}

impl Read for Filling {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if count > 0 {
            self.keep(&buffer[..count]);
        } else if !buffer.is_empty() {
            self.seal();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use support::{Behaviour, Server};

    fn shard(tag: &str) -> Behaviour {
        Behaviour::OkWith(vec![7; 5000], vec![("etag", tag.to_owned())])
    }

    fn read(cache: &Cache, uri: &ShardUri) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        cache.open(uri).unwrap().read_to_end(&mut bytes).map(|_| bytes)
    }

    fn copies(cache: &Cache) -> Vec<PathBuf> {
        fs::read_dir(&cache.folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_shard_is_fetched_once_while_it_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("new"), 100_000).unwrap();
        let server = Server::start([("/a/0.tar", shard("\"1\"")), ("/b/0.tar", shard("\"1\""))]);
        let uri = |folder: &str| ShardUri::Http(server.url(&format!("/{folder}/0.tar")));
        let bodies = || server.requests().iter().filter(|request| request.method == "GET").count();
        for expected in [1, 1] {
            assert_eq!(read(&cache, &uri("a")).unwrap(), [7; 5000]);
            assert_eq!(bodies(), expected);
        }
        assert_eq!(read(&cache, &uri("b")).unwrap(), [7; 5000]);
        assert_eq!((bodies(), copies(&cache).len()), (2, 2), "one name in two folders is two shards");
        server.route("/a/0.tar", shard("\"2\""));
        let _ = read(&cache, &uri("a"));
        assert_eq!(bodies(), 3);
    }

    #[test]
    fn a_damaged_or_cut_copy_is_noticed_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 100_000).unwrap();
        let server = Server::start([("/0.tar", shard("\"1\""))]);
        let uri = ShardUri::Http(server.url("/0.tar"));
        let _ = read(&cache, &uri).unwrap();
        let copy = copies(&cache).pop().unwrap();
        let mut bytes = fs::read(&copy).unwrap();
        bytes[2500] ^= 1;
        fs::write(&copy, &bytes).unwrap();
        assert!(read(&cache, &uri).unwrap_err().to_string().contains("damaged"));
        assert_eq!(read(&cache, &uri).unwrap(), [7; 5000]);
        fs::write(&copy, &bytes[..3000]).unwrap();
        assert_eq!(read(&cache, &uri).unwrap(), [7; 5000]);
    }

    #[test]
    fn what_is_read_in_part_leaves_no_copy_and_the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 12_000).unwrap();
        let routes = (0..3).map(|shard_id| (format!("/{shard_id}.tar"), shard("\"1\"")));
        let server = Server::start(routes);
        let uri = |shard: usize| ShardUri::Http(server.url(&format!("/{shard}.tar")));
        let mut start = [0; 100];
        cache.open(&uri(0)).unwrap().read_exact(&mut start).unwrap();
        assert!(copies(&cache).is_empty());
        for shard in 0..3 {
            let _ = read(&cache, &uri(shard)).unwrap();
        }
        assert_eq!(copies(&cache).len(), 2);
        assert!(!folder.path().join(name(&uri(0), "\"1\"", 5000)).exists());
    }
}
