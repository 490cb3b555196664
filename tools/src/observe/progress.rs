//! The progress of a run on a terminal: a bar over all steps with the rate, the share of waiting, what limits it, and the time
//! that is left; log lines pass by above it. Without a terminal there are the lines alone.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loader::{Batch, LoaderStats};
use trainer::metrics::Metrics;
use trainer::{Observer, Saved, StepReport, TrainReport};

use crate::human;
use crate::log::{evaluation_line, is_logged, saved_line, step_line};

/// Lines and bar.
pub struct Progress {
    bar: ProgressBar,
    log_every_n_steps: u64,
    /// Operations of a step's pair, forward and backward, and those that the device can do in a second; none where that is
    /// not known.
    arithmetic: Option<(f64, f64)>,
}

impl Progress {
    /// Lines every so many steps. `flops_per_pair` are the operations of a pair, forward alone; `device_flops` those that
    /// the device can do in a second, where that is known.
    pub fn new(log_every_n_steps: u64, flops_per_pair: f64, device_flops: Option<f64>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        // Backward costs twice what forward does.
        let arithmetic = device_flops.map(|device| (3.0 * flops_per_pair, device));
        Self { bar, log_every_n_steps, arithmetic }
    }

    fn line(&self, line: &str) {
        self.bar.suspend(|| crate::note!("{line}"));
    }
}

/// What stands beside the bar.
fn beside(step: &StepReport, arithmetic: Option<(f64, f64)>) -> String {
    let mut text = format!("loss {:.3}  {:.1}/s", step.mean_loss, step.samples_per_second);
    if let Some((per_pair, device)) = arithmetic {
        text.push_str(&format!("  MFU {:.0}%", 100.0 * per_pair * step.samples_per_second / device));
    }
    let (stall, limit) = (100.0 * step.loading.stall_share, step.loading.bottleneck.as_str());
    text.push_str(&format!("  stall {stall:.0}% ({limit})"));
    if let Some(left) = time_left(step) {
        text.push_str(&format!("  {} left", human::duration(left)));
    }
    text
}

/// By the rate of the last steps, without evaluations to come.
fn time_left(step: &StepReport) -> Option<Duration> {
    let steps = step.total_steps.saturating_sub(step.step + 1);
    let per_step = step.samples_per_epoch as f64 / step.steps_per_epoch.max(1) as f64;
    let seconds = steps as f64 * per_step / step.samples_per_second;
    (seconds.is_finite() && seconds < 1e9).then(|| Duration::from_secs_f64(seconds))
}

impl Observer for Progress {
    fn on_step(&mut self, step: &StepReport, _: &[Batch]) {
        if self.bar.length().is_none() {
            let style = ProgressStyle::with_template("{bar:24.cyan/dim} {pos}/{len}  {wide_msg}");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.set_length(step.total_steps);
        }
        self.bar.set_position(step.step + 1);
        self.bar.set_message(beside(step, self.arithmetic));
        if is_logged(step, self.log_every_n_steps) {
            self.line(&step_line(step));
        }
    }

    fn on_checkpoint(&mut self, saved: &Saved) {
        self.line(&saved_line(saved));
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        self.line(&evaluation_line(metrics));
    }

    fn on_end(&mut self, _: &TrainReport, _: &LoaderStats) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use loader::{Bottleneck, LoaderMetrics};

    use super::*;

    fn step() -> StepReport {
        let loading = LoaderMetrics {
            stall_share: 0.031,
            read_ms: 0.0,
            decode_ms: 0.0,
            decode_p50_ms: 0.0,
            decode_p99_ms: 0.0,
            transform_ms: 0.0,
            tokenize_ms: 0.0,
            assemble_ms: 0.0,
            samples_queued: 0.0,
            batches_ready: 0.0,
            bottleneck: Bottleneck::Decoding,
        };
        StepReport {
            epoch: 0,
            step: 9,
            step_in_epoch: 9,
            steps_per_epoch: 20,
            total_steps: 40,
            samples_seen: 640,
            samples_per_epoch: 1280,
            loss: 3.0,
            contrastive_loss: 3.0,
            distill_loss: None,
            mean_loss: 3.25,
            lr: 1e-3,
            logit_scale: 14.3,
            grad_norm: 1.0,
            loss_scale: None,
            skipped_steps: 0,
            data_seconds: 0.01,
            step_seconds: 0.5,
            samples_per_second: 128.0,
            loading,
        }
    }

    #[test]
    fn the_bar_tells_rate_waiting_limit_and_time_left() {
        let told = beside(&step(), None);
        assert_eq!(told, "loss 3.250  128.0/s  stall 3% (decoding)  15.0s left");
        let on_gpu = beside(&step(), Some((3e9, 1.92e12)));
        assert!(on_gpu.contains("MFU 20%"), "{on_gpu}");
    }
}
