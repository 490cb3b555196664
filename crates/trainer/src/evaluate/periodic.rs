//! Evaluations that are due every so many epochs of a training run.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use loader::Stop;
use model::clip::Clip;
use model::tokenizer::Tokenizer;

use super::{Due, Evaluated, Suite};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::observer::{Evaluator, Frequency};

/// A suite, how often its parts are due, and what the last evaluation found.
pub struct Periodic {
    /// What is evaluated.
    pub suite: Suite,
    /// How often the zero-shot tasks are due.
    pub zero_shot: Frequency,
    /// How often loss and retrieval are.
    pub pairs: Frequency,
    /// Tokenizer of prompts and captions.
    pub tokenizer: Arc<Tokenizer>,
    /// Ends an evaluation.
    pub stop: Stop,
    /// What else is known after so many epochs, for whoever reads the metrics later.
    pub facts: Box<dyn Fn(u64) -> Metrics>,
    /// Takes what was found; reports of tasks that were not due stay.
    pub keep: Rc<RefCell<Evaluated>>,
}

impl Evaluator for Periodic {
    fn evaluate(&mut self, clip: &Clip, epochs: u64) -> Result<Option<Metrics>> {
        let due = Due { zero_shot: self.zero_shot.is_due(epochs), pairs: self.pairs.is_due(epochs) };
        if !self.suite.has(due) {
            return Ok(None);
        }
        let found = self.suite.run(clip, &self.tokenizer, epochs, due, &self.stop)?;
        let mut metrics = found.metrics.clone();
        metrics.extend((self.facts)(epochs));
        self.keep.borrow_mut().update(found);
        Ok(Some(metrics))
    }
}
