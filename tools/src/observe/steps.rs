//! `steps.jsonl`: what is drawn later, a line a logged step. Its format is told in [`crate::plot::record`].

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use loader::Batch;
use trainer::{Observer, StepReport};

use crate::log::is_logged;
use crate::plot::record::{STEPS_FILE, Step};

/// The file, open.
pub struct StepsFile {
    file: File,
    log_every_n_steps: u64,
}

impl StepsFile {
    /// Opens the file in a run's folder, at the end of what is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(run: &Path, log_every_n_steps: u64) -> anyhow::Result<Self> {
        let path = run.join(STEPS_FILE);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { file, log_every_n_steps })
    }
}

/// A step as it is kept.
pub fn kept(step: &StepReport) -> Step {
    Step {
        step: step.step,
        samples_seen: step.epoch * step.samples_per_epoch + step.samples_seen,
        loss: step.loss,
        lr: step.lr,
        logit_scale: step.logit_scale,
        samples_per_second: step.samples_per_second,
        stall_share: step.loading.stall_share,
    }
}

impl Observer for StepsFile {
    fn on_step(&mut self, step: &StepReport, _: &[Batch]) {
        if !is_logged(step, self.log_every_n_steps) {
            return;
        }
        let written = serde_json::to_string(&kept(step)).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|line| writeln!(self.file, "{line}")) {
            tracing::warn!("cannot write {STEPS_FILE}: {error}");
        }
    }
}
