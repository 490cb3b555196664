//! The time of a run: waiting for data told from computing, and a steady rate from single steps.

use std::collections::VecDeque;
use std::time::Instant;

/// Runs from the end of one step to the end of the next.
pub(crate) struct Clock {
    started: Instant,
    last: Instant,
    window: VecDeque<(f64, usize)>,
    stepping: f64,
    samples: u64,
}

impl Clock {
    /// Steps that the rate is a mean over.
    const WINDOW: usize = 50;

    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { started: now, last: now, window: VecDeque::with_capacity(Self::WINDOW), stepping: 0.0, samples: 0 }
    }

    /// Leaves out what happened since the last step.
    pub(crate) fn restart(&mut self) {
        self.last = Instant::now();
    }

    /// Seconds since the last step.
    pub(crate) fn waited(&self) -> f64 {
        self.last.elapsed().as_secs_f64()
    }

    /// Ends a step on so many samples; seconds since the one before.
    pub(crate) fn stepped(&mut self, samples: usize) -> f64 {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.stepping += seconds;
        self.samples += samples as u64;
        if self.window.len() == Self::WINDOW {
            self.window.pop_front();
        }
        self.window.push_back((seconds, samples));
        seconds
    }

    /// Samples per second over the last steps.
    pub(crate) fn recent_rate(&self) -> f64 {
        let seconds: f64 = self.window.iter().map(|(seconds, _)| seconds).sum();
        let samples: usize = self.window.iter().map(|(_, samples)| samples).sum();
        samples as f64 / seconds.max(f64::MIN_POSITIVE)
    }

    /// Samples per second over all steps.
    pub(crate) fn rate(&self) -> f64 {
        self.samples as f64 / self.stepping.max(f64::MIN_POSITIVE)
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
