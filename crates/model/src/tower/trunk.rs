//! The stack of blocks of a tower, and how far backward must go into it.

use candle_core::Tensor;

use crate::error::Result;
use crate::layer::block::{Block, BlockRowsSaved, BlockSaved};
use crate::parameters::{Gradients, ParameterId, Parameters};

/// What of the last block's output a tower reads.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// All tokens: `[B, L, C]`.
    Tokens,
    /// Row `positions[b]` of each sample: `[B, C]`. The last block then computes no other.
    Rows(&'a [u32]),
}

/// What backward needs.
#[derive(Debug)]
pub struct TrunkSaved {
    blocks: Vec<BlockSaved>,
    last: Option<BlockRowsSaved>,
}

/// Runs the blocks.
pub fn forward(
    blocks: &[Block],
    parameters: &Parameters,
    mut x: Tensor,
    output: Output<'_>,
) -> Result<(Tensor, TrunkSaved)> {
    let (whole, by_rows) = match (output, blocks.split_last()) {
        (Output::Rows(positions), Some((last, whole))) => (whole, Some((last, positions))),
        _ => (blocks, None),
    };
    let mut saved = Vec::with_capacity(whole.len());
    for block in whole {
        let (y, kept) = block.forward(parameters, x)?;
        saved.push(kept);
        x = y;
    }
    let Some((last, positions)) = by_rows else {
        return Ok((x, TrunkSaved { blocks: saved, last: None }));
    };
    let (rows, kept) = last.forward_rows(parameters, x, positions)?;
    Ok((rows, TrunkSaved { blocks: saved, last: Some(kept) }))
}

/// Walks back from the output's gradient down to block `lowest`; what each block saved is freed on the way.
pub fn backward(
    blocks: &[Block],
    lowest: usize,
    parameters: &Parameters,
    saved: TrunkSaved,
    dy: Tensor,
    to: &mut Gradients,
) -> Result<Tensor> {
    let (mut dx, mut kept) = (dy, saved.blocks);
    let mut rows = saved.last;
    for block in blocks[lowest..].iter().rev() {
        if let Some(rows) = rows.take() {
            dx = block.backward_rows(parameters, rows, &dx, to)?;
        } else if let Some(saved) = kept.pop() {
            dx = block.backward(parameters, saved, &dx, to)?;
        }
    }
    Ok(dx)
}

/// How far backward must go in a tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nothing in the tower is trainable.
    Nowhere,
    /// Only what follows the blocks.
    Head,
    /// Down to this block.
    Block(usize),
    /// All the way to the input.
    Stem,
}

impl Depth {
    /// Down to the lowest trainable parameter among those before, in and behind the blocks.
    pub fn of(
        parameters: &Parameters,
        stem: &[ParameterId],
        mut blocks: impl Iterator<Item = Vec<ParameterId>>,
        head: &[ParameterId],
    ) -> Self {
        let any = |ids: &[ParameterId]| ids.iter().any(|id| parameters.trainable(*id));
        if any(stem) {
            return Self::Stem;
        }
        match blocks.position(|block| any(&block)) {
            Some(block) => Self::Block(block),
            None if any(head) => Self::Head,
            None => Self::Nowhere,
        }
    }

    /// The lowest of `count` blocks to walk back through; `count` for none.
    pub fn lowest_block(self, count: usize) -> usize {
        match self {
            Self::Nowhere | Self::Head => count,
            Self::Block(block) => block,
            Self::Stem => 0,
        }
    }
}
