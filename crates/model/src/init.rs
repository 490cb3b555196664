//! First values of parameters, drawn as open_clip distributes them. Every tensor has its own random stream, keyed by the
//! seed and its name, so that a value depends neither on the order of drawing nor on the device or number of threads.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::{InLayer, Result};
use crate::parameters::ParameterSpec;
use crate::random::{Stream, fill_normal};

/// Distribution of a parameter's first value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialisation {
    /// One value everywhere.
    Constant(f64),
    /// Normal around zero.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Normal around zero, but for one row of zeros: that of padding in a table.
    Padded {
        /// Standard deviation.
        std: f64,
        /// The row of zeros.
        row: usize,
    },
    /// Uniform around zero.
    Uniform {
        /// Largest absolute value.
        bound: f64,
    },
}

impl Initialisation {
    /// What PyTorch gives weights and biases of a layer with this many inputs: uniform to `1 / sqrt(inputs)`.
    pub fn default_linear(inputs: usize) -> Self {
        Self::Uniform { bound: 1.0 / (inputs as f64).sqrt() }
    }

    /// Xavier's uniform distribution.
    pub fn xavier(inputs: usize, outputs: usize) -> Self {
        Self::Uniform { bound: (6.0 / (inputs + outputs) as f64).sqrt() }
    }
}

/// Values drawn by one task; even, so that no pair of normal values is torn apart.
const TASK: usize = 16 * 1024;

/// Draws a parameter's first value.
///
/// # Errors
/// When the tensor cannot be made on the device.
pub fn draw(spec: &ParameterSpec, seed: u64, device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; spec.shape.iter().product()];
    let stream = Stream::new(seed, &spec.name);
    match spec.init {
        Initialisation::Constant(value) => values.fill(value as f32),
        Initialisation::Normal { std } => normal(&mut values, stream, std),
        Initialisation::Padded { std, row } => {
            normal(&mut values, stream, std);
            let width: usize = spec.shape.iter().skip(1).product();
            values[row * width..(row + 1) * width].fill(0.0);
        }
        Initialisation::Uniform { bound } => {
            fill(&mut values, |i| stream.uniform_pair(i).map(|v| (2.0 * v - 1.0) * bound))
        }
    }
    let drawn = Tensor::from_vec(values, spec.shape.as_slice(), device).layer(&spec.name)?;
    drawn.to_dtype(spec.role.dtype()).layer(&spec.name)
}

fn normal(values: &mut [f32], stream: Stream, std: f64) {
    in_tasks(values, |values, first| fill_normal(values, stream, first, std));
}

/// Fills with pairs: values `2 i` and `2 i + 1` come from `pair(i)`.
fn fill(values: &mut [f32], pair: impl Fn(u64) -> [f64; 2] + Sync) {
    in_tasks(values, |values, first| {
        for (i, values) in (first..).zip(values.chunks_mut(2)) {
            values.iter_mut().zip(pair(i)).for_each(|(value, drawn)| *value = drawn as f32);
        }
    });
}

/// Has all values drawn, a task's at a time, beginning at its first pair.
fn in_tasks(values: &mut [f32], draw: impl Fn(&mut [f32], u64) + Sync) {
    values.par_chunks_mut(TASK).enumerate().for_each(|(task, values)| draw(values, (task * TASK / 2) as u64));
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::{Initialisation, draw};
    use crate::parameters::{ParameterSpec, Role};

    fn values(name: &str, seed: u64, init: Initialisation) -> Vec<f32> {
        let spec = ParameterSpec { name: name.into(), shape: vec![40_001], init, role: Role::Parameter };
        draw(&spec, seed, &Device::Cpu).unwrap().to_vec1().unwrap()
    }

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        (mean, (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn distributions_have_their_moments() {
        let (mean, std) = moments(&values("a", 1, Initialisation::Normal { std: 0.02 }));
        assert!(mean.abs() < 4e-4 && (std - 0.02).abs() < 3e-4, "{mean} {std}");
        let uniform = values("a", 1, Initialisation::Uniform { bound: 0.5 });
        let (mean, std) = moments(&uniform);
        assert!(mean.abs() < 6e-3 && (std - 0.5 / 3f64.sqrt()).abs() < 3e-3, "{mean} {std}");
        assert!(uniform.iter().all(|v| v.abs() <= 0.5));
    }

    #[test]
    fn value_depends_on_seed_and_name_alone() {
        let init = Initialisation::Normal { std: 1.0 };
        assert_eq!(values("a", 1, init), values("a", 1, init));
        assert_ne!(values("a", 1, init), values("a", 2, init));
        assert_ne!(values("a", 1, init), values("b", 1, init));
    }
}
