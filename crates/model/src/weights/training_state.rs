//! The optimizer's state in a checkpoint of open_clip's trainer: two moments for each parameter, in the order of its groups.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::pickle::{Arena, Node, NodeId};
use super::state_dict::{Pickled, dictionary, entry, tensor};
use super::tensor_file::Archive;
use crate::error::{Error, Result};

/// Where training stood when a checkpoint was written.
#[derive(Debug)]
pub struct TrainingState {
    /// Epochs completed.
    pub epoch: u64,
    /// The optimizer's groups, each with its parameters in their order.
    pub groups: Vec<Vec<AdamState>>,
}

/// What Adam knows of a parameter.
#[derive(Clone, Debug)]
pub struct AdamState {
    /// Steps taken.
    pub step: u64,
    /// Running mean of the gradient.
    pub first: Tensor,
    /// Running mean of its square.
    pub second: Tensor,
}

/// Reads the state of training out of `epoch_K.pt`; `None` where the file holds weights alone.
///
/// # Errors
/// When the file cannot be read, or the state in it is damaged.
pub fn training_state(path: &Path, device: &Device) -> Result<Option<TrainingState>> {
    let archive = Archive::open(path)?;
    read(&archive, device).map_err(|reason| Error::Weights { path: path.to_owned(), reason })
}

fn read(archive: &Archive, device: &Device) -> std::result::Result<Option<TrainingState>, String> {
    let (arena, root) = archive.pickle()?;
    let Some(entries) = dictionary(&arena, root) else { return Ok(None) };
    let Some(optimizer) = entry(&arena, entries, "optimizer").and_then(|id| dictionary(&arena, id)) else {
        return Ok(None);
    };
    let epoch = entry(&arena, entries, "epoch").and_then(|id| whole(&arena, id)).unwrap_or(0);
    let damaged = || "the optimizer's state is damaged".to_owned();
    let states = entry(&arena, optimizer, "state").and_then(|id| dictionary(&arena, id)).ok_or_else(damaged)?;
    let groups = entry(&arena, optimizer, "param_groups").ok_or_else(damaged)?;
    let Node::List(groups) = arena.get(groups) else { return Err(damaged()) };
    let one = |index: &NodeId| -> std::result::Result<AdamState, String> {
        let index = whole(&arena, *index).ok_or_else(damaged)?;
        let state = states.iter().find(|(key, _)| whole(&arena, *key) == Some(index));
        let state = state.and_then(|(_, id)| dictionary(&arena, *id)).ok_or_else(damaged)?;
        adam(archive, &arena, state, device)
    };
    let group = |id: &NodeId| {
        let keys = dictionary(&arena, *id).and_then(|group| entry(&arena, group, "params")).ok_or_else(damaged)?;
        let Node::List(keys) = arena.get(keys) else { return Err(damaged()) };
        keys.iter().map(one).collect::<std::result::Result<Vec<_>, String>>()
    };
    let groups = groups.iter().map(group).collect::<std::result::Result<Vec<_>, String>>()?;
    Ok(Some(TrainingState { epoch, groups }))
}

fn adam(
    archive: &Archive,
    arena: &Arena,
    state: &[(NodeId, NodeId)],
    device: &Device,
) -> std::result::Result<AdamState, String> {
    let value = |key: &str| {
        let id = entry(arena, state, key).ok_or_else(|| format!("the optimizer's state lacks `{key}`"))?;
        let Pickled { key: storage, tensor } =
            tensor(arena, id)?.ok_or_else(|| format!("`{key}` of the optimizer's state is no tensor"))?;
        archive.read(&storage, &tensor, device)
    };
    let step = match entry(arena, state, "step").map(|id| arena.get(id)) {
        Some(Node::Int(step)) => *step as u64,
        Some(Node::Float(step)) => *step as u64,
        _ => {
            let step = value("step")?.to_dtype(DType::F64).and_then(|step| step.flatten_all()?.to_vec1::<f64>());
            step.map_err(|error| error.to_string())?.first().copied().unwrap_or(0.0) as u64
        }
    };
    Ok(AdamState { step, first: value("exp_avg")?, second: value("exp_avg_sq")? })
}

fn whole(arena: &Arena, id: NodeId) -> Option<u64> {
    if let Node::Int(value) = arena.get(id) { u64::try_from(*value).ok() } else { None }
}
