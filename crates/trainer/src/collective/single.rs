//! The collective of a run in one process: every exchange is the identity.

use candle_core::Tensor;

use super::{Collective, Replica};
use crate::error::Result;

/// One process alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn replica(&self) -> Replica {
        Replica::single()
    }

    fn gather_rows(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(rows.clone())
    }

    fn mean_in_place(&self, _tensors: &mut [Tensor]) -> Result<()> {
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        Ok(())
    }
}
