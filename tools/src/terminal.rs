//! Progress as a terminal shows it: one live line where there is a terminal, nothing where there is none
//! (there, callers print a plain line now and then).

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A live line on standard error that is drawn only on a terminal and wiped at the end.
pub fn live_line() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let style =
        ProgressStyle::with_template("{spinner:.cyan} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(125));
    bar
}

/// Calls `stop` at the first Ctrl-C or SIGTERM, and ends the process at the second.
///
/// # Errors
/// When the watcher thread cannot be started.
#[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
pub fn on_interrupt(stop: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            stop();
            eprintln!("stopping; once more to stop at once");
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            // What a shell expects of a program that Ctrl-C ended.
            std::process::exit(130);
        });
    })?;
    Ok(())
}
