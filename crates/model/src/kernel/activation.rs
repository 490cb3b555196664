//! GELU by the error function, and QuickGELU `x · sigmoid(1.702 x)`, each with its derivative.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::host::{HostSlice, on_host, tensor, written};
use super::isa::multiversion;
use super::lanes::{erf, exp, fma};
use super::narrow::{narrow_on_host, wide};

/// Which activation a model uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)`, the exact form.
    Gelu,
    /// `x · sigmoid(1.702 x)`, the form of the first CLIP weights.
    QuickGelu,
}

/// Values that one task handles: input and output together stay in the second-level cache.
const TASK: usize = 32 * 1024;
const QUICK: f32 = 1.702;
/// `1 / sqrt(2 π)`.
const DENSITY: f32 = 0.398_942_3;

/// The activation of every value; the shape stays.
///
/// # Errors
/// From candle.
#[allow(unsafe_code)]
pub fn forward(x: &Tensor, activation: Activation) -> Result<Tensor> {
    if let Some(narrow) = narrow_on_host(x) {
        return forward(&wide(x)?, activation)?.to_dtype(narrow);
    }
    if !on_host(&[x]) {
        return composed_forward(x, activation);
    }
    let x = x.contiguous()?;
    let loop_over = match activation {
        Activation::Gelu => gelu,
        Activation::QuickGelu => quick_gelu,
    };
    let values = {
        let from = HostSlice::of(&x)?;
        // SAFETY: the loops set a value for each one they read.
        unsafe {
            written(from.len(), |to| {
                to.par_chunks_mut(TASK).zip(from.par_chunks(TASK)).for_each(|(to, from)| loop_over(from, to));
            })
        }
    };
    tensor(values, x.shape())
}

/// `dy` times the derivative at `x`.
///
/// # Errors
/// When the shapes differ, or from candle.
#[allow(unsafe_code)]
pub fn backward(x: &Tensor, dy: &Tensor, activation: Activation) -> Result<Tensor> {
    if x.dims() != dy.dims() {
        candle_core::bail!("activation: gradient has shape {:?}, expected {:?}", dy.dims(), x.dims());
    }
    if let Some(narrow) = narrow_on_host(x) {
        return backward(&wide(x)?, &wide(dy)?, activation)?.to_dtype(narrow);
    }
    if !on_host(&[x, dy]) {
        return composed_backward(x, dy, activation);
    }
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    let loop_over = match activation {
        Activation::Gelu => gelu_backward,
        Activation::QuickGelu => quick_gelu_backward,
    };
    let values = {
        let (at, gradient) = (HostSlice::of(&x)?, HostSlice::of(&dy)?);
        let inputs = at.par_chunks(TASK).zip(gradient.par_chunks(TASK));
        // SAFETY: the loops set a value for each pair they read; both slices have the length of the result.
        unsafe {
            written(at.len(), |to| {
                to.par_chunks_mut(TASK).zip(inputs).for_each(|(to, (at, gradient))| loop_over(at, gradient, to));
            })
        }
    };
    tensor(values, x.shape())
}

/// [`forward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_forward(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::QuickGelu => x.mul(&sigmoid(&(x * f64::from(QUICK))?)?),
    }
}

/// [`backward`] out of candle operations, for every device and type.
///
/// # Errors
/// From candle.
pub fn composed_backward(x: &Tensor, dy: &Tensor, activation: Activation) -> Result<Tensor> {
    let slope = match activation {
        Activation::Gelu => {
            let cumulative = ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?.affine(0.5, 0.0)?;
            let density = ((x.sqr()? * -0.5)?.exp()? * f64::from(DENSITY))?;
            (cumulative + (x * density)?)?
        }
        Activation::QuickGelu => {
            let s = sigmoid(&(x * f64::from(QUICK))?)?;
            let rising = ((x * &s)? * (1.0 - &s)?)?;
            (s + (rising * f64::from(QUICK))?)?
        }
    };
    dy.mul(&slope)
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    ((x.neg()?.exp()? + 1.0)?).recip()
}

#[inline(always)]
fn gelu_body<const FMA: bool>(from: &[f32], to: &mut [MaybeUninit<f32>]) {
    for (y, &x) in to.iter_mut().zip(from) {
        let half = 0.5 * x;
        y.write(fma::<FMA>(half, erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2), half));
    }
}

#[inline(always)]
fn quick_gelu_body<const FMA: bool>(from: &[f32], to: &mut [MaybeUninit<f32>]) {
    for (y, &x) in to.iter_mut().zip(from) {
        y.write(x / (1.0 + exp::<FMA>(-QUICK * x)));
    }
}

#[inline(always)]
fn gelu_backward_body<const FMA: bool>(at: &[f32], gradient: &[f32], to: &mut [MaybeUninit<f32>]) {
    for ((dx, &x), &dy) in to.iter_mut().zip(at).zip(gradient) {
        let cumulative = fma::<FMA>(0.5, erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2), 0.5);
        let density = DENSITY * exp::<FMA>(-0.5 * x * x);
        dx.write(dy * fma::<FMA>(x, density, cumulative));
    }
}

#[inline(always)]
fn quick_gelu_backward_body<const FMA: bool>(at: &[f32], gradient: &[f32], to: &mut [MaybeUninit<f32>]) {
    for ((dx, &x), &dy) in to.iter_mut().zip(at).zip(gradient) {
        let s = 1.0 / (1.0 + exp::<FMA>(-QUICK * x));
        dx.write(dy * fma::<FMA>(QUICK * x * s, 1.0 - s, s));
    }
}

multiversion! { fn gelu(from: &[f32], to: &mut [MaybeUninit<f32>]) = gelu_body }
multiversion! { fn quick_gelu(from: &[f32], to: &mut [MaybeUninit<f32>]) = quick_gelu_body }
multiversion! { fn gelu_backward(at: &[f32], gradient: &[f32], to: &mut [MaybeUninit<f32>]) = gelu_backward_body }
multiversion! { fn quick_gelu_backward(at: &[f32], gradient: &[f32], to: &mut [MaybeUninit<f32>]) = quick_gelu_backward_body }

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::{Activation, backward, composed_backward, composed_forward, forward};
    use crate::kernel::{assert_close, fixed};

    #[test]
    fn kernels_agree_with_composed_operations() -> Result<()> {
        let x = (fixed(&[7, 33], 1) * 6.0)?;
        let dy = fixed(&[7, 33], 2);
        for activation in [Activation::Gelu, Activation::QuickGelu] {
            assert_close(&forward(&x, activation)?, &composed_forward(&x, activation)?, 2e-6);
            assert_close(&backward(&x, &dy, activation)?, &composed_backward(&x, &dy, activation)?, 4e-6);
        }
        Ok(())
    }

    #[test]
    fn slopes_are_those_of_finite_differences() -> Result<()> {
        let x = Tensor::arange_step(-4f64, 4.0, 0.37, &Device::Cpu)?;
        let step = 1e-5;
        for activation in [Activation::Gelu, Activation::QuickGelu] {
            let above = composed_forward(&(&x + step)?, activation)?;
            let slope = ((above - composed_forward(&(&x - step)?, activation)?)? / (2.0 * step))?;
            let got = backward(
                &x.to_dtype(candle_core::DType::F32)?,
                &x.ones_like()?.to_dtype(candle_core::DType::F32)?,
                activation,
            )?;
            assert_close(&got, &slope.to_dtype(candle_core::DType::F32)?, 2e-6);
        }
        Ok(())
    }
}
