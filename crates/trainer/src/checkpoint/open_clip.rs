//! Going on from a checkpoint that open_clip's trainer wrote.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use model::clip::Clip;
use model::weights::{TrainingState, training_state};

use super::{Moment, State};
use crate::config::AdamW;
use crate::error::{Error, Result};
use crate::optimizer::decays;
use crate::step::Trainer;

/// Takes up a checkpoint of open_clip's trainer, `epoch_K.pt`: moments and steps. `clip` is the model that
/// [`Clip::load_weights`] read from it, with those parameters held that were. Its optimizer has the parameters that do not decay
/// first, each group in the model's order.
///
/// # Errors
/// When the file holds weights alone, or belongs to another model.
pub fn resume_open_clip(
    clip: Clip,
    path: &Path,
    adamw: AdamW,
    grad_clip_norm: Option<f64>,
) -> Result<(Trainer, State)> {
    let damaged = |reason: String| Error::Checkpoint { path: path.to_path_buf(), reason };
    let state = training_state(path, clip.device())?.ok_or_else(|| damaged("it holds weights alone".to_owned()))?;
    let (steps, moments) = by_name(&clip, &state).map_err(&damaged)?;
    let mut trainer = Trainer::new(clip, adamw, grad_clip_norm)?;
    trainer.optimizer.restore(trainer.clip.parameters(), moments, steps).map_err(damaged)?;
    trainer.set_steps(steps);
    let state = State::of(&trainer, &Moment { epoch: state.epoch, ..Moment::default() });
    Ok((trainer, state))
}

/// Steps and moments of an optimizer of two groups, by the parameters' names; parameters that are held have none yet.
fn by_name(clip: &Clip, state: &TrainingState) -> std::result::Result<(u64, HashMap<String, Tensor>), String> {
    let [plain, decaying] = state.groups.as_slice() else {
        return Err(format!("expected two groups of parameters, got {}", state.groups.len()));
    };
    let (mut plain, mut decaying) = (plain.iter(), decaying.iter());
    let (mut steps, mut moments) = (0, HashMap::new());
    for (_, parameter) in clip.parameters().iter().filter(|(_, parameter)| parameter.is_learned()) {
        let name = &parameter.name;
        let zeros = || parameter.value().zeros_like().map_err(|error| error.to_string());
        let (mut first, mut second) = (zeros()?, zeros()?);
        if parameter.trainable() {
            let group = if decays(name, parameter.value().rank()) { &mut decaying } else { &mut plain };
            let adam = group.next().ok_or_else(|| format!("the optimizer's state ends before `{name}`"))?;
            (first, second) = (adam.first.clone(), adam.second.clone());
            steps = steps.max(adam.step);
        }
        moments.extend([(format!("first.{name}"), first), (format!("second.{name}"), second)]);
    }
    match plain.len() + decaying.len() {
        0 => Ok((steps, moments)),
        rest => Err(format!("the optimizer's state has {rest} parameters more than the model")),
    }
}
