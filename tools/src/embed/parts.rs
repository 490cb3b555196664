//! What is embedded, part by part: shards, or pictures of a folder with their captions beside them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use loader::{Visited, read_picture, recorded};
use sha2::{Digest, Sha256};
use shards::reader::{MissingEnd, Proof, ShardEnd, ShardReader};
use shards::store;
use shards::uri::ShardUri;

use crate::exit::Hint;
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
    Shards(Vec<(ShardUri, Proof)>),
    /// A folder, and its pictures.
    Folder(PathBuf, Vec<PathBuf>),
}

/// One part.
pub enum Part<'a> {
    /// A shard, what was recorded of it, and its name.
    Shard(&'a ShardUri, Proof, String),
    /// Some pictures of a folder, and a name.
    Folder(&'a [PathBuf], String),
}

/// A picture with its caption.
pub struct Pair {
    /// Key, or path of the file.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Why it is not whole, in a word; none where it is.
    pub incomplete: Option<String>,
    /// Members that are part of no sample.
    pub members_left_out: u64,
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
            list(path, &mut Visited::default(), &mut pictures)?;
            pictures.sort();
            if pictures.is_empty() {
                // A folder of shards, perhaps, which are named one by one.
                let hint = sources::parse(spec).err().and_then(|error| error.downcast::<Hint>().ok());
                let error = anyhow::anyhow!("no picture in `{spec}`");
                return Err(match hint {
                    Some(hint) => error.context(hint),
                    None => error,
                });
            }
            return Ok(Self::Folder(path.to_owned(), pictures));
        }
        let uris: Vec<_> = sources::parse(spec)?.uris().cloned().collect();
        let proofs = recorded(&uris, MissingEnd::IsACut)?;
        Ok(Self::Shards(uris.into_iter().zip(proofs).collect()))
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
            Self::Shards(shards) => {
                Box::new(shards.iter().map(|(uri, proof)| Part::Shard(uri, *proof, uri.to_string())))
            }
            Self::Folder(_, pictures) => Box::new(pictures.chunks(PART).map(|part| {
                let name = part.first().map(|picture| picture.display().to_string());
                Part::Folder(part, name.unwrap_or_default())
            })),
        }
    }
}

impl Part<'_> {
    /// The shard, or the first picture.
    pub fn name(&self) -> &str {
        match self {
            Self::Shard(_, _, name) | Self::Folder(_, name) => name,
        }
    }

    /// Whether it is a shard.
    pub fn is_shard(&self) -> bool {
        matches!(self, Self::Shard(..))
    }

    /// Whether reading it may fail now and not later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Shard(uri, ..) if uri.local_path().is_none())
    }

    /// Whether its shard would be whole without an end marker.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Shard(_, proof, _) if proof.samples.is_some() || proof.bytes.is_some())
    }

    /// What tells a state of the shard, or of the pictures and captions, from another; `None` where nothing does.
    ///
    /// # Errors
    /// When there is no such shard or picture.
    pub fn state(&self) -> anyhow::Result<Option<String>> {
        let pictures = match self {
            Self::Shard(uri, ..) => return Ok(store::state(uri)?),
            Self::Folder(pictures, _) => pictures,
        };
        let mut hash = Sha256::new();
        for file in *pictures {
            hash.update(file.as_os_str().as_encoded_bytes());
            let caption = store::local::state(&file.with_extension(CAPTION)).unwrap_or_default();
            hash.update(format!("\n{}\n{caption}\n", store::local::state(file).unwrap_or_default()));
        }
        Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Hands over every pair in order.
    ///
    /// # Errors
    /// What `take` gives, and a shard that cannot be opened.
    pub fn each_pair(
        &self,
        missing_end: MissingEnd,
        mut take: impl FnMut(Pair) -> anyhow::Result<()>,
    ) -> anyhow::Result<End> {
        match self {
            Self::Shard(uri, proof, _) => each_sample(uri, Proof { missing_end, ..*proof }, take),
            Self::Folder(pictures, _) => {
                for file in *pictures {
                    let path = file.display().to_string();
                    let caption = caption_beside(file)?;
                    take(Pair { path, picture: Some(Picture::File(file.clone())), caption })?;
                }
                Ok(End::default())
            }
        }
    }
}

/// The caption in the file of the same name; one that is there and cannot be read is an error, since its picture's row would
/// be another one.
fn caption_beside(picture: &Path) -> anyhow::Result<Option<String>> {
    let path = picture.with_extension(CAPTION);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the caption `{}`", path.display())),
    }
}

fn each_sample(uri: &ShardUri, proof: Proof, mut take: impl FnMut(Pair) -> anyhow::Result<()>) -> anyhow::Result<End> {
    let mut reader = ShardReader::open(uri)?.with_proof(proof);
    // Bytes that are no tar end the shard; what came before them stays.
    while let Some(Ok(sample)) = reader.next() {
        let picture = sample.field(&PICTURES).map(|field| Picture::Bytes(field.bytes.clone()));
        let caption = sample.field(&[CAPTION]).map(|field| String::from_utf8_lossy(&field.bytes).into_owned());
        take(Pair { path: sample.key.to_string(), picture, caption })?;
    }
    let members_left_out = reader.members_left_out();
    let Some(ShardEnd::Incomplete { samples, reason, offset, .. }) = reader.end() else {
        return Ok(End { incomplete: None, members_left_out });
    };
    tracing::warn!("shard `{uri}` is incomplete: {reason} (at byte {offset}, after {samples} samples)");
    Ok(End { incomplete: Some(reason.kind().to_owned()), members_left_out })
}

impl Picture {
    /// The bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => read_picture(path).map(Cow::Owned),
        }
    }
}

/// Pictures below a folder; a folder that is met again by way of a link is passed over.
fn list(folder: &Path, visited: &mut Visited, pictures: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !visited.is_new(folder) {
        return Ok(());
    }
    let told = || format!("cannot list `{}`", folder.display());
    let entries = std::fs::read_dir(folder).with_context(told)?;
    let mut paths = entries.map(|entry| Ok(entry.with_context(told)?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    // Where a link leads to a folder that is there too, which of them is met first must not depend on the disk.
    paths.sort();
    for path in paths {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if path.is_dir() {
            list(&path, visited, pictures)?;
        } else if extension.is_some_and(|extension| PICTURES.contains(&extension.as_str())) {
            pictures.push(path);
        }
    }
    Ok(())
}
