//! What replicas of a run exchange. One process is the only implementation so far; the trainer
//! is written against the trait, so that several processes fit in without moving walls.

mod single;

use candle_core::Tensor;

pub use loader::Replica;
pub use single::SingleProcess;

use crate::error::Result;

/// Exchanges between the replicas of one run; every rank calls in the same order.
pub trait Collective: Send {
    /// This process's place.
    fn replica(&self) -> Replica;

    /// Rows `[B, D]` of every rank stacked in rank order: `[B * world_size, D]`.
    ///
    /// # Errors
    /// When a peer is gone or shapes differ.
    fn gather_rows(&self, rows: &Tensor) -> Result<Tensor>;

    /// Replaces every tensor by its mean over the ranks.
    ///
    /// # Errors
    /// When a peer is gone or shapes differ.
    fn mean_in_place(&self, tensors: &mut [Tensor]) -> Result<()>;

    /// Waits until every rank is here.
    ///
    /// # Errors
    /// When a peer is gone.
    fn barrier(&self) -> Result<()>;
}
