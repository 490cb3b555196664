//! `report.html` of a run: written anew after each evaluation, each checkpoint, and at the end.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use loader::{Batch, LoaderStats};
use trainer::evaluate::Evaluated;
use trainer::metrics::Metrics;
use trainer::{Observer, Saved, StepReport, TrainReport};

use super::samples::{Texts, from_batch};
use super::steps::kept;
use crate::human;
use crate::log::is_logged;
use crate::plot::record::Record;
use crate::report::run::{RunReport, render};

/// Name of the page in a run's folder.
const FILE: &str = "report.html";

/// Samples that are shown.
const SAMPLES: usize = 16;

/// The page and what is on it.
pub struct Page {
    path: PathBuf,
    report: RunReport,
    log_every_n_steps: u64,
    texts: Texts,
    /// What the last evaluation found.
    found: Rc<RefCell<Evaluated>>,
}

impl Page {
    /// A page of the run in `folder`, which may have begun before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(
        folder: &Path,
        log_every_n_steps: u64,
        texts: Texts,
        params: &str,
        found: Rc<RefCell<Evaluated>>,
    ) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let record = Record::read(folder).unwrap_or_else(|_| Record {
            name: folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            ..Record::default()
        });
        let report =
            RunReport { record, params: params.to_owned(), state: "begins".to_owned(), ..RunReport::default() };
        std::fs::write(&path, render(&report)).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { path, report, log_every_n_steps, texts, found })
    }

    /// Whoever looks at the page sees the old one or the new one. One that cannot be written must not end the training.
    fn write(&mut self) {
        if let Some(pairs) = &self.found.borrow().pairs {
            self.report.examples.clone_from(&pairs.examples);
        }
        let open = self.path.with_extension("html.tmp");
        let written = std::fs::write(&open, render(&self.report)).and_then(|()| std::fs::rename(&open, &self.path));
        if let Err(error) = written {
            tracing::warn!("cannot write `{}`: {error}", self.path.display());
        }
    }
}

impl Observer for Page {
    fn on_step(&mut self, step: &StepReport, batches: &[Batch]) {
        if let (true, Some(batch)) = (self.report.samples.is_empty(), batches.first()) {
            self.report.samples = from_batch(batch, &self.texts, SAMPLES);
        }
        if is_logged(step, self.log_every_n_steps) {
            self.report.record.steps.push(kept(step));
            let (done, all) = (human::thousands(step.step + 1), human::thousands(step.total_steps));
            self.report.state = format!("step {done} of {all}, epoch {}", step.epoch + 1);
        }
    }

    fn on_checkpoint(&mut self, _: &Saved) {
        self.write();
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        self.report.record.evaluations.push(metrics.entries().clone());
        self.write();
    }

    fn on_end(&mut self, report: &TrainReport, loader: &LoaderStats) {
        let how = if report.interrupted { "interrupted" } else { "done" };
        let time = human::duration(Duration::try_from_secs_f64(report.seconds).unwrap_or_default());
        let counts = [human::counted(report.steps, "step"), human::counted(report.samples_seen, "pair")].join(", ");
        self.report.state = match report.samples_per_second > 0.0 {
            true => format!(
                "{how}: {counts}, {:.0} pairs a second, {time} since it was started last",
                report.samples_per_second
            ),
            // Started when nothing was left to train.
            false => format!("{how}: {counts}"),
        };
        if let Some(losses) = loader.losses() {
            self.report.state.push_str(&format!("; left out: {losses}"));
        }
        self.write();
    }
}
