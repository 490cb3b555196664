//! How fast a count grows just now: its growth over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back "just now" goes.
const WINDOW: Duration = Duration::from_secs(10);

/// Growth of a few counts, looked at again and again.
#[derive(Debug)]
pub struct Pace<const N: usize> {
    looks: VecDeque<(Instant, [u64; N])>,
}

impl<const N: usize> Pace<N> {
    /// Counts that start at zero.
    pub fn starting(now: Instant) -> Self {
        Self { looks: [(now, [0; N])].into() }
    }

    /// The growth of each count by second, at a look now.
    pub fn look(&mut self, now: Instant, counts: [u64; N]) -> [f64; N] {
        self.looks.push_back((now, counts));
        // The first look kept is the last one that the window does not reach.
        while self.looks.len() > 2 && now.duration_since(self.looks[1].0) >= WINDOW {
            self.looks.pop_front();
        }
        let (then, before) = self.looks[0];
        let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
        std::array::from_fn(|i| counts[i].saturating_sub(before[i]) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let start = Instant::now();
        let mut pace = Pace::starting(start);
        let mut rate = [0.0];
        for second in 1..=60 {
            let count = if second <= 30 { second * 100 } else { 3000 + (second - 30) * 10 };
            rate = pace.look(start + Duration::from_secs(second), [count]);
        }
        assert!((rate[0] - 10.0).abs() < 1e-9, "{rate:?}");
        assert!(pace.looks.len() < 15);
    }
}
