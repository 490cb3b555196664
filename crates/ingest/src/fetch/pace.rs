//! When a host may be asked again: not before its turn, where there is a rate, and not while it asked to be left alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The longest time that one host can hold up its rows over a whole run, whatever it answers; from then on each row has
/// only its own waits.
const CLOSED_IN_ALL: Duration = Duration::from_secs(120);

/// Hosts whose time has passed are forgotten now and then, since lists name millions.
const FORGET_EVERY: usize = 4096;

/// The times of all hosts.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Between two requests to one host.
    interval: Option<Duration>,
    hosts: Arc<Mutex<HashMap<String, Host>>>,
}

#[derive(Clone, Copy, Debug)]
struct Host {
    /// The next turn that nobody has taken.
    next: Instant,
    closed_until: Instant,
    /// How long it was closed up to now, what is still to come included.
    closed_for: Duration,
}

impl Pace {
    /// At most `per_second` requests a second to one host.
    pub fn new(per_second: Option<f64>) -> Self {
        let interval = per_second.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self { interval, hosts: Arc::default() }
    }

    /// Waits for a turn at `host`, in the order of asking.
    pub async fn wait(&self, host: &str) {
        let turn = self.turn(host, Instant::now());
        // It may be closed again in the meantime.
        loop {
            let open = self.open_from(host, turn);
            if open <= Instant::now() {
                return;
            }
            sleep_until(open).await;
        }
    }

    /// Leaves `host` alone for `time` from `now` on.
    pub fn close(&self, host: &str, time: Duration, now: Instant) {
        let mut hosts = self.lock();
        let host = known(&mut hosts, host, now);
        let left = CLOSED_IN_ALL.saturating_sub(host.closed_for);
        let until = host.closed_until.max(now + time);
        let more = until.duration_since(host.closed_until.max(now)).min(left);
        host.closed_until = host.closed_until.max(now) + more;
        host.closed_for += more;
    }

    fn turn(&self, host: &str, now: Instant) -> Instant {
        let Some(interval) = self.interval else { return now };
        let mut hosts = self.lock();
        let host = known(&mut hosts, host, now);
        let turn = host.next.max(now);
        host.next = turn + interval;
        turn
    }

    /// When `turn` comes, or later where the host is closed.
    fn open_from(&self, host: &str, turn: Instant) -> Instant {
        self.lock().get(host).map_or(turn, |host| host.closed_until.max(turn))
    }

    /// A thread that panicked cannot have left the map half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known<'a>(hosts: &'a mut HashMap<String, Host>, host: &str, now: Instant) -> &'a mut Host {
    if hosts.len() >= FORGET_EVERY && hosts.len().is_multiple_of(FORGET_EVERY) {
        hosts.retain(|_, host| host.next > now || host.closed_until > now);
    }
    hosts.entry(host.to_owned()).or_insert(Host { next: now, closed_until: now, closed_for: Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn turns_of_one_host_are_an_interval_apart() {
        let (pace, now) = (Pace::new(Some(4.0)), Instant::now());
        let turns = [0; 5].map(|_| (pace.turn("a", now) - now).as_millis());
        assert_eq!(turns, [0, 250, 500, 750, 1000]);
        assert_eq!(pace.turn("b", now), now);
        assert_eq!(pace.turn("a", now + seconds(9)), now + seconds(9));
    }

    #[test]
    fn without_a_rate_only_a_closed_host_is_waited_for() {
        let (pace, now) = (Pace::new(None), Instant::now());
        pace.close("b", seconds(5), now);
        assert_eq!(pace.open_from("a", pace.turn("a", now)), now);
        assert_eq!(pace.open_from("b", pace.turn("b", now)), now + seconds(5));
    }

    #[test]
    fn a_host_that_closes_again_is_closed_until_the_later_time() {
        let (pace, now) = (Pace::new(None), Instant::now());
        pace.close("a", seconds(5), now);
        pace.close("a", seconds(1), now + seconds(1));
        assert_eq!(pace.open_from("a", now), now + seconds(5));
        pace.close("a", seconds(9), now + seconds(3));
        assert_eq!(pace.open_from("a", now), now + seconds(12));
    }

    #[test]
    fn a_host_can_hold_up_its_rows_only_so_long() {
        let (pace, mut now) = (Pace::new(None), Instant::now());
        let start = now;
        for _ in 0..100 {
            pace.close("a", seconds(50), now);
            now = pace.open_from("a", now);
        }
        assert_eq!(now - start, CLOSED_IN_ALL);
    }

    #[test]
    fn hosts_whose_time_has_passed_are_forgotten() {
        let (pace, now) = (Pace::new(Some(1.0)), Instant::now());
        for i in 0..FORGET_EVERY {
            pace.turn(&i.to_string(), now);
        }
        pace.turn("new", now + seconds(2));
        assert_eq!(pace.lock().len(), 1);
    }
}
