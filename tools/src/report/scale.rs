//! From values to places in a chart, and the round numbers to mark on its axes.

use crate::human;

/// A straight line from values to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Smallest and largest value.
    pub domain: [f64; 2],
    /// Where they are drawn.
    pub range: [f64; 2],
}

impl Scale {
    /// The place of `value`.
    pub fn at(&self, value: f64) -> f64 {
        let [low, high] = self.domain;
        let span = if high > low { high - low } else { 1.0 };
        self.range[0] + (value - low) / span * (self.range[1] - self.range[0])
    }

    /// About `count` round values within the domain, with their labels.
    pub fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let [low, high] = self.domain;
        if !(low.is_finite() && high.is_finite()) || high <= low || count == 0 {
            return Vec::new();
        }
        let step = round_step((high - low) / count as f64);
        let first = (low / step).ceil();
        let number = ((high - first * step) / step + 1e-9).floor() as usize;
        (0..=number).map(|i| (first + i as f64) * step).map(|value| (value, label(value, step))).collect()
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * 0.999);
    round.unwrap_or(10.0) * power
}

fn label(value: f64, step: f64) -> String {
    if step >= 1.0 && value >= 0.0 {
        return human::thousands(value.round() as u64);
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64) -> Vec<String> {
        let scale = Scale { domain: [low, high], range: [0.0, 1.0] };
        scale.ticks(5).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_domain() {
        assert_eq!(labels(0.0, 5.1), ["0", "2", "4"]);
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(1.0, 6000.0), ["2,000", "4,000", "6,000"]);
        assert_eq!(labels(0.1, 0.35), ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]);
        assert!(labels(1.0, 1.0).is_empty() && labels(f64::NAN, 1.0).is_empty());
    }

    #[test]
    fn a_scale_maps_its_ends_to_its_ends() {
        let scale = Scale { domain: [2.0, 4.0], range: [100.0, 0.0] };
        assert_eq!((scale.at(2.0), scale.at(3.0), scale.at(4.0)), (100.0, 50.0, 0.0));
        assert!(Scale { domain: [1.0, 1.0], range: [0.0, 9.0] }.at(1.0).is_finite());
    }
}
