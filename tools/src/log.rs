//! The log of a run in open_clip's lines: on the terminal, in `out.log`, as JSON Lines.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use loader::{Batch, LoaderStats};
use trainer::metrics::Metrics;
use trainer::{Observer, Saved, StepReport, TrainReport};

use crate::{human, json};

/// A step as open_clip's log shows it.
pub fn step_line(step: &StepReport) -> String {
    let digits = step.samples_per_epoch.to_string().len();
    let percent = 100.0 * step.samples_seen as f64 / step.samples_per_epoch.max(1) as f64;
    let parts = match step.distill_loss {
        None => format!("Contrastive_loss: {:.5} ({:.5})", step.contrastive_loss, step.mean_loss),
        Some(distill) => format!("Contrastive_loss: {:.5} Distill_loss: {distill:.5}", step.contrastive_loss),
    };
    let mut line = format!(
        "Train Epoch: {} [{:>digits$}/{} ({percent:.0}%)] Data (t): {:.3} Batch (t): {:.3}, {:.1}/s, {:.1}/s/gpu \
         LR: {:.6} Logit Scale: {:.3} {parts} Loss: {:.5} ({:.5}) Stall: {:.1}% ({})",
        step.epoch,
        step.samples_seen,
        step.samples_per_epoch,
        step.data_seconds,
        step.step_seconds,
        step.samples_per_second,
        step.samples_per_second,
        step.lr,
        step.logit_scale,
        step.loss,
        step.mean_loss,
        100.0 * step.loading.stall_share,
        step.loading.bottleneck.as_str(),
    );
    if let Some(scale) = step.loss_scale {
        line.push_str(&format!(" Loss Scale: {scale}, {} skipped", step.skipped_steps));
    }
    line
}

/// A checkpoint as the log names it.
pub fn saved_line(saved: &Saved) -> String {
    format!("Checkpoint after epoch {}, step {}: {}", saved.epoch, saved.steps, saved.path.display())
}

/// An evaluation as open_clip's log shows it.
pub fn evaluation_line(metrics: &Metrics) -> String {
    let text = |(name, value): (&String, &serde_json::Value)| match value.as_f64() {
        Some(number) if value.is_f64() && number.abs() >= 1e6 => format!("{name}: {number:.4e}"),
        Some(number) if value.is_f64() => format!("{name}: {number:.4}"),
        _ => format!("{name}: {value}"),
    };
    let (epoch, others): (Vec<_>, Vec<_>) = metrics.entries().iter().partition(|(name, _)| *name == "epoch");
    let epoch = epoch.first().map_or(String::new(), |(_, epoch)| format!(" Epoch: {epoch}"));
    format!("Eval{epoch} {}", others.into_iter().map(text).collect::<Vec<_>>().join("\t"))
}

/// Whether a step is one of those that are logged: every so many of an epoch, and its last.
pub fn is_logged(step: &StepReport, log_every_n_steps: u64) -> bool {
    let last = step.step_in_epoch + 1 == step.steps_per_epoch;
    step.step_in_epoch.is_multiple_of(log_every_n_steps.max(1)) || last
}

/// The log's name in a run's folder, by whose presence a run is known.
pub const FILE: &str = "out.log";

/// `out.log`: the lines, what the run was told, warnings, and at the end what the loader met; each behind the time and the level,
/// as open_clip writes them.
#[derive(Debug)]
pub struct LogFile(File);

/// The log that warnings go to beside standard error, while there is one.
static WARNED: Mutex<Option<LogFile>> = Mutex::new(None);

/// Writes warnings to this log, too, from now on.
pub fn warn_also(log: LogFile) {
    *WARNED.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
}

/// Takes events that are formatted as ` WARN text`, a line each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Warnings;

impl Write for Warnings {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        if let Some(log) = WARNED.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let text = String::from_utf8_lossy(event);
            let (level, text) = text.trim().split_once(' ').unwrap_or(("WARN", ""));
            let level = if level == "WARN" { "WARNING" } else { level };
            // Told again it would come back here.
            let _ = log.write(level, text.trim_start());
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl LogFile {
    /// Opens `path`, at the end of what is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(file.with_context(|| format!("cannot write `{}`", path.display()))?))
    }

    /// Keeps other processes from writing it for as long as it is open; false where one does that already. A file system
    /// without locks has nothing to say.
    pub fn lock(&self) -> bool {
        !matches!(self.0.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// The same file once more.
    ///
    /// # Errors
    /// When the system has no handle left.
    pub fn again(&self) -> anyhow::Result<Self> {
        Ok(Self(self.0.try_clone().context(FILE)?))
    }

    /// A log that cannot be written must not end the training it tells of.
    pub fn line(&mut self, text: &str) {
        if let Err(error) = self.write("INFO", text) {
            tracing::warn!("cannot write out.log: {error}");
        }
    }

    fn write(&mut self, level: &str, text: &str) -> std::io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (year, month, day) = human::civil_date(now / 86_400);
        let [hour, minute, second] = [now / 3600 % 24, now / 60 % 60, now % 60];
        let time = format!("{year:04}-{month:02}-{day:02},{hour:02}:{minute:02}:{second:02}");
        // One write, so that lines of two threads do not mix.
        self.0.write_all(format!("{time} | {level} | {text}\n").as_bytes())
    }

    /// Hears of a run; steps as often as asked for.
    pub fn observer(self, log_every_n_steps: u64) -> impl Observer {
        LogObserver { file: self, log_every_n_steps }
    }
}

struct LogObserver {
    file: LogFile,
    log_every_n_steps: u64,
}

impl Observer for LogObserver {
    fn on_step(&mut self, step: &StepReport, _: &[Batch]) {
        if is_logged(step, self.log_every_n_steps) {
            self.file.line(&step_line(step));
        }
    }

    fn on_checkpoint(&mut self, saved: &Saved) {
        self.file.line(&saved_line(saved));
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        self.file.line(&evaluation_line(metrics));
    }

    fn on_end(&mut self, _: &TrainReport, loader: &LoaderStats) {
        let counted = serde_json::to_string(loader).unwrap_or_default();
        self.file.line(&format!("loader: {counted}"));
    }
}

/// `--json`: one line an event on standard output. A closed pipe ends the reader's interest, not the training.
pub struct JsonLines {
    /// Steps between two lines about steps.
    pub log_every_n_steps: u64,
}

impl Observer for JsonLines {
    fn on_step(&mut self, step: &StepReport, _: &[Batch]) {
        if is_logged(step, self.log_every_n_steps) {
            let _ = json::line("step", step);
        }
    }

    fn on_checkpoint(&mut self, saved: &Saved) {
        let _ = json::line("checkpoint", saved);
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        let _ = json::line("evaluation", metrics.entries());
    }
}
