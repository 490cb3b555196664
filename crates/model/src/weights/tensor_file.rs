//! A file of weights of any known format, mapped into memory: names, shapes, and values read when they are asked for.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use super::pickle::{Arena, NodeId};
use super::state_dict::{self, Kind, Pickled};
use super::stored::{Element, StoredTensor};
use super::{archive, pickle};
use crate::error::{Error, Result};

/// Longest pickle that is read; those of the largest models have a few hundred kilobytes.
const MOST_PICKLE: usize = 64 << 20;

/// A file of weights: safetensors, or a checkpoint of PyTorch.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
    kind: Kind,
    tensors: BTreeMap<String, (StoredTensor, Range<usize>)>,
}

impl TensorFile {
    /// Maps a file and reads its directory of tensors; what it is, is told by its first bytes.
    ///
    /// # Errors
    /// When the file cannot be read, is cut off, or holds something else than weights.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let read = if archive::is_archive(&map) { pytorch(&map) } else { plain(&map) };
        let (kind, tensors) = read.map_err(|reason| Error::Weights { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), map, kind, tensors })
    }

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, (tensor, _))| (name.as_str(), tensor.shape.as_slice()))
    }

    /// The values of a tensor as `dtype` (f32 or i64); `None` where there is no such tensor.
    ///
    /// # Errors
    /// When the device fails.
    pub fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Option<Tensor>> {
        let Some((stored, range)) = self.tensors.get(name) else { return Ok(None) };
        let bytes = &self.map[range.clone()];
        let shape = stored.shape.as_slice();
        let tensor = match dtype {
            DType::I64 => Tensor::from_vec(stored.to_i64(bytes), shape, device)?,
            _ => Tensor::from_vec(stored.to_f32(bytes), shape, device)?,
        };
        Ok(Some(tensor))
    }
}

/// Maps a file into memory.
#[allow(unsafe_code)]
fn map(path: &Path) -> Result<Mmap> {
    let io = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is only read. Whoever changes the file meanwhile changes the values that are read, or ends the
    // process where the file becomes shorter; checkpoints are replaced by renaming, not written in place.
    unsafe { Mmap::map(&file) }.map_err(io)
}

type Directory = (Kind, BTreeMap<String, (StoredTensor, Range<usize>)>);

/// A safetensors file.
fn plain(bytes: &[u8]) -> std::result::Result<Directory, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| match bytes {
        // A pickle of protocol 2, without an archive around it.
        [0x80, 0x02, ..] => "a checkpoint of PyTorch before 1.6; save it again with a newer one".to_owned(),
        _ => format!("not a safetensors file: {error}"),
    })?;
    let start = bytes.as_ptr() as usize;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let element = element(view.dtype()).ok_or_else(|| format!("tensor `{name}`: type {:?}", view.dtype()))?;
        let first = view.data().as_ptr() as usize - start;
        let stored = StoredTensor::contiguous(element, view.shape().to_vec());
        tensors.insert(name.to_owned(), (stored, first..first + view.data().len()));
    }
    Ok((Kind::Safetensors, tensors))
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F64 => Element::F64,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::U8 | Dtype::BOOL => Element::U8,
        _ => return None,
    })
}

/// A checkpoint of PyTorch whose pickle is read for more than its weights.
pub(super) struct Archive {
    map: Mmap,
    parts: Parts,
}

/// Entries of a checkpoint, and the folder that they are in.
struct Parts {
    entries: HashMap<String, Range<usize>>,
    root: String,
}

impl Archive {
    /// Maps a file.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let parts = Parts::of(&map).map_err(|reason| Error::Weights { path: path.to_owned(), reason })?;
        Ok(Self { map, parts })
    }

    /// All nodes of the pickle, and its root.
    pub fn pickle(&self) -> std::result::Result<(Arena, NodeId), String> {
        self.parts.pickle(&self.map)
    }

    /// The values of a tensor.
    pub fn read(&self, key: &str, tensor: &StoredTensor, device: &Device) -> std::result::Result<Tensor, String> {
        let range = self.parts.storage(key, tensor)?;
        let values = tensor.to_f32(&self.map[range]);
        Tensor::from_vec(values, tensor.shape.as_slice(), device).map_err(|error| error.to_string())
    }
}

impl Parts {
    fn of(bytes: &[u8]) -> std::result::Result<Self, String> {
        let entries = archive::entries(bytes)?;
        let root = folder(&entries)?;
        if entries.get(&format!("{root}byteorder")).is_some_and(|range| &bytes[range.clone()] != b"little") {
            return Err("values of another byte order than little-endian".to_owned());
        }
        Ok(Self { entries, root })
    }

    fn pickle(&self, bytes: &[u8]) -> std::result::Result<(Arena, NodeId), String> {
        let read = &bytes[self.entries[&format!("{}data.pkl", self.root)].clone()];
        if read.len() > MOST_PICKLE {
            return Err(format!("the pickle has {} bytes, expected at most {MOST_PICKLE}", read.len()));
        }
        pickle::read(read)
    }

    /// Where the values of a tensor are.
    fn storage(&self, key: &str, tensor: &StoredTensor) -> std::result::Result<Range<usize>, String> {
        let range = self.entries.get(&format!("{}data/{key}", self.root));
        let range = range.ok_or_else(|| format!("its values `data/{key}` are missing"))?;
        tensor.check(range.len())?;
        Ok(range.clone())
    }
}

/// A zip archive of PyTorch.
fn pytorch(bytes: &[u8]) -> std::result::Result<Directory, String> {
    let parts = Parts::of(bytes)?;
    let (arena, node) = parts.pickle(bytes)?;
    let (kind, found) = state_dict::tensors(&arena, node)?;
    let mut tensors = BTreeMap::new();
    for (name, Pickled { key, tensor }) in found {
        let range = parts.storage(&key, &tensor).map_err(|reason| format!("tensor `{name}`: {reason}"))?;
        tensors.insert(name, (tensor, range));
    }
    if tensors.is_empty() {
        return Err("no tensor in it".to_owned());
    }
    Ok((kind, tensors))
}

/// The folder within the archive that everything is in, `/` included.
fn folder(entries: &HashMap<String, Range<usize>>) -> std::result::Result<String, String> {
    let mut roots = entries
        .keys()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.ends_with('/') && root.matches('/').count() == 1);
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root.to_owned()),
        (None, _) => Err("a zip archive without data.pkl: not a checkpoint of PyTorch".to_owned()),
        (Some(_), Some(_)) => Err("a zip archive with several data.pkl".to_owned()),
    }
}
