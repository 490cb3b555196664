//! How long a place far away is waited for: pauses between tries, and what is left of them once the process is told to end.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::block_on;

/// Pauses before a request is sent anew, where the other side asks for no longer one.
pub(in crate::store) const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(10)];

/// Servers may ask for hours; nobody waits for them.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a request may still take once the process is told to end: enough to tidy up where the place answers at all.
const LAST: Duration = Duration::from_secs(10);

/// What is said of an answer that did not come in that time.
pub(in crate::store) const TOO_LATE: &str = "no answer came in time after the process was told to end";

static HURRIED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// Ends all pauses, and lets no request of this process take longer than ten seconds from now on. For a process that is
/// told to end: what it has begun to write fails, or is there soon.
pub fn hurry() {
    HURRIED.send_replace(true);
}

async fn hurried() {
    // The sender is never dropped, so waiting cannot fail.
    let _ = HURRIED.subscribe().wait_for(|hurried| *hurried).await;
}

/// What one try came to.
pub(in crate::store) enum Attempt<T, E> {
    /// An answer that another try would not change.
    Over(T),
    /// A failure that may pass, and the pause that the other side asks for.
    Passing(E, Duration),
}

/// Tries until an attempt is over, with pauses between; the last failure where none of them is. `told` says what failed;
/// `failed` makes an error of what keeps this process from waiting.
pub(in crate::store) fn attempts<T, E, D: Display, F>(
    mut attempt: impl FnMut() -> Result<Attempt<T, E>, F>,
    told: impl Fn(&E) -> D,
    failed: impl Fn(io::Error) -> F,
) -> Result<Result<T, E>, F> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let (why, asked_for) = match attempt()? {
            Attempt::Over(answer) => return Ok(Ok(answer)),
            Attempt::Passing(why, asked_for) => (why, asked_for),
        };
        let Some(pause) = pauses.next() else { return Ok(Err(why)) };
        let pause = pause.max(asked_for).min(LONGEST_PAUSE);
        tracing::warn!("{}; trying again in {:.1} s", told(&why), pause.as_secs_f64());
        if !block_on(self::pause(pause)).map_err(&failed)? {
            return Ok(Err(why));
        }
    }
}

/// Waits; whether there is time for another try.
pub(in crate::store) async fn pause(pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = hurried() => false,
        () = sleep(pause) => true,
    }
}

/// The answer; `None` where the process is told to end and the answer does not come soon.
pub(in crate::store) async fn in_time<T>(answer: impl Future<Output = T>) -> Option<T> {
    let overdue = async {
        hurried().await;
        sleep(LAST).await;
    };
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = overdue => None,
    }
}
