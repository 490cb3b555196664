//! Writes one shard: a ustar file whose members are read-only, dated to the epoch and owned by
//! nobody in particular, so that equal samples give equal bytes. Members of a sample stand
//! together in the order given; two zero blocks end the file. Which samples share a shard is
//! the caller's choice.

use std::io::{self, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::error::{Error, Result};
use crate::key::SampleKey;
use crate::sample::Field;
use crate::store::OutputFile;
use crate::store::local::AtomicFile;

/// Mode, user and group as img2dataset's shards have them.
const MODE: u32 = 0o444;
const OWNER: &str = "bigdata";

/// What a sealed shard holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Samples.
    pub samples: u64,
    /// Bytes of the whole tar.
    pub bytes: u64,
}

/// A file that knows how long it is.
struct Counted {
    file: OutputFile,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A shard being written; it gets its name when [`sealed`](ShardWriter::seal), and vanishes
/// when dropped before.
pub struct ShardWriter {
    tar: Builder<Counted>,
    name: String,
    samples: u64,
    content_bytes: u64,
}

impl ShardWriter {
    /// Starts the shard `path` on this machine.
    ///
    /// # Errors
    /// When the folder does not take a new file.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self::new(OutputFile::Local(AtomicFile::create(path)?)))
    }

    /// A shard that goes to `file`.
    pub fn new(file: OutputFile) -> Self {
        let name = file.label();
        Self { tar: Builder::new(Counted { file, bytes: 0 }), name, samples: 0, content_bytes: 0 }
    }

    /// Appends the members of one sample, in the order of `fields`.
    ///
    /// # Errors
    /// When the disk refuses, or the key is no name that a tar can hold (absolute, with `..`,
    /// or with a zero byte).
    pub fn write(&mut self, key: &SampleKey, fields: &[Field]) -> Result<()> {
        for field in fields {
            self.append(key, field)?;
        }
        self.samples += 1;
        Ok(())
    }

    /// How many samples were written.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// How many bytes of content were written, headers and padding not counted.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Ends the tar and gives it its name; returns how much it holds.
    ///
    /// # Errors
    /// When the disk refuses; the shard then does not exist.
    pub fn seal(self) -> Result<Sealed> {
        let file = self.tar.into_inner().map_err(Error::io("write", Path::new(&self.name)))?;
        let sealed = Sealed { samples: self.samples, bytes: file.bytes };
        file.file.seal()?;
        Ok(sealed)
    }

    fn append(&mut self, key: &SampleKey, field: &Field) -> Result<()> {
        let member = format!("{key}.{}", field.extension);
        let mut header = header(field.bytes.len() as u64).map_err(Error::io("write", Path::new(&self.name)))?;
        let written = self.tar.append_data(&mut header, &member, field.bytes.as_ref());
        written.map_err(|source| Error::Source {
            uri: self.name.clone(),
            reason: format!("cannot write member `{member}`: {source}"),
        })?;
        self.content_bytes += field.bytes.len() as u64;
        Ok(())
    }
}

fn header(size: u64) -> std::io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(MODE);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username(OWNER)?;
    header.set_groupname(OWNER)?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bytes::Bytes;

    use super::*;

    fn field(extension: &str, bytes: &'static [u8]) -> Field {
        Field { extension: extension.into(), bytes: Bytes::from_static(bytes) }
    }

    fn write_two(path: &Path) {
        let mut writer = ShardWriter::create(path).unwrap();
        writer.write(&SampleKey::new("000000000"), &[field("jpg", b"picture"), field("txt", b"")]).unwrap();
        writer.write(&SampleKey::new("000000001"), &[field("jpg", &[7; 600])]).unwrap();
        let sealed = writer.seal().unwrap();
        assert_eq!(sealed, Sealed { samples: 2, bytes: std::fs::metadata(path).unwrap().len() });
    }

    #[test]
    fn members_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.tar");
        write_two(&path);
        let mut archive = tar::Archive::new(std::fs::File::open(&path).unwrap());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o444);
            assert_eq!(entry.header().mtime().unwrap(), 0);
            seen.push((entry.path().unwrap().display().to_string(), content.len()));
        }
        let expected = [("000000000.jpg", 7), ("000000000.txt", 0), ("000000001.jpg", 600)];
        assert_eq!(seen, expected.map(|(name, size)| (name.to_string(), size)));
    }

    #[test]
    fn a_shard_is_plain_ustar_ended_by_two_zero_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.tar");
        write_two(&path);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[257..265], b"ustar\x0000");
        // Three headers, contents of 1 + 0 + 2 blocks, two zero blocks.
        assert_eq!(bytes.len(), 512 * 8);
        assert!(bytes[bytes.len() - 1024..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn equal_samples_give_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.tar", "b.tar"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| write_two(path));
        assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
    }

    #[test]
    fn a_key_that_leaves_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        let message = writer.write(&SampleKey::new("../x"), &[field("jpg", b"p")]).unwrap_err().to_string();
        assert!(message.contains("../x.jpg"), "{message}");
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
