//! Answers that are still good, and questions that are being asked, which all who ask the same wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::lookup::Found;

/// Names kept, a few hundred bytes each; beyond, those whose time has passed are forgotten, or else all.
const MAX_NAMES: usize = 16_384;

/// There is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The resolver's words.
    pub(super) reason: String,
    /// How long that is known.
    pub(super) good_for: Duration,
}

pub(super) type Answer = Result<Found, Unknown>;

/// What is known of names.
#[derive(Default)]
pub(super) struct Answers(Mutex<HashMap<String, Arc<Kept>>>);

/// An answer, or the question.
pub(super) struct Kept {
    since: Instant,
    answer: OnceCell<Answer>,
}

impl Answers {
    /// What is kept of `host` and still good at `now`, or a new place for it.
    pub(super) fn of(&self, host: &str, now: Instant) -> Arc<Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(host).filter(|known| known.is_good(now));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        if kept.len() >= MAX_NAMES {
            kept.retain(|_, known| known.is_good(now));
        }
        if kept.len() >= MAX_NAMES {
            kept.clear();
        }
        let new = Arc::new(Kept { since: now, answer: OnceCell::new() });
        kept.insert(host.to_owned(), Arc::clone(&new));
        new
    }
}

impl Kept {
    /// The answer, asked for where it is not there yet.
    pub(super) async fn get_or_ask<F: Future<Output = Answer>>(&self, ask: impl FnOnce() -> F) -> Answer {
        self.answer.get_or_init(ask).await.clone()
    }

    fn is_good(&self, now: Instant) -> bool {
        let good_for = match self.answer.get() {
            Some(Ok(found)) => found.good_for,
            Some(Err(unknown)) => unknown.good_for,
            None => return true,
        };
        now.duration_since(self.since) < good_for
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn found(last: u8) -> Answer {
        Ok(Found { addresses: vec![IpAddr::from([8, 8, 8, last])], good_for: MINUTE })
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_as_long_as_it_says() {
        let (answers, now) = (Answers::default(), Instant::now());
        assert_eq!(answers.of("a.example", now).get_or_ask(async || found(1)).await, found(1));
        let later = now + MINUTE / 2;
        assert_eq!(answers.of("a.example", later).get_or_ask(async || found(2)).await, found(1));
        assert_eq!(answers.of("a.example", now + MINUTE).get_or_ask(async || found(2)).await, found(2));
    }

    #[tokio::test]
    async fn who_asks_the_same_at_the_same_time_waits_for_one_answer() {
        let (answers, now) = (Answers::default(), Instant::now());
        let (one, other) = (answers.of("a.example", now), answers.of("a.example", now));
        let slow = one.get_or_ask(async || {
            tokio::task::yield_now().await;
            found(1)
        });
        assert_eq!(tokio::join!(slow, other.get_or_ask(async || found(2))), (found(1), found(1)));
    }

    #[tokio::test]
    async fn a_name_without_address_is_asked_for_again_when_its_time_has_passed() {
        let (answers, now) = (Answers::default(), Instant::now());
        let unknown = Err(Unknown { reason: "no".into(), good_for: Duration::from_secs(10) });
        assert_eq!(answers.of("a.example", now).get_or_ask(async || unknown.clone()).await, unknown);
        assert_eq!(answers.of("a.example", now).get_or_ask(async || found(1)).await, unknown);
        let later = now + Duration::from_secs(10);
        assert_eq!(answers.of("a.example", later).get_or_ask(async || found(1)).await, found(1));
    }

    #[test]
    fn names_are_forgotten_before_there_are_too_many() {
        let (answers, now) = (Answers::default(), Instant::now());
        for i in 0..=MAX_NAMES {
            answers.of(&i.to_string(), now);
        }
        assert_eq!(answers.0.lock().unwrap().len(), 1);
    }
}
