//! Axes: from values to places, and the values to mark.

use crate::human;
use crate::report::scale::Scale;

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly.
    Linear,
    /// Evenly, with marks at whole numbers only: counts.
    Whole,
    /// By their logarithm.
    Log,
    /// By the logit, for shares: as in the papers about robustness.
    Logit,
}

/// One axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows.
    pub name: String,
    /// How values lie on it.
    pub spacing: Spacing,
}

/// An axis with its ends.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    spacing: Spacing,
    scale: Scale,
}

impl Axis {
    /// An axis of this name.
    pub fn new(name: &str, spacing: Spacing) -> Self {
        Self { name: name.to_owned(), spacing }
    }

    /// Whether a value has a place at all.
    pub fn takes(&self, value: f64) -> bool {
        match self.spacing {
            Spacing::Linear | Spacing::Whole => value.is_finite(),
            Spacing::Log => value > 0.0 && value.is_finite(),
            Spacing::Logit => value > 0.0 && value < 1.0,
        }
    }

    /// The axis from one place to another, for these values, with a little room around them.
    pub fn place(&self, values: impl Iterator<Item = f64>, range: [f64; 2]) -> Placed {
        let turned = values.filter(|value| self.takes(*value)).map(|value| turn(self.spacing, value));
        let (mut low, mut high) =
            turned.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = match self.spacing {
            _ if high > low => (high - low) * 0.05,
            Spacing::Linear | Spacing::Whole => (high.abs() * 0.2).max(1e-6),
            Spacing::Log | Spacing::Logit => 0.5,
        };
        // Counts and losses that begin at nothing are shown from there.
        let is_even = matches!(self.spacing, Spacing::Linear | Spacing::Whole);
        let starts_at_zero = is_even && low >= 0.0 && low <= 0.4 * high;
        let domain = [if starts_at_zero { 0.0 } else { low - room }, high + room];
        Placed { spacing: self.spacing, scale: Scale { domain, range } }
    }
}

fn turn(spacing: Spacing, value: f64) -> f64 {
    match spacing {
        Spacing::Linear | Spacing::Whole => value,
        Spacing::Log => value.log10(),
        Spacing::Logit => (value / (1.0 - value)).ln(),
    }
}

impl Placed {
    /// Where a value lies.
    pub fn at(&self, value: f64) -> f64 {
        self.scale.at(turn(self.spacing, value))
    }

    /// Where the axis begins and ends.
    pub fn ends(&self) -> [f64; 2] {
        self.scale.range
    }

    /// Round values within it, with their labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        match self.spacing {
            Spacing::Linear => self.scale.ticks(6),
            Spacing::Whole => self.whole_ticks(),
            Spacing::Log => self.log_ticks(),
            Spacing::Logit => {
                const SHARES: [f64; 15] =
                    [0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];
                self.within(SHARES.into_iter()).map(|share| (share, format!("{}%", trimmed(share * 100.0)))).collect()
            }
        }
    }

    fn whole_ticks(&self) -> Vec<(f64, String)> {
        let whole = self.scale.ticks(6).into_iter().map(|(value, _)| value).filter(|v| (v - v.round()).abs() < 1e-9);
        whole.filter(|value| *value >= 0.0).map(|value| (value, human::thousands(value.round() as u64))).collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let [low, high] = self.scale.domain;
        let decades = low.floor() as i32..=high.ceil() as i32;
        let of = |factors: &'static [f64]| {
            let values = decades.clone().flat_map(move |decade| factors.iter().map(move |f| f * 10f64.powi(decade)));
            self.within(values).collect::<Vec<_>>()
        };
        let powers = of(&[1.0]);
        // Within less than two decades, powers of ten are too few to read anything by.
        let values = match powers.len() {
            0..3 => of(&[1.0, 2.0, 3.0, 5.0, 7.0]),
            3..12 => powers,
            count => powers.into_iter().step_by(count / 6).collect(),
        };
        values.into_iter().map(|value| (value, scientific(value))).collect()
    }

    fn within(&self, values: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
        let [low, high] = self.scale.domain;
        values.filter(move |value| (low..=high).contains(&turn(self.spacing, *value)))
    }
}

/// `0.2`, `70`, `1,000`, `3e9`.
fn scientific(value: f64) -> String {
    match value {
        value if (1e-3..1e5).contains(&value) => trimmed(value),
        value => format!("{value:e}"),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_ends() {
        let ticks = |spacing, values: [f64; 2]| {
            let placed = Axis::new("x", spacing).place(values.into_iter(), [0.0, 100.0]);
            placed.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(
            ticks(Spacing::Log, [1e9, 4e12]),
            ["1000000000", "1e10", "1e11", "1e12"].map(|t| t.replace("1000000000", "1e9"))
        );
        assert_eq!(ticks(Spacing::Log, [0.2, 0.7]), ["0.2", "0.3", "0.5", "0.7"]);
        assert_eq!(ticks(Spacing::Logit, [0.3, 0.8]), ["30%", "40%", "50%", "60%", "70%", "80%"]);
        assert_eq!(ticks(Spacing::Whole, [2.0, 4.0]), ["2", "3", "4"]);
        assert_eq!(ticks(Spacing::Whole, [0.0, 60_000.0]).last().map(String::as_str), Some("60,000"));
        assert_eq!(ticks(Spacing::Linear, [0.0, 5.0]).first().map(String::as_str), Some("0"));
    }

    #[test]
    fn what_has_no_place_is_known() {
        let logit = Axis::new("x", Spacing::Logit);
        assert!(!logit.takes(0.0) && !logit.takes(1.0) && logit.takes(0.5));
        assert!(!Axis::new("x", Spacing::Log).takes(0.0) && !Axis::new("x", Spacing::Linear).takes(f64::NAN));
        let nothing = logit.place(std::iter::empty(), [0.0, 9.0]);
        assert!(nothing.at(0.5).is_finite());
    }
}
