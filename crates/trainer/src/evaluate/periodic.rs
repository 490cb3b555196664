//! Zero-shot evaluations that are due every so many epochs of a training run.

use std::sync::Arc;

use loader::Stop;
use model::clip::Clip;
use model::tokenizer::Tokenizer;

use super::zero_shot::Prepared;
use super::{ZeroShotReport, ZeroShotTask};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::observer::{Evaluator, Frequency};

/// Tasks, and what the last of their evaluations found.
pub struct PeriodicZeroShot<'a> {
    /// The tasks, opened.
    pub tasks: Vec<(ZeroShotTask, Prepared)>,
    /// How often they are due.
    pub frequency: Frequency,
    /// Tokenizer of the prompts.
    pub tokenizer: Arc<Tokenizer>,
    /// Ends an evaluation.
    pub stop: Stop,
    /// Takes the reports of each evaluation.
    pub keep: &'a mut Vec<ZeroShotReport>,
}

impl Evaluator for PeriodicZeroShot<'_> {
    fn evaluate(&mut self, clip: &Clip, epochs: u64) -> Result<Option<Metrics>> {
        if self.tasks.is_empty() || !self.frequency.is_due(epochs) {
            return Ok(None);
        }
        let evaluated =
            |(task, prepared): &(ZeroShotTask, Prepared)| task.run(clip, &self.tokenizer, prepared, &self.stop);
        *self.keep = self.tasks.iter().map(evaluated).collect::<Result<_>>()?;
        let mut metrics = Metrics::default();
        self.keep.iter().for_each(|report| metrics.extend(report.metrics(epochs)));
        Ok(Some(metrics))
    }
}
