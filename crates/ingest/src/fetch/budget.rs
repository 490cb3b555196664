//! A bound on the bytes that are in memory at the same time, from the first byte of a body
//! until the picture is written.
//!
//! A download reserves a share before it starts and grows while it reads. When the pool is
//! empty, growing does not wait for it, for whoever holds the pool may be waiting as well: a
//! few lanes let one body each grow to its cap. So the bound is the pool plus the lanes times
//! the cap, and nothing can block for ever.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits count pages of this size, since a semaphore counts in 32 bits.
const PAGE_BYTES: u64 = 4096;

/// What a download reserves before it knows more: as much as an ordinary picture of the web.
const START_BYTES: u64 = 256 << 10;

/// Bodies that may outgrow an empty pool at the same time.
const LANES: usize = 4;

/// The bytes that may be held.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    pool: Arc<Semaphore>,
    lanes: Arc<Semaphore>,
    start_pages: u32,
}

impl ByteBudget {
    /// A pool of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let pages = bytes.div_ceil(PAGE_BYTES).clamp(1, u32::MAX.into());
        let start_pages = START_BYTES.div_ceil(PAGE_BYTES).min(pages) as u32;
        let pool = Arc::new(Semaphore::new(pages as usize));
        Self { pool, lanes: Arc::new(Semaphore::new(LANES)), start_pages }
    }

    /// Waits for the share that a download starts with. `None` never comes, since the pool is
    /// not closed; it stands for the closed pool that the semaphore's type allows.
    pub async fn reserve(&self) -> Option<Reservation> {
        let pages = Arc::clone(&self.pool).acquire_many_owned(self.start_pages).await.ok()?;
        Some(Reservation { budget: self.clone(), pages, lane: None })
    }
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    pages: OwnedSemaphorePermit,
    lane: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Grows the share to `bytes`, from the pool or else by a lane, which may be waited for.
    pub async fn grow(&mut self, bytes: u64) {
        let wanted = pages(bytes).saturating_sub(self.pages.num_permits());
        if wanted == 0 || self.lane.is_some() {
            return;
        }
        // In larger steps than a packet, so that the pool is not asked for each.
        let step = wanted.max(self.pages.num_permits() / 2);
        let step = u32::try_from(step).unwrap_or(u32::MAX);
        match Arc::clone(&self.budget.pool).try_acquire_many_owned(step) {
            Ok(more) => self.pages.merge(more),
            Err(_) => self.lane = Arc::clone(&self.budget.lanes).acquire_owned().await.ok(),
        }
    }

    /// Gives back what is beyond `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let surplus = self.pages.num_permits().saturating_sub(pages(bytes));
        drop(self.pages.split(surplus));
        self.lane = None;
    }
}

fn pages(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(PAGE_BYTES)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_grows_from_the_pool_and_shrinks_back() {
        let budget = ByteBudget::new(1 << 20);
        let mut share = budget.reserve().await.unwrap();
        assert_eq!(budget.pool.available_permits(), 192);
        share.grow(512 << 10).await;
        assert_eq!(budget.pool.available_permits(), 128);
        share.shrink(PAGE_BYTES);
        assert_eq!(budget.pool.available_permits(), 255);
        drop(share);
        assert_eq!(budget.pool.available_permits(), 256);
    }

    #[tokio::test]
    async fn a_share_outgrows_an_empty_pool_by_a_lane() {
        let budget = ByteBudget::new(START_BYTES);
        let mut share = budget.reserve().await.unwrap();
        share.grow(50 << 20).await;
        assert_eq!(budget.lanes.available_permits(), LANES - 1);
        share.shrink(1000);
        assert_eq!(budget.lanes.available_permits(), LANES);
    }

    #[tokio::test]
    async fn a_tiny_budget_still_lets_one_download_start() {
        assert!(ByteBudget::new(1).reserve().await.is_some());
    }
}
