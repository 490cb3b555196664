//! Everything that a run evaluates, opened once and run as often as it is due.

use loader::Stop;
use model::clip::Clip;
use model::tokenizer::Tokenizer;

use crate::error::Result;
use crate::evaluate::imagenet::Benchmark;
use crate::evaluate::robustness::effective_robustness;
use crate::evaluate::zero_shot::Prepared;
use crate::evaluate::{PairsReport, PairsTask, ZeroShotReport, ZeroShotTask};
use crate::metrics::Metrics;

/// What is evaluated.
#[derive(Default)]
pub struct Suite {
    zero_shot: Vec<(ZeroShotTask, Prepared)>,
    pairs: Option<PairsTask>,
}

/// What of it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The zero-shot tasks.
    pub zero_shot: bool,
    /// Loss and retrieval on pairs.
    pub pairs: bool,
}

impl Due {
    /// Everything.
    pub const ALL: Self = Self { zero_shot: true, pairs: true };

    /// Whether nothing is.
    pub fn is_nothing(self) -> bool {
        !self.zero_shot && !self.pairs
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// One report a task.
    pub zero_shot: Vec<ZeroShotReport>,
    /// Loss and retrieval, where they were due.
    pub pairs: Option<PairsReport>,
    /// All numbers under open_clip's names.
    pub metrics: Metrics,
}

impl Suite {
    /// Opens the pictures of every task, so that a bad one ends the run before it starts.
    ///
    /// # Errors
    /// When a folder or its classes are unusable.
    pub fn open(tasks: Vec<ZeroShotTask>, pairs: Option<PairsTask>) -> Result<Self> {
        let opened = |task: ZeroShotTask| {
            let prepared = task.prepare()?;
            Ok((task, prepared))
        };
        Ok(Self { zero_shot: tasks.into_iter().map(opened).collect::<Result<_>>()?, pairs })
    }

    /// Whether there is nothing to evaluate.
    pub fn is_empty(&self) -> bool {
        self.zero_shot.is_empty() && self.pairs.is_none()
    }

    /// Whether something of what is due exists.
    pub fn has(&self, due: Due) -> bool {
        (due.zero_shot && !self.zero_shot.is_empty()) || (due.pairs && self.pairs.is_some())
    }

    /// Runs what is due, after `epoch` completed epochs.
    ///
    /// # Errors
    /// The first of a task, and [`crate::Error::Interrupted`] once `stop` is set.
    pub fn run(&self, clip: &Clip, tokenizer: &Tokenizer, epoch: u64, due: Due, stop: &Stop) -> Result<Evaluated> {
        let mut found = Evaluated { metrics: Metrics::of_epoch(epoch), ..Evaluated::default() };
        if due.zero_shot {
            for (task, prepared) in &self.zero_shot {
                let report = task.run(clip, tokenizer, prepared, stop)?;
                found.metrics.extend(report.metrics(epoch));
                found.zero_shot.push(report);
            }
        }
        if let Some(pairs) = self.pairs.as_ref().filter(|_| due.pairs) {
            let report = pairs.run(clip, tokenizer, stop)?;
            report.add_to(&mut found.metrics);
            found.pairs = Some(report);
        }
        found.add_robustness();
        Ok(found)
    }
}

impl Evaluated {
    /// Takes a later evaluation in; what was not due in it stays.
    pub fn update(&mut self, later: Self) {
        if !later.zero_shot.is_empty() {
            self.zero_shot = later.zero_shot;
        }
        self.pairs = later.pairs.or(self.pairs.take());
        self.metrics = later.metrics;
    }

    /// Where accuracy on ImageNet and on ImageNet-V2 is known, how far the second is from what the first lets expect.
    fn add_robustness(&mut self) {
        let top1 = |benchmark: Benchmark| self.metrics.get(&format!("{}-top1", benchmark.metric()));
        if let (Some(imagenet), Some(v2)) = (top1(Benchmark::ImageNet), top1(Benchmark::V2)) {
            self.metrics.set("imagenetv2-effective-robustness", effective_robustness(imagenet, v2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robustness_needs_both_accuracies() {
        let mut found = Evaluated::default();
        found.metrics.set("imagenet-zeroshot-val-top1", 0.683);
        found.add_robustness();
        assert!(found.metrics.get("imagenetv2-effective-robustness").is_none());
        found.metrics.set("imagenetv2-zeroshot-val-top1", 0.619);
        found.add_robustness();
        let robustness = found.metrics.get("imagenetv2-effective-robustness").unwrap();
        assert!((robustness - effective_robustness(0.683, 0.619)).abs() < 1e-12);
    }
}
