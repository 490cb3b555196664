//! TensorBoard's event files, with open_clip's names: `train/…` by step, `val/…` by epoch, and a few of the first samples.

use std::path::Path;

use anyhow::Context;
use loader::{Batch, LoaderStats};
use trainer::metrics::Metrics;
use trainer::tensorboard::{EventFile, Shown};
use trainer::{Observer, StepReport, TrainReport};

use super::samples::{Texts, from_batch};
use crate::log::is_logged;

/// Samples that are shown.
const SAMPLES: usize = 8;

/// An event file and what goes into it.
pub struct Board {
    events: EventFile,
    log_every_n_steps: u64,
    /// Of the texts; none once the samples are shown.
    texts: Option<Texts>,
}

impl Board {
    /// Begins a file in `RUN/tensorboard`, with `params` as a text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(run: &Path, log_every_n_steps: u64, texts: Texts, params: &str) -> anyhow::Result<Self> {
        let mut events = EventFile::create(&run.join("tensorboard")).context("--report-to tensorboard")?;
        // Four spaces make a line code, which keeps its breaks.
        let listed: String = params.lines().map(|line| format!("    {line}\n")).collect();
        events.add(0, &[("params", Shown::Text(&listed))]).context("--report-to tensorboard")?;
        Ok(Self { events, log_every_n_steps, texts: Some(texts) })
    }

    /// What cannot be written must not end the training it tells of.
    fn add(&mut self, step: u64, values: &[(&str, Shown<'_>)]) {
        if let Err(error) = self.events.add(step, values).and_then(|()| self.events.flush()) {
            tracing::warn!("{error}");
        }
    }

    fn show_samples(&mut self, step: u64, batches: &[Batch]) {
        let (Some(texts), Some(batch)) = (self.texts.take(), batches.first()) else { return };
        let samples = from_batch(batch, &texts, SAMPLES);
        let tags: Vec<String> = (0..samples.len()).map(|i| format!("samples/{i}")).collect();
        let mut values = Vec::new();
        for (tag, sample) in tags.iter().zip(&samples) {
            let (width, height) = (sample.side, sample.side);
            values.push((tag.as_str(), Shown::Picture { encoded: &sample.png, width, height }));
        }
        let lines: Vec<String> = samples.iter().map(|sample| format!("{}: {}", sample.key, sample.text)).collect();
        let listed = lines.join("\n\n");
        values.push(("samples/texts", Shown::Text(&listed)));
        self.add(step, &values);
    }
}

impl Observer for Board {
    fn on_step(&mut self, step: &StepReport, batches: &[Batch]) {
        self.show_samples(step.step, batches);
        if !is_logged(step, self.log_every_n_steps) {
            return;
        }
        let mut values = vec![
            ("train/data_time", step.data_seconds),
            ("train/batch_time", step.step_seconds),
            ("train/samples_per_second", step.samples_per_second),
            ("train/samples_per_second_per_gpu", step.samples_per_second),
            ("train/scale", step.logit_scale),
            ("train/lr", step.lr),
            ("train/contrastive_loss", step.contrastive_loss),
            ("train/loss", step.loss),
            ("train/grad_norm", step.grad_norm),
            ("train/stall_share", step.loading.stall_share),
        ];
        values.extend(step.distill_loss.map(|loss| ("train/distill_loss", loss)));
        let values: Vec<_> = values.into_iter().map(|(tag, value)| (tag, Shown::Scalar(value))).collect();
        self.add(step.step, &values);
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        let epoch = metrics.get("epoch").map_or(0, |epoch| epoch as u64);
        let named = metrics.entries().iter().filter_map(|(name, value)| Some((format!("val/{name}"), value.as_f64()?)));
        let named: Vec<(String, f64)> = named.collect();
        let values: Vec<_> = named.iter().map(|(tag, value)| (tag.as_str(), Shown::Scalar(*value))).collect();
        self.add(epoch, &values);
    }

    fn on_end(&mut self, _: &TrainReport, _: &LoaderStats) {
        if let Err(error) = self.events.flush() {
            tracing::warn!("{error}");
        }
    }
}
