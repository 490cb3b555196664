//! A bound on the bytes that are in memory at the same time, from the first byte of a body until the picture is written.
//!
//! Rows are admitted in the order of the list, then take bytes as they arrive, or are told that there are none and put
//! the body on the disk. Rows that begin, and whole bodies on their way back to memory, wait when the pool is empty; the
//! oldest row that waits is served first. Pictures are written in order too, so the oldest row of all may hold up everything behind
//! it: it never waits. One more row, the lane, may go beyond an empty pool, since the oldest row may itself be waiting
//! for a place that a younger one has. So nothing blocks for ever, and the bound is the pool, what the lane may leave
//! behind, and two bodies at their cap.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Rows under way. Many more than connections, so that rows that wait for a busy host or for another attempt keep nobody
/// from the hosts behind them; each costs some kilobytes.
const ROWS: usize = 4096;

/// How far pictures that came by the lane may overdraw the pool before the lane closes.
const LANE_DEBT: i64 = 48 << 20;

/// The bytes that may be held.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    rows: Arc<Semaphore>,
    pool: Arc<Mutex<Pool>>,
}

/// Rows are known by their number, given in the order of admission.
#[derive(Debug, Default)]
struct Pool {
    /// Negative while rows hold more than there is.
    free: i64,
    /// What bodies that grow leave to those that begin.
    for_beginners: i64,
    next: u64,
    /// Bytes by row, zero included.
    held: BTreeMap<u64, i64>,
    waiting: BTreeMap<u64, Waiting>,
    lane: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    bytes: i64,
    served: oneshot::Sender<()>,
}

impl ByteBudget {
    /// A pool of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let pool = Pool { free: signed(bytes), for_beginners: signed(bytes) / 2, ..Pool::default() };
        Self { rows: Arc::new(Semaphore::new(ROWS)), pool: Arc::new(Mutex::new(pool)) }
    }

    /// Admits a row, which holds nothing yet. `None` never comes, since the semaphore is not closed; it stands for the
    /// closed one that its type allows.
    pub async fn reserve(&self) -> Option<Reservation> {
        let row = Arc::clone(&self.rows).acquire_owned().await.ok()?;
        let mut pool = lock(&self.pool);
        let number = pool.next;
        pool.next += 1;
        pool.held.insert(number, 0);
        Some(Reservation { number, pool: Arc::clone(&self.pool), _row: row })
    }
}

impl Pool {
    /// Whether `row`, ahead of all that wait, may have `bytes` more.
    fn may_have(&self, row: u64, bytes: i64) -> bool {
        let oldest = self.held.first_key_value().map(|(oldest, _)| *oldest);
        self.free >= bytes || self.lane == Some(row) || oldest == Some(row)
    }

    fn give(&mut self, row: u64, bytes: i64) {
        self.free -= bytes;
        *self.held.entry(row).or_default() += bytes;
    }

    /// Serves those that wait, the oldest first, as far as it goes.
    fn settle(&mut self) {
        while let Some((&row, waiting)) = self.waiting.first_key_value() {
            let bytes = waiting.bytes;
            if !self.may_have(row, bytes) {
                if self.lane.is_some() || self.free < -LANE_DEBT {
                    return;
                }
                self.lane = Some(row);
            }
            if let Some(waiting) = self.waiting.remove(&row) {
                self.give(row, bytes);
                // One that no longer listens gives the bytes back with its share.
                let _ = waiting.served.send(());
            }
        }
    }
}

/// A row's share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    number: u64,
    pool: Arc<Mutex<Pool>>,
    _row: OwnedSemaphorePermit,
}

impl Reservation {
    /// Grows the share to `bytes`, which may have to be waited for.
    pub async fn grow(&mut self, bytes: u64) {
        let Some(served) = self.ask(signed(bytes)) else { return };
        // The sender is dropped only with this share.
        let _ = served.await;
    }

    /// Grows the share to `bytes`, if that leaves half of the pool to rows that begin; whether it did.
    pub fn grow_at_once(&mut self, bytes: u64) -> bool {
        let mut pool = lock(&self.pool);
        let missing = signed(bytes) - pool.held.get(&self.number).copied().unwrap_or(0);
        if missing > 0 && pool.free - missing < pool.for_beginners {
            return false;
        }
        pool.give(self.number, missing.max(0));
        true
    }

    /// Takes what is missing to `bytes`, or stands in line for it.
    fn ask(&mut self, bytes: i64) -> Option<oneshot::Receiver<()>> {
        let mut pool = lock(&self.pool);
        let missing = bytes - pool.held.get(&self.number).copied().unwrap_or(0);
        if missing <= 0 {
            return None;
        }
        let first = pool.waiting.first_key_value().is_none_or(|(oldest, _)| *oldest > self.number);
        if first && pool.may_have(self.number, missing) {
            pool.give(self.number, missing);
            return None;
        }
        let (served, receiver) = oneshot::channel();
        pool.waiting.insert(self.number, Waiting { bytes: missing, served });
        pool.settle();
        Some(receiver)
    }

    /// Gives back what is beyond `bytes`, and the lane.
    pub fn shrink(&mut self, bytes: u64) {
        let mut pool = lock(&self.pool);
        let held = pool.held.get(&self.number).copied().unwrap_or(0);
        let kept = held.min(signed(bytes));
        pool.give(self.number, kept - held);
        pool.release_lane(self.number);
        pool.waiting.remove(&self.number);
        pool.settle();
    }
}

impl Pool {
    fn release_lane(&mut self, row: u64) {
        if self.lane == Some(row) {
            self.lane = None;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut pool = lock(&self.pool);
        pool.waiting.remove(&self.number);
        let held = pool.held.remove(&self.number).unwrap_or(0);
        pool.free += held;
        pool.release_lane(self.number);
        pool.settle();
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A thread that panicked cannot have left the pool half changed.
fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn rows<const N: usize>(budget: &ByteBudget) -> [Reservation; N] {
        let mut rows = Vec::new();
        for _ in 0..N {
            rows.push(budget.reserve().await.unwrap());
        }
        rows.try_into().unwrap()
    }

    fn free(budget: &ByteBudget) -> i64 {
        lock(&budget.pool).free
    }

    /// Whether the share grows at once.
    async fn grows(share: &mut Reservation, bytes: u64) -> bool {
        timeout(Duration::ZERO, share.grow(bytes)).await.is_ok()
    }

    #[tokio::test]
    async fn a_share_grows_from_the_pool_and_shrinks_back() {
        let budget = ByteBudget::new(1000);
        let [_oldest, mut share] = rows(&budget).await;
        share.grow(500).await;
        share.grow(400).await;
        assert_eq!(free(&budget), 500);
        share.shrink(10);
        assert_eq!(free(&budget), 990);
        drop(share);
        assert_eq!(free(&budget), 1000);
    }

    #[tokio::test]
    async fn bodies_that_grow_leave_half_to_those_that_begin() {
        let budget = ByteBudget::new(1000);
        let [mut growing, mut beginning] = rows(&budget).await;
        assert!(growing.grow_at_once(500) && !growing.grow_at_once(501));
        assert!(growing.grow_at_once(400), "what is held already is no question");
        assert!(grows(&mut beginning, 500).await);
        assert_eq!(free(&budget), 0);
    }

    #[tokio::test]
    async fn the_oldest_row_never_waits() {
        let budget = ByteBudget::new(100);
        let [mut oldest, mut second] = rows(&budget).await;
        second.grow(100).await;
        assert!(grows(&mut oldest, 5000).await);
        assert_eq!(free(&budget), -5000);
        drop(oldest);
        assert!(grows(&mut second, 5000).await);
    }

    #[tokio::test]
    async fn one_other_row_may_outgrow_an_empty_pool() {
        let budget = ByteBudget::new(100);
        let [_oldest, mut second, mut third] = rows(&budget).await;
        assert!(grows(&mut second, 5000).await && grows(&mut second, 6000).await);
        assert!(!grows(&mut third, 1).await);
        second.shrink(0);
        assert!(grows(&mut third, 1).await);
    }

    #[tokio::test]
    async fn those_that_wait_are_served_in_the_order_of_the_list() {
        let budget = ByteBudget::new(100);
        let [_oldest, mut second, mut third, mut fourth, mut lane] = rows(&budget).await;
        second.grow(100).await;
        assert!(grows(&mut lane, 1).await);
        let (mut early, mut late) = (fourth.ask(60).unwrap(), third.ask(60).unwrap());
        assert!(late.try_recv().is_err() && early.try_recv().is_err());
        second.shrink(0);
        assert!(late.try_recv().is_ok() && early.try_recv().is_err());
        drop(third);
        assert!(early.try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let budget = ByteBudget::new(100);
        let [oldest, mut second, mut third] = rows(&budget).await;
        assert!(grows(&mut second, 200).await);
        assert!(!grows(&mut third, 50).await);
        drop((third, second, oldest));
        let pool = lock(&budget.pool);
        assert_eq!((pool.free, pool.held.len(), pool.waiting.len(), pool.lane), (100, 0, 0, None));
    }

    #[tokio::test]
    async fn a_lane_that_left_too_much_behind_closes() {
        let budget = ByteBudget::new(100);
        let [_oldest, mut second, mut third] = rows(&budget).await;
        let large = LANE_DEBT as u64 + 200;
        second.grow(large).await;
        second.shrink(large);
        assert!(!grows(&mut third, 1).await);
        drop(second);
        assert!(grows(&mut third, 1).await);
    }
}
