//! Progress as a terminal shows it: live lines where there is a terminal, nothing where there is none
//! (there, callers print a plain line now and then).

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A live line on standard error that is drawn only on a terminal and wiped at the end.
pub fn live_line() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let style =
        ProgressStyle::with_template("{spinner:.cyan} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(125));
    bar
}

/// A few lines on standard error that change in place, drawn only on a terminal. Lines longer than it are cut.
pub struct LiveLines {
    group: MultiProgress,
    lines: [ProgressBar; 3],
}

/// Lines without text yet.
pub fn live_lines() -> LiveLines {
    let group = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    let line = |template: &str| {
        let bar = group.add(ProgressBar::new_spinner());
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar
    };
    // Colours stand outside the text, which the terminal's width cuts.
    let lines = [line("{spinner:.cyan} {wide_msg}"), line("  {wide_msg:.yellow}"), line("  {wide_msg:.yellow}")];
    LiveLines { group, lines }
}

impl LiveLines {
    /// Whether there is no terminal to draw on.
    pub fn is_hidden(&self) -> bool {
        self.group.is_hidden()
    }

    /// Shows these texts in place of the ones before.
    pub fn show(&self, texts: &[String; 3]) {
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text.clone());
            line.tick();
        }
    }

    /// Leaves the terminal as it was.
    pub fn wipe(&self) {
        for line in &self.lines {
            line.finish_and_clear();
        }
        // Where nothing can be wiped there is nothing to be done about it.
        let _ = self.group.clear();
    }
}

/// What is said when a program begins to stop.
pub const STOPPING: &str = "stopping; once more to stop at once";

/// How a program was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, or the SIGUSR1 that schedulers announce pre-emption with.
    Terminate,
}

/// Calls `stop` at the first Ctrl-C, SIGTERM or SIGUSR1, and ends the process at a Ctrl-C after that. Further SIGTERM and
/// SIGUSR1 mean no more than the first: schedulers send them to every process of a job.
///
/// # Errors
/// When the watcher thread cannot be started.
#[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
pub fn on_request(stop: impl FnOnce(Asked) + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Watched from here on, so that a signal that comes before the thread runs is not lost, or the end.
    let guard = runtime.enter();
    use tokio::signal::unix::{SignalKind, signal};
    let [mut interrupt, mut terminate, mut preempt] =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::user_defined1())?];
    drop(guard);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let asked = tokio::select! {
                _ = interrupt.recv() => Asked::Interrupt,
                _ = terminate.recv() => Asked::Terminate,
                _ = preempt.recv() => Asked::Terminate,
            };
            stop(asked);
            interrupt.recv().await;
            std::process::exit(130);
        });
    })?;
    Ok(())
}

/// Calls `stop`, which says so, at the first Ctrl-C, SIGTERM or SIGUSR1, and ends the process at the second.
///
/// # Errors
/// When the watcher thread cannot be started.
#[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
pub fn on_interrupt(stop: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            // Not SIGHUP: a handler would undo what `nohup` did.
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::user_defined1()];
            let [Ok(mut interrupt), Ok(mut terminate), Ok(mut preempt)] = kinds.map(signal) else { return };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = preempt.recv() => {} }
            stop();
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            // What a shell expects of a program that Ctrl-C ended.
            std::process::exit(130);
        });
    })?;
    Ok(())
}
