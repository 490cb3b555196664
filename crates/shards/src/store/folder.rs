//! Folders that shards are written into: on this machine, on S3, or behind a command.
//!
//! A file of a folder appears under its name whole or not at all, wherever the folder is. Names are those of files right
//! within the folder, or within one of its subfolders (`00000/000000000.jpg`).

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::claim::Claim;
use super::command::CommandWriter;
use super::local::{AtomicFile, remove_leftovers};
use super::object::ObjectWriter;
use super::{claim, s3};
use crate::error::{Error, Result};

/// Where files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// A folder of this machine: a bare path, or `file:`.
    Local(PathBuf),
    /// `s3://bucket/prefix`; the prefix has no slash at its end and may be empty.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the keys begin with.
        prefix: String,
    },
    /// `pipe:COMMAND`: each file goes to the standard input of the command, `{}` in it being the file's name. Nothing can
    /// be read back from it.
    Pipe(String),
}

impl Folder {
    /// Takes an address apart.
    ///
    /// # Errors
    /// When it is empty, of an unknown scheme, an `s3://` without a bucket, or a command without `{}`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::Spec { spec: text.into(), reason: reason.into() };
        if let Some(command) = text.strip_prefix("pipe:") {
            let names_file = command.contains("{}");
            return if names_file { Ok(Self::Pipe(command.into())) } else { Err(wrong("the command has no `{}`")) };
        }
        if let Some(path) = text.strip_prefix("file:") {
            return Self::parse(path.strip_prefix("//").unwrap_or(path));
        }
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_end_matches('/');
                let named = !bucket.is_empty();
                let folder = Self::S3 { bucket: bucket.into(), prefix: prefix.into() };
                if named { Ok(folder) } else { Err(wrong("expected s3://bucket/prefix")) }
            }
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(wrong(&format!("files cannot be written to `{scheme}` (known: file, s3, pipe)")))
            }
            _ if text.is_empty() => Err(wrong("empty address")),
            _ => Ok(Self::Local(text.into())),
        }
    }

    /// The path of a folder of this machine.
    pub fn local_path(&self) -> Option<&Path> {
        if let Self::Local(path) = self { Some(path) } else { None }
    }

    /// Creates the folder where it has to exist before its files do.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(&self) -> Result<()> {
        let Self::Local(path) = self else { return Ok(()) };
        fs::create_dir_all(path).map_err(Error::io("create", path))
    }

    /// Starts the file `name`.
    ///
    /// # Errors
    /// When the place does not take a new file.
    pub fn create(&self, name: &str) -> Result<OutputFile> {
        Ok(match self {
            Self::Local(path) => OutputFile::Local(AtomicFile::create(&path.join(name))?),
            Self::S3 { bucket, prefix } => OutputFile::Object(ObjectWriter::new(bucket, &key(prefix, name))),
            Self::Pipe(command) => OutputFile::Command(CommandWriter::start(command, name)?),
        })
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// When the place refuses; what had the name before then still has it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.create(name)?;
        file.write_all(bytes).map_err(|error| self.failed(name, &error))?;
        file.seal()
    }

    /// Reads a whole file; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Local(path) => match fs::read(path.join(name)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("read", &path.join(name))(error)),
            },
            Self::S3 { bucket, prefix } => s3::read(bucket, &key(prefix, name)),
            Self::Pipe(_) => Ok(None),
        }
    }

    /// The size of a file in bytes; `None` where there is none.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        match self {
            Self::Local(path) => match fs::metadata(path.join(name)) {
                Ok(metadata) => Ok(Some(metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("look at", &path.join(name))(error)),
            },
            Self::S3 { bucket, prefix } => s3::size(bucket, &key(prefix, name)),
            Self::Pipe(_) => Ok(None),
        }
    }

    /// Names of the files right within the folder, sorted.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names = match self {
            Self::Local(path) => local_names(path)?,
            Self::S3 { bucket, prefix } => s3::names(bucket, prefix)?,
            Self::Pipe(_) => Vec::new(),
        };
        names.sort();
        Ok(names)
    }

    /// Deletes a file, or a subfolder with all in it; nothing where there is none.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn delete(&self, name: &str) -> Result<()> {
        match self {
            Self::Local(path) => delete(&path.join(name)),
            Self::S3 { bucket, prefix } => s3::delete_all(bucket, &key(prefix, name)),
            Self::Pipe(_) => Ok(()),
        }
    }

    /// Claims the right to write the files that `name` stands for; `None` while another process has it. What an earlier
    /// holder left unfinished on this machine is cleared; parts on S3 are left to a lifecycle rule.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn claim(&self, name: &str) -> Result<Option<Claim>> {
        match self {
            Self::Local(path) => {
                let claimed = claim::on_disk(path, name)?;
                if claimed.is_some() {
                    remove_leftovers(path, name)?;
                }
                Ok(claimed)
            }
            Self::S3 { bucket, prefix } => claim::on_s3(bucket, &key(prefix, name)),
            Self::Pipe(_) => Ok(Some(Claim::unneeded())),
        }
    }

    /// Claims what is written in a moment, and waits for whoever has it; after five seconds that is nobody any more who
    /// would spoil it, and there is no claim.
    ///
    /// # Errors
    /// When the place refuses.
    pub fn claim_soon(&self, name: &str) -> Result<Option<Claim>> {
        for _ in 0..100 {
            let claim = self.claim(name)?;
            if claim.is_some() {
                return Ok(claim);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }

    /// Clears claims whose processes were killed after they had written all, so that nobody took them over. Those on S3
    /// cannot be told from others.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn clear_idle_claims(&self) -> Result<()> {
        let Self::Local(path) = self else { return Ok(()) };
        for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
            let name = entry.map_err(Error::io("read", path))?.file_name();
            if let Some(claimed) = name.to_str().and_then(|name| name.strip_suffix(".claim")) {
                drop(self.claim(claimed)?);
            }
        }
        Ok(())
    }

    fn failed(&self, name: &str, error: &io::Error) -> Error {
        Error::Source { uri: format!("{self}/{name}"), reason: error.to_string() }
    }
}

impl<P: AsRef<Path>> From<P> for Folder {
    /// A folder of this machine.
    fn from(path: P) -> Self {
        Self::Local(path.as_ref().to_path_buf())
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Pipe(command) => write!(f, "pipe:{command}"),
        }
    }
}

fn key(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

fn local_names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", path))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", path))?;
        if entry.file_type().map_err(Error::io("read", path))?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn delete(path: &Path) -> Result<()> {
    let deleted = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match deleted {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        deleted => deleted.map_err(Error::io("delete", path)),
    }
}

/// A file being written; it gets its name when [`sealed`](OutputFile::seal), and vanishes when dropped before.
pub enum OutputFile {
    /// On this machine.
    Local(AtomicFile),
    /// On S3.
    Object(ObjectWriter),
    /// Behind a command.
    Command(CommandWriter),
}

impl OutputFile {
    /// Makes the content durable and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// When the place refuses; the file then does not exist.
    pub fn seal(self) -> Result<()> {
        match self {
            Self::Local(file) => file.seal(),
            Self::Object(file) => file.seal(),
            Self::Command(file) => file.seal(),
        }
    }

    /// What messages call the file.
    pub fn label(&self) -> String {
        match self {
            Self::Local(file) => file.path().display().to_string(),
            Self::Object(file) => file.uri().to_owned(),
            Self::Command(file) => file.uri().to_owned(),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.write(bytes),
            Self::Object(file) => file.write(bytes),
            Self::Command(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Local(file) => file.flush(),
            Self::Object(_) => Ok(()),
            Self::Command(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(Folder::parse("file:///a/b").unwrap(), Folder::Local("/a/b".into()));
        assert_eq!(Folder::parse("out").unwrap(), Folder::Local("out".into()));
        let s3 = Folder::parse("s3://bucket/a/b/").unwrap();
        assert_eq!(s3, Folder::S3 { bucket: "bucket".into(), prefix: "a/b".into() });
        assert_eq!(Folder::parse("s3://bucket").unwrap().to_string(), "s3://bucket");
        for wrong in ["", "s3://", "gs://bucket/x", "pipe:cat"] {
            assert!(Folder::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_local_folder_gives_back_what_was_written() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::Local(temporary.path().join("new"));
        assert!(folder.names().unwrap().is_empty());
        folder.prepare().unwrap();
        folder.write("a.json", b"{}").unwrap();
        assert_eq!(folder.read("a.json").unwrap().unwrap(), b"{}");
        assert_eq!((folder.size("a.json").unwrap(), folder.size("b.json").unwrap()), (Some(2), None));
        assert_eq!(folder.names().unwrap(), ["a.json"]);
        folder.delete("a.json").unwrap();
        folder.delete("a.json").unwrap();
        assert_eq!(folder.read("a.json").unwrap(), None);
    }

    #[test]
    fn a_command_gets_each_file_by_its_name() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::parse(&format!("pipe:cat > {}/{{}}", temporary.path().display())).unwrap();
        folder.write("00000.tar", b"shard").unwrap();
        assert_eq!(fs::read(temporary.path().join("00000.tar")).unwrap(), b"shard");
        let failing = Folder::parse("pipe:cat > /dev/null; echo no {} >&2; exit 3").unwrap();
        let message = failing.write("00000.tar", b"shard").unwrap_err().to_string();
        assert!(message.contains("no 00000.tar") && message.contains('3'), "{message}");
    }
}
