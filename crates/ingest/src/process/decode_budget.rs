//! The memory that pictures may take while they are decoded, shared by all threads that decode. A picture waits until
//! there is room for it, in the order of asking: large pictures are not passed over for ever.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that can be lent.
#[derive(Debug)]
pub struct DecodeBudget {
    total: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// The number that the next one to ask gets.
    next: u64,
    /// The number whose turn it is.
    turn: u64,
}

/// Bytes that are lent; given back when dropped.
#[derive(Debug)]
pub struct DecodeShare<'a> {
    budget: &'a DecodeBudget,
    bytes: u64,
}

/// More was asked for than there is in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondBudget {
    /// What was asked for.
    pub bytes: u64,
    /// What there is.
    pub total: u64,
}

impl DecodeBudget {
    /// A budget of so many bytes.
    pub fn new(total: u64) -> Self {
        Self { total, state: Mutex::new(State { free: total, next: 0, turn: 0 }), changed: Condvar::new() }
    }

    /// Waits until `bytes` are free.
    ///
    /// # Errors
    /// At once, when there are not as many in all.
    pub fn borrow(&self, bytes: u64) -> Result<DecodeShare<'_>, BeyondBudget> {
        if bytes > self.total {
            return Err(BeyondBudget { bytes, total: self.total });
        }
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let must_wait = |state: &mut State| state.turn != number || state.free < bytes;
        let mut state = self.changed.wait_while(state, must_wait).unwrap_or_else(PoisonError::into_inner);
        state.turn += 1;
        state.free -= bytes;
        drop(state);
        // It is the next one's turn.
        self.changed.notify_all();
        Ok(DecodeShare { budget: self, bytes })
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DecodeShare<'_> {
    fn drop(&mut self) {
        self.budget.lock().free += self.bytes;
        self.budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn more_than_the_whole_is_refused_at_once() {
        let budget = DecodeBudget::new(100);
        let _held = budget.borrow(100).unwrap();
        assert_eq!(budget.borrow(101).unwrap_err(), BeyondBudget { bytes: 101, total: 100 });
    }

    #[test]
    fn what_does_not_fit_waits_for_what_is_held() {
        let budget = DecodeBudget::new(100);
        let (sender, events) = mpsc::channel();
        let held = budget.borrow(60).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let share = budget.borrow(60).unwrap();
                sender.send("large").unwrap();
                drop(share);
            });
            while budget.lock().next < 2 {
                thread::yield_now();
            }
            scope.spawn(|| {
                // Would fit, but came later.
                let share = budget.borrow(10).unwrap();
                sender.send("small").unwrap();
                drop(share);
            });
            while budget.lock().next < 3 {
                thread::yield_now();
            }
            assert_eq!(events.try_recv(), Err(mpsc::TryRecvError::Empty));
            drop(held);
        });
        let mut order: Vec<_> = events.try_iter().collect();
        order.sort_unstable();
        assert_eq!(order, ["large", "small"]);
        assert_eq!(budget.lock().free, 100);
    }

    #[test]
    fn the_sum_of_shares_stays_within_the_budget() {
        let (budget, held) = (DecodeBudget::new(100), AtomicU64::new(0));
        thread::scope(|scope| {
            for worker in 0..8 {
                let (budget, held) = (&budget, &held);
                scope.spawn(move || {
                    for step in 0..200 {
                        let bytes = (worker * 37 + step * 11) % 101;
                        let share = budget.borrow(bytes).unwrap();
                        assert!(held.fetch_add(bytes, Ordering::SeqCst) + bytes <= 100);
                        held.fetch_sub(bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!(budget.lock().free, 100);
    }
}
