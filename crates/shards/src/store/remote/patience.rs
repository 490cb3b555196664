//! How long a place far away is waited for: pauses between tries, and what is left of them once the process is told to end.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// Pauses before a request is sent anew; its client has tried three times by then.
pub(in crate::store) const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// What a request may still take once the process is told to end: enough to tidy up where the place answers at all.
const LAST: Duration = Duration::from_secs(10);

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
