//! The scale of a loss whose gradients pass through 16 bits, as `torch.amp.GradScaler` moves it.

use serde::{Deserialize, Serialize};

/// The factor on the loss, and what moves it. PyTorch's constants: it begins at 2^16, halves when a gradient overflows, and
/// doubles after 2,000 steps without one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScaler {
    /// The factor.
    pub scale: f64,
    /// Steps taken since it last changed.
    pub unbroken: u64,
    /// Steps that were skipped since the run began.
    pub skipped: u64,
}

const START: f64 = 65_536.0;
const GROWTH_INTERVAL: u64 = 2000;

impl Default for LossScaler {
    fn default() -> Self {
        Self { scale: START, unbroken: 0, skipped: 0 }
    }
}

impl LossScaler {
    /// A step was taken.
    pub(crate) fn took(&mut self) {
        self.unbroken += 1;
        if self.unbroken == GROWTH_INTERVAL {
            (self.scale, self.unbroken) = (2.0 * self.scale, 0);
        }
    }

    /// A gradient overflowed, and the step was skipped.
    pub(crate) fn skipped(&mut self) {
        *self = Self { scale: 0.5 * self.scale, unbroken: 0, skipped: self.skipped + 1 };
    }

    /// Below the smallest scale that helps: gradients of an unscaled loss overflow, too.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.scale < 1.0 / START
    }
}

#[test]
fn the_scale_moves_as_that_of_pytorch() {
    let mut scaler = LossScaler::default();
    scaler.skipped();
    assert_eq!((scaler.scale, scaler.skipped), (32_768.0, 1));
    (0..1999).for_each(|_| scaler.took());
    assert_eq!(scaler.scale, 32_768.0);
    scaler.took();
    assert_eq!((scaler.scale, scaler.unbroken), (65_536.0, 0));
    (0..40).for_each(|_| scaler.skipped());
    assert!(scaler.is_exhausted());
}
