//! AdamW's three passes over a tensor: fused and multi-threaded in f32 on the CPU, composed of
//! tensor operations elsewhere.

use candle_core::{CpuStorage, DType, Device, InplaceOp2, InplaceOp3, Layout, Result, Tensor, bail};
use rayon::prelude::*;

/// Elements one task works on: large enough to hide the hand-over, small enough to stay in cache.
const CHUNK: usize = 1 << 14;

/// `beta·moment + (1−beta)·gradient`, or of the gradient's square. On the CPU the moment is
/// overwritten and handed back.
pub(super) fn decay_moment(moment: &Tensor, gradient: &Tensor, beta: f64, power: Power) -> Result<Tensor> {
    if is_fusable(moment) {
        moment.inplace_op2(&gradient.contiguous()?, &DecayMoment { beta: beta as f32, power })?;
        return Ok(moment.clone());
    }
    let addend = match power {
        Power::First => gradient.clone(),
        Power::Second => gradient.sqr()?,
    };
    (moment * beta)? + (addend * (1.0 - beta))?
}

/// What of the gradient a moment averages.
#[derive(Clone, Copy)]
pub(super) enum Power {
    First,
    Second,
}

struct DecayMoment {
    beta: f32,
    power: Power,
}

impl InplaceOp2 for DecayMoment {
    fn name(&self) -> &'static str {
        "adamw-moment"
    }

    fn cpu_fwd(&self, moment: &mut CpuStorage, ml: &Layout, gradient: &CpuStorage, gl: &Layout) -> Result<()> {
        let (moment, gradient) = (slice_mut(moment, ml)?, slice(gradient, gl)?);
        let (keep, add) = (self.beta, 1.0 - self.beta);
        let pairs = moment.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        match self.power {
            Power::First => pairs.for_each(|(m, g)| {
                m.iter_mut().zip(g).for_each(|(m, g)| *m = keep * *m + add * g);
            }),
            Power::Second => pairs.for_each(|(m, g)| {
                m.iter_mut().zip(g).for_each(|(m, g)| *m = keep * *m + add * (g * g));
            }),
        }
        Ok(())
    }
}

/// One AdamW step of a parameter, from moments that hold this step's gradient already.
pub(super) struct Update {
    /// `1 − lr·wd`, applied before the step.
    pub shrink: f64,
    /// `lr / (1 − beta1^t)`.
    pub rate: f64,
    /// `sqrt(1 − beta2^t)`.
    pub second_correction: f64,
    /// Added to the corrected root of the second moment.
    pub eps: f64,
}

impl Update {
    /// `shrink·parameter − rate · first / (sqrt(second)/second_correction + eps)`. On the CPU the
    /// parameter is overwritten and handed back.
    pub(super) fn apply(&self, parameter: &Tensor, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        if is_fusable(parameter) {
            parameter.inplace_op3(first, second, self)?;
            return Ok(parameter.clone());
        }
        let root = ((second.sqrt()? / self.second_correction)? + self.eps)?;
        (parameter * self.shrink)? - ((first / root)? * self.rate)?
    }
}

impl InplaceOp3 for Update {
    fn name(&self) -> &'static str {
        "adamw-update"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        pl: &Layout,
        first: &CpuStorage,
        fl: &Layout,
        second: &CpuStorage,
        sl: &Layout,
    ) -> Result<()> {
        let (parameter, first, second) = (slice_mut(parameter, pl)?, slice(first, fl)?, slice(second, sl)?);
        let (shrink, rate) = (self.shrink as f32, self.rate as f32);
        let (correction, eps) = (self.second_correction as f32, self.eps as f32);
        let chunks = parameter.par_chunks_mut(CHUNK).zip(first.par_chunks(CHUNK)).zip(second.par_chunks(CHUNK));
        chunks.for_each(|((p, m), v)| {
            for ((p, m), v) in p.iter_mut().zip(m).zip(v) {
                *p = shrink * *p - rate * (m / (v.sqrt() / correction + eps));
            }
        });
        Ok(())
    }
}

/// Whether the fused kernels can run on `tensor`.
fn is_fusable(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu) && tensor.dtype() == DType::F32 && tensor.is_contiguous()
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("adamw: expected a contiguous tensor, got shape {:?}", layout.shape()),
    }
}

fn slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        (storage, _) => {
            let dtype = candle_core::backend::BackendStorage::dtype(storage);
            bail!("adamw: expected contiguous {:?}, got {dtype:?} of shape {:?}", DType::F32, layout.shape())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_and_composed_steps_agree() {
        let device = Device::Cpu;
        let wave = |phase: f32| -> Vec<f32> { (0..70_000).map(|i| (i as f32 * 0.37 + phase).sin()).collect() };
        let tensor = |phase| Tensor::from_vec(wave(phase), (700, 100), &device).unwrap();
        let (gradient, moment, parameter) = (tensor(0.1), tensor(1.0), tensor(2.0));
        // A transposed tensor is not contiguous, so it takes the composed way.
        let composed_moment = decay_moment(&moment.t().unwrap(), &gradient.t().unwrap(), 0.9, Power::Second).unwrap();
        let second = composed_moment.abs().unwrap();
        let update = Update { shrink: 0.99, rate: 1e-2, second_correction: 0.3, eps: 1e-6 };
        let composed = update.apply(&parameter.t().unwrap(), &gradient.t().unwrap(), &second).unwrap();
        let fused_moment = decay_moment(&moment, &gradient, 0.9, Power::Second).unwrap();
        let fused = update.apply(&parameter, &gradient, &second.t().unwrap().contiguous().unwrap()).unwrap();
        for (fused, composed) in [(fused_moment, composed_moment), (fused, composed)] {
            let distance = (fused - composed.t().unwrap()).unwrap().abs().unwrap().max_all().unwrap();
            assert!(distance.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }
}
