//! Where logs, displays and evaluations attach to the training loop, so that the loop knows none of them.

use loader::{Batch, LoaderStats};
use model::clip::Clip;

use crate::error::Result;
use crate::metrics::Metrics;
use crate::report::{Saved, StepReport, TrainReport};

/// Hears of everything that happens in a run. What cannot be written while a run goes is a warning: a log must not end the
/// training it tells of, so whoever writes opens its files before the run begins.
pub trait Observer {
    /// A step was taken or skipped, on these batches. Every step is told; whoever listens picks.
    fn on_step(&mut self, _step: &StepReport, _batches: &[Batch]) {}

    /// A checkpoint was sealed.
    fn on_checkpoint(&mut self, _saved: &Saved) {}

    /// The evaluations of an epoch ended; all their metrics together, the epoch first.
    fn on_evaluation(&mut self, _metrics: &Metrics) {}

    /// The run ended or was interrupted.
    fn on_end(&mut self, _report: &TrainReport, _loader: &LoaderStats) {}
}

/// All of them, in order.
impl Observer for Vec<Box<dyn Observer + '_>> {
    fn on_step(&mut self, step: &StepReport, batches: &[Batch]) {
        self.iter_mut().for_each(|observer| observer.on_step(step, batches));
    }

    fn on_checkpoint(&mut self, saved: &Saved) {
        self.iter_mut().for_each(|observer| observer.on_checkpoint(saved));
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        self.iter_mut().for_each(|observer| observer.on_evaluation(metrics));
    }

    fn on_end(&mut self, report: &TrainReport, loader: &LoaderStats) {
        self.iter_mut().for_each(|observer| observer.on_end(report, loader));
    }
}

/// An evaluation that is due every so many epochs.
pub trait Evaluator {
    /// Metrics of the model after `epochs` completed epochs; `None` where nothing is due then.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] where a stop ends it, and what ends the run.
    fn evaluate(&mut self, clip: &Clip, epochs: u64) -> Result<Option<Metrics>>;
}

/// All of them, in order, their metrics together.
impl Evaluator for Vec<Box<dyn Evaluator + '_>> {
    fn evaluate(&mut self, clip: &Clip, epochs: u64) -> Result<Option<Metrics>> {
        let mut all: Option<Metrics> = None;
        for evaluator in self {
            if let Some(metrics) = evaluator.evaluate(clip, epochs)? {
                all.get_or_insert_with(Metrics::default).extend(metrics);
            }
        }
        Ok(all)
    }
}

/// How often something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    /// Epochs between two; 0 means never.
    pub every: u64,
    /// The last epoch, which counts always.
    pub last: u64,
}

impl Frequency {
    /// Whether it is due after `epochs` completed epochs.
    pub fn is_due(self, epochs: u64) -> bool {
        self.every > 0 && (epochs.is_multiple_of(self.every) || epochs == self.last)
    }
}

#[test]
fn the_last_epoch_counts_unless_never_is_meant() {
    let due = |every| (1..=5).filter(|epochs| Frequency { every, last: 5 }.is_due(*epochs)).collect::<Vec<_>>();
    assert_eq!((due(2), due(1), due(0)), (vec![2, 4, 5], vec![1, 2, 3, 4, 5], vec![]));
}
