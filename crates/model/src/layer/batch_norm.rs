//! Batch normalisation with its parameters, its running statistics, and the rectification behind it.

use candle_core::{Tensor, bail};

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::batch_norm::{self, After, Statistics};
use crate::kernel::narrow::following;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters, Role};
use crate::random::Mode;

/// Share of the batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// `weight`, `bias`, `running_mean`, `running_var` `[C]` and `num_batches_tracked`.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    weight: ParameterId,
    bias: ParameterId,
    running_mean: ParameterId,
    running_var: ParameterId,
    num_batches_tracked: ParameterId,
}

/// What backward needs.
#[derive(Debug)]
pub struct BatchNormSaved {
    input: Tensor,
    mean: Tensor,
    /// `1 / sqrt(variance + eps)`.
    inverse: Tensor,
    /// What the running statistics have to learn of this batch; absent in evaluation.
    seen: Option<Seen>,
}

/// A batch's statistics, on their way to the running ones.
#[derive(Clone, Debug)]
pub struct Seen {
    norm: BatchNorm,
    mean: Tensor,
    /// With one pixel less in the denominator.
    variance: Tensor,
}

impl BatchNorm {
    /// Declares the five tensors of `{name}`; the gain starts at `gain`.
    pub fn declare(declaration: &mut Declaration, name: &str, width: usize, gain: f64) -> Self {
        let at = |part: &str| format!("{name}.{part}");
        Self {
            weight: declaration.add(at("weight"), &[width], Initialisation::Constant(gain)),
            bias: declaration.add(at("bias"), &[width], Initialisation::Constant(0.0)),
            running_mean: declaration.add_buffer(at("running_mean"), &[width], 0.0, Role::Statistic),
            running_var: declaration.add_buffer(at("running_var"), &[width], 1.0, Role::Statistic),
            num_batches_tracked: declaration.add_buffer(at("num_batches_tracked"), &[], 0.0, Role::Counter),
        }
    }

    /// Normalises every channel of `[.., C]` by the batch's statistics in training and by the running ones in evaluation,
    /// adds `residual` and rectifies where asked for.
    ///
    /// # Errors
    /// For an input of another width, and in training for a batch of one pixel.
    pub fn forward(
        &self,
        parameters: &Parameters,
        x: Tensor,
        residual: Option<&Tensor>,
        after: After,
        mode: Mode,
    ) -> Result<(Tensor, BatchNormSaved)> {
        let compute = || {
            let (statistics, seen) = self.statistics(parameters, &x, mode)?;
            let inverse = batch_norm::inverse_deviation(&statistics.variance)?;
            let scale = parameters.value(self.weight).mul(&inverse)?;
            let shift = parameters.value(self.bias).sub(&statistics.mean.mul(&scale)?)?;
            let y = batch_norm::apply(&x, &scale, &shift, residual, after)?;
            Ok((y, statistics.mean, inverse, seen))
        };
        let (y, mean, inverse, seen): (_, _, _, _) = compute().layer(parameters.name(self.weight))?;
        Ok((y, BatchNormSaved { input: x, mean, inverse, seen }))
    }

    fn statistics(
        &self,
        parameters: &Parameters,
        x: &Tensor,
        mode: Mode,
    ) -> candle_core::Result<(Statistics, Option<Seen>)> {
        if mode == Mode::Evaluation {
            let [mean, variance] = [self.running_mean, self.running_var].map(|id| parameters.value(id).clone());
            return Ok((Statistics { mean, variance }, None));
        }
        let statistics = batch_norm::statistics(x)?;
        let pixels = x.elem_count() / statistics.mean.elem_count().max(1);
        if pixels < 2 {
            bail!("batch statistics need more than one pixel a channel, got {:?}", x.dims());
        }
        let variance = statistics.variance.affine(pixels as f64 / (pixels - 1) as f64, 0.0)?;
        let seen = Seen { norm: *self, mean: statistics.mean.clone(), variance };
        Ok((statistics, Some(seen)))
    }

    /// The input's gradient from that of the normalised output (before residual and rectification).
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: BatchNormSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<Tensor> {
        let name = parameters.name(self.weight);
        let BatchNormSaved { input, mean, inverse, seen } = saved;
        let sums = batch_norm::sums(&input, dy, &mean, &inverse).layer(name)?;
        let scale = parameters.value(self.weight).mul(&inverse).layer(name)?;
        let dx = || match &seen {
            None => dy.broadcast_mul(&following(&scale, dy)?),
            // dx = scale (dy - mean(dy) - unit mean(dy unit)), as one factor each for dy, x and 1.
            Some(_) => {
                let share = mean.elem_count() as f64 / input.elem_count() as f64;
                let along = (scale.mul(&inverse)?.mul(&sums.dweight)? * -share)?;
                let offset = (scale.mul(&sums.dbias)? * share)?.add(&along.mul(&mean)?)?.neg()?;
                batch_norm::combine(dy, &input, [&scale, &along, &offset])
            }
        };
        let dx = dx().layer(name)?;
        for (id, gradient) in [(self.weight, sums.dweight), (self.bias, sums.dbias)] {
            if parameters.trainable(id) {
                to.accumulate(id, gradient).layer(name)?;
            }
        }
        Ok(dx)
    }

    /// Its parameters, buffers left out.
    pub fn ids(&self) -> [ParameterId; 2] {
        [self.weight, self.bias]
    }
}

impl BatchNormSaved {
    /// What the running statistics have to learn of this batch.
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }
}

impl Seen {
    /// Moves the running statistics towards the batch's, and counts the batch.
    ///
    /// # Errors
    /// From candle.
    pub fn track(&self, parameters: &mut Parameters) -> Result<()> {
        let name = parameters.name(self.norm.running_mean).to_owned();
        for (id, batch) in [(self.norm.running_mean, &self.mean), (self.norm.running_var, &self.variance)] {
            let kept = parameters.value(id).affine(1.0 - MOMENTUM, 0.0).layer(&name)?;
            let moved = batch.affine(MOMENTUM, 0.0).and_then(|batch| kept + batch).layer(&name)?;
            parameters.set(id, moved)?;
        }
        let counter = self.norm.num_batches_tracked;
        let counted = parameters.value(counter) + 1.0;
        parameters.set(counter, counted.layer(&name)?)
    }
}
