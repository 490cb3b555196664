//! What a PyTorch checkpoint's pickle says: which tensors it holds under which names, and where their values lie.

use super::pickle::{Arena, Node, NodeId, Object};
use super::stored::{Element, StoredTensor};

/// Objects and entries that are looked at; no model has nearly as many, and pickles that refer to one part many times over
/// could otherwise be walked for ever.
const MOST_ENTRIES: usize = 1 << 20;
/// Modules within modules.
const MOST_DEPTH: usize = 64;

/// Which kind of checkpoint it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A safetensors file.
    Safetensors,
    /// Weights and more: the trainer's `epoch_K.pt`.
    Checkpoint,
    /// Weights alone.
    StateDict,
    /// A compiled module, as OpenAI published its weights.
    TorchScript,
}

/// A tensor of a pickle: its values are in the archive's entry `data/<key>`.
#[derive(Clone, Debug)]
pub(super) struct Pickled {
    /// Name of the storage.
    pub key: String,
    /// Type, shape and layout.
    pub tensor: StoredTensor,
}

type Found = Vec<(String, Pickled)>;

/// All tensors of the weights in a pickle, by name.
pub(super) fn tensors(arena: &Arena, root: NodeId) -> Result<(Kind, Found), String> {
    if let Node::Object(module) = arena.get(root)
        && module.state.is_some()
        && !is_named(arena, module.class, "OrderedDict")
    {
        let mut walk = Walk { arena, found: Vec::new(), left: MOST_ENTRIES };
        walk.module(root, "", 0)?;
        return Ok((Kind::TorchScript, walk.found));
    }
    let entries = dictionary(arena, root).ok_or("expected a dictionary of tensors")?;
    let nested = entry(arena, entries, "state_dict").or_else(|| entry(arena, entries, "model"));
    let (kind, entries) = match nested.and_then(|id| dictionary(arena, id)) {
        Some(entries) => (Kind::Checkpoint, entries),
        None => (Kind::StateDict, entries),
    };
    let mut found = Vec::with_capacity(entries.len());
    for (key, value) in entries.iter().take(MOST_ENTRIES) {
        if let (Node::Text(name), Some(tensor)) = (arena.get(*key), tensor(arena, *value)?) {
            found.push((name.clone(), tensor));
        }
    }
    Ok((kind, found))
}

/// The entries of a dictionary of any kind.
pub(super) fn dictionary(arena: &Arena, id: NodeId) -> Option<&[(NodeId, NodeId)]> {
    match arena.get(id) {
        Node::Dict(entries) => Some(entries),
        Node::Object(object) => Some(&object.entries),
        _ => None,
    }
}

/// The value of a text key.
pub(super) fn entry(arena: &Arena, entries: &[(NodeId, NodeId)], key: &str) -> Option<NodeId> {
    entries.iter().find(|(name, _)| matches!(arena.get(*name), Node::Text(text) if text == key)).map(|(_, id)| *id)
}

fn is_named(arena: &Arena, id: NodeId, name: &str) -> bool {
    matches!(arena.get(id), Node::Global(full) if full.rsplit('.').next() == Some(name))
}

struct Walk<'a> {
    arena: &'a Arena,
    found: Found,
    left: usize,
}

impl Walk<'_> {
    /// A module's attributes: tensors are weights, objects with a state are modules within.
    fn module(&mut self, id: NodeId, prefix: &str, depth: usize) -> Result<(), String> {
        let Node::Object(Object { state: Some(state), .. }) = self.arena.get(id) else { return Ok(()) };
        let Some(attributes) = dictionary(self.arena, *state) else { return Ok(()) };
        for (key, value) in attributes {
            self.left = self.left.checked_sub(1).ok_or("more attributes than any model has")?;
            let Node::Text(name) = self.arena.get(*key) else { continue };
            let name = format!("{prefix}{name}");
            if let Some(tensor) = tensor(self.arena, *value)? {
                self.found.push((name, tensor));
            } else if depth < MOST_DEPTH {
                self.module(*value, &format!("{name}."), depth + 1)?;
            }
        }
        Ok(())
    }
}

/// The tensor that a node stands for; `None` for anything else.
pub(super) fn tensor(arena: &Arena, id: NodeId) -> Result<Option<Pickled>, String> {
    let Node::Object(object) = arena.get(id) else { return Ok(None) };
    let Node::Tuple(arguments) = arena.get(object.arguments) else { return Ok(None) };
    let Node::Global(function) = arena.get(object.class) else { return Ok(None) };
    match function.as_str() {
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => rebuilt(arena, arguments).map(Some),
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => match arguments.first() {
            // A parameter wraps a tensor; one that wraps a parameter again is none of PyTorch's.
            Some(inner) if !is_parameter(arena, *inner) => tensor(arena, *inner),
            _ => Err("a parameter without a tensor".to_owned()),
        },
        _ => Ok(None),
    }
}

fn is_parameter(arena: &Arena, id: NodeId) -> bool {
    matches!(arena.get(id), Node::Object(object)
        if matches!(arena.get(object.class), Node::Global(name) if name.contains("_rebuild_parameter")))
}

/// `(storage, offset, size, stride, …)`.
fn rebuilt(arena: &Arena, arguments: &[NodeId]) -> Result<Pickled, String> {
    let damaged = || "a tensor's description is damaged".to_owned();
    let [storage, offset, size, stride, ..] = arguments else { return Err(damaged()) };
    let (Node::Outside(reference), Node::Int(offset)) = (arena.get(*storage), arena.get(*offset)) else {
        return Err(damaged());
    };
    let Node::Tuple(reference) = arena.get(*reference) else { return Err(damaged()) };
    let [_, class, key, ..] = reference.as_slice() else { return Err(damaged()) };
    let (Node::Global(class), Node::Text(key)) = (arena.get(*class), arena.get(*key)) else { return Err(damaged()) };
    let element = element(class).ok_or_else(|| format!("tensors of `{class}` are not supported"))?;
    let numbers = |id: NodeId| numbers(arena, id).ok_or_else(damaged);
    let (shape, stride) = (numbers(*size)?, numbers(*stride)?);
    if shape.len() != stride.len() {
        return Err(damaged());
    }
    let offset = usize::try_from(*offset).map_err(|_| damaged())?;
    Ok(Pickled { key: key.clone(), tensor: StoredTensor { element, shape, stride, offset } })
}

fn numbers(arena: &Arena, id: NodeId) -> Option<Vec<usize>> {
    let (Node::Tuple(ids) | Node::List(ids)) = arena.get(id) else { return None };
    let number = |id: &NodeId| if let Node::Int(value) = arena.get(*id) { usize::try_from(*value).ok() } else { None };
    ids.iter().map(number).collect()
}

fn element(class: &str) -> Option<Element> {
    Some(match class.strip_prefix("torch.")? {
        "FloatStorage" => Element::F32,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "DoubleStorage" => Element::F64,
        "LongStorage" => Element::I64,
        "IntStorage" => Element::I32,
        "ByteStorage" | "BoolStorage" => Element::U8,
        _ => return None,
    })
}
