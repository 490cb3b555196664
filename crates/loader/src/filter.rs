//! The weights by which Pillow's `BICUBIC` and `BILINEAR` sum up inputs to outputs, along one axis.

use std::ops::Range;

/// Fractional bits of a weight, as in Pillow's `Resample.c`.
pub(crate) const PRECISION_BITS: u32 = 22;

/// The curve of the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// Keys' cubic with a = −1/2.
    #[default]
    Bicubic,
    /// A triangle.
    Bilinear,
}

impl Interpolation {
    /// Half the width of the curve, in pixels of the smaller of the two scales.
    fn support(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Bilinear => 1.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        match self {
            Self::Bicubic => cubic(x),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
        }
    }
}

/// The weights of every output position.
#[derive(Default)]
pub(crate) struct Filter {
    curve: Interpolation,
    taps: Vec<Taps>,
    weights: Vec<i32>,
    /// Of one output, before they are made whole numbers.
    real: Vec<f64>,
}

/// The inputs of one output position, from `first` on.
struct Taps {
    first: usize,
    /// Where its weights are.
    weights: Range<usize>,
}

impl Filter {
    /// The curve of all weights from now on.
    pub(crate) fn set_curve(&mut self, curve: Interpolation) {
        self.curve = curve;
    }

    /// For the outputs `start..start + count` of `to`, which stand for `from` inputs.
    pub(crate) fn set(&mut self, from: u32, to: u32, start: u32, count: u32) {
        self.taps.clear();
        self.weights.clear();
        for output in start..start + count {
            let before = self.weights.len();
            let first = if from == to {
                self.weights.push(1 << PRECISION_BITS);
                output as usize
            } else {
                self.push_weights(from, to, output)
            };
            self.taps.push(Taps { first, weights: before..self.weights.len() });
        }
    }

    /// How many outputs there are.
    pub(crate) fn count(&self) -> usize {
        self.taps.len()
    }

    /// The first input of an output, and its weights.
    pub(crate) fn of(&self, output: usize) -> (usize, &[i32]) {
        let taps = &self.taps[output];
        (taps.first, &self.weights[taps.weights.clone()])
    }

    /// The inputs that any output needs.
    pub(crate) fn span(&self) -> Range<usize> {
        let start = self.taps.iter().map(|taps| taps.first).min().unwrap_or(0);
        let end = self.taps.iter().map(|taps| taps.first + taps.weights.len()).max().unwrap_or(0);
        start..end
    }

    /// The same for inputs of which the first `count` are not there.
    pub(crate) fn shift(&mut self, count: usize) {
        self.taps.iter_mut().for_each(|taps| taps.first -= count);
    }

    fn push_weights(&mut self, from: u32, to: u32, output: u32) -> usize {
        let scale = f64::from(from) / f64::from(to);
        let stretch = scale.max(1.0);
        let support = self.curve.support() * stretch;
        let centre = (f64::from(output) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from as usize);
        let curve = self.curve;
        let weight = |input: usize| curve.at((input as f64 - centre + 0.5) * (1.0 / stretch));
        self.real.clear();
        self.real.extend((first..end).map(weight));
        let sum: f64 = self.real.iter().sum();
        let sum = if sum == 0.0 { 1.0 } else { sum };
        self.weights.extend(self.real.iter().map(|weight| fixed_point(weight / sum)));
        first
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    (weight * f64::from(1 << PRECISION_BITS) + 0.5f64.copysign(weight)) as i32
}

/// Keys' cubic with a = −1/2, which is Catmull and Rom's.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_an_output_sum_up_to_one() {
        let mut filter = Filter::default();
        let sizes = [(300, 224), (224, 300), (7, 7), (5, 1), (1, 5), (4000, 3)];
        for (curve, (from, to)) in
            [Interpolation::Bicubic, Interpolation::Bilinear].iter().flat_map(|c| sizes.map(|s| (*c, s)))
        {
            filter.set_curve(curve);
            filter.set(from, to, 0, to);
            assert_eq!((filter.count(), filter.span()), (to as usize, 0..from as usize), "{from} to {to}");
            for output in 0..filter.count() {
                let sum: i32 = filter.of(output).1.iter().sum();
                assert!(
                    (sum - (1 << PRECISION_BITS)).abs() < 20 * (1 + from as i32 / to as i32),
                    "{from} to {to}: {sum}"
                );
            }
        }
    }
}
