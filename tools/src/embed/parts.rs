//! What is embedded, part by part: shards, or pictures of a folder with their captions beside them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use shards::reader::{ShardEnd, ShardReader};
use shards::store;
use shards::uri::ShardUri;

use crate::sources;

/// Extensions of pictures, and of captions.
const PICTURES: [&str; 9] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "avif"];
const CAPTION: &str = "txt";
/// Pictures of a folder that make a part.
const PART: usize = 10_000;

/// All parts, in their order.
#[derive(Clone, Debug)]
pub enum Parts {
    /// A part a shard.
    Shards(Vec<ShardUri>),
    /// A folder, and its pictures by their paths within it.
    Folder(PathBuf, Vec<String>),
}

/// One part.
pub enum Part<'a> {
    /// A shard and its name.
    Shard(&'a ShardUri, String),
    /// A folder, some of its pictures, and a name.
    Folder(&'a Path, &'a [String], String),
}

/// A picture with its caption.
pub struct Pair {
    /// Key, or path within the folder.
    pub path: String,
    /// Where the picture is.
    pub picture: Option<Picture>,
    /// The caption.
    pub caption: Option<String>,
}

/// A picture's bytes, or the file with them.
pub enum Picture {
    /// Out of a shard.
    Bytes(Bytes),
    /// In a folder.
    File(PathBuf),
}

/// How a part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Whole.
    Complete,
    /// Cut off.
    Incomplete,
}

impl Parts {
    /// Takes a folder that exists, or a specification of shards.
    ///
    /// # Errors
    /// When it is neither, or a folder cannot be listed.
    pub fn of(spec: &str) -> anyhow::Result<Self> {
        let path = Path::new(spec);
        if path.is_dir() {
            let mut pictures = Vec::new();
            list(path, path, &mut pictures)?;
            pictures.sort();
            anyhow::ensure!(!pictures.is_empty(), "no picture in `{spec}`");
            return Ok(Self::Folder(path.to_owned(), pictures));
        }
        Ok(Self::Shards(sources::parse(spec)?.uris().cloned().collect()))
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<String> {
        match self {
            Self::Shards(_) => None,
            Self::Folder(root, _) => Some(root.display().to_string()),
        }
    }

    /// The parts.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Part<'_>> + '_> {
        match self {
            Self::Shards(uris) => Box::new(uris.iter().map(|uri| Part::Shard(uri, uri.to_string()))),
            Self::Folder(root, pictures) => Box::new(pictures.chunks(PART).map(move |part| {
                let name = part.first().cloned().unwrap_or_default();
                Part::Folder(root, part, name)
            })),
        }
    }
}

impl Part<'_> {
    /// The shard, or the first picture.
    pub fn name(&self) -> &str {
        match self {
            Self::Shard(_, name) | Self::Folder(_, _, name) => name,
        }
    }

    /// Whether it is a shard.
    pub fn is_shard(&self) -> bool {
        matches!(self, Self::Shard(..))
    }

    /// What tells a state of the shard, or of the pictures and captions, from another; `None` where nothing does.
    ///
    /// # Errors
    /// When there is no such shard or picture.
    pub fn state(&self) -> anyhow::Result<Option<String>> {
        let (root, pictures) = match self {
            Self::Shard(uri, _) => return Ok(store::state(uri)?),
            Self::Folder(root, pictures, _) => (root, pictures),
        };
        let mut hash = Sha256::new();
        for picture in *pictures {
            let file = root.join(picture);
            let caption = store::local::state(&file.with_extension(CAPTION)).unwrap_or_default();
            hash.update(format!("{picture}\n{}\n{caption}\n", store::local::state(&file)?));
        }
        Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Hands over every pair in order.
    ///
    /// # Errors
    /// What `take` gives, and a shard that cannot be opened.
    pub fn each_pair(&self, mut take: impl FnMut(Pair) -> anyhow::Result<()>) -> anyhow::Result<End> {
        match self {
            Self::Shard(uri, _) => each_sample(uri, take),
            Self::Folder(root, pictures, _) => {
                for picture in *pictures {
                    let file = root.join(picture);
                    let caption = std::fs::read_to_string(file.with_extension(CAPTION)).ok();
                    take(Pair { path: picture.clone(), picture: Some(Picture::File(file)), caption })?;
                }
                Ok(End::Complete)
            }
        }
    }
}

fn each_sample(uri: &ShardUri, mut take: impl FnMut(Pair) -> anyhow::Result<()>) -> anyhow::Result<End> {
    let mut reader = ShardReader::open(uri)?;
    for sample in &mut reader {
        // Bytes that are no tar end the shard; what came before them stays.
        let Ok(sample) = sample else { return Ok(End::Incomplete) };
        let picture = sample.field(&PICTURES).map(|field| Picture::Bytes(field.bytes.clone()));
        let caption = sample.field(&[CAPTION]).map(|field| String::from_utf8_lossy(&field.bytes).into_owned());
        take(Pair { path: sample.key.to_string(), picture, caption })?;
    }
    Ok(if matches!(reader.end(), Some(ShardEnd::Complete { .. })) { End::Complete } else { End::Incomplete })
}

impl Picture {
    /// The bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => std::fs::read(path).map(Cow::Owned),
        }
    }
}

/// Pictures below a folder, by their paths within `root`.
fn list(root: &Path, folder: &Path, pictures: &mut Vec<String>) -> anyhow::Result<()> {
    let told = || format!("cannot list `{}`", folder.display());
    for entry in std::fs::read_dir(folder).with_context(told)? {
        let path = entry.with_context(told)?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if path.is_dir() {
            list(root, &path, pictures)?;
        } else if extension.is_some_and(|extension| PICTURES.contains(&extension.as_str()))
            && let Some(within) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            pictures.push(within.to_owned());
        }
    }
    Ok(())
}
