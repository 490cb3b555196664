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

/// What of a block's work is kept until backward comes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All that backward needs.
    #[default]
    Everything,
    /// Its input, from which the rest is computed again: less memory for more time.
    Input,
}

/// What was kept of a block.
#[derive(Debug)]
pub enum Kept<S> {
    /// What its forward saved.
    Saved(S),
    /// Its input.
    Input(Tensor),
}

impl Keep {
    /// Runs a block's `forward` on `x`, and keeps of it what is asked for.
    ///
    /// # Errors
    /// Those of `forward`.
    pub fn run<S>(self, x: Tensor, forward: impl FnOnce(Tensor) -> Result<(Tensor, S)>) -> Result<(Tensor, Kept<S>)> {
        match self {
            Self::Everything => forward(x).map(|(y, saved)| (y, Kept::Saved(saved))),
            Self::Input => forward(x.clone()).map(|(y, _)| (y, Kept::Input(x))),
        }
    }
}

impl<S> Kept<S> {
    /// What backward needs; `forward` is run again where it was not kept.
    ///
    /// # Errors
    /// Those of `forward`.
    pub fn saved(self, forward: impl FnOnce(Tensor) -> Result<(Tensor, S)>) -> Result<S> {
        match self {
            Self::Saved(saved) => Ok(saved),
            Self::Input(x) => forward(x).map(|(_, saved)| saved),
        }
    }
}

/// What backward needs.
#[derive(Debug)]
pub struct TrunkSaved {
    blocks: Vec<Kept<BlockSaved>>,
    last: Option<BlockRowsSaved>,
}

/// Runs the blocks. Of a last block that computes rows alone everything is kept: backward begins there.
pub fn forward(
    blocks: &[Block],
    parameters: &Parameters,
    mut x: Tensor,
    output: Output<'_>,
    keep: Keep,
) -> Result<(Tensor, TrunkSaved)> {
    let (whole, by_rows) = match (output, blocks.split_last()) {
        (Output::Rows(positions), Some((last, whole))) => (whole, Some((last, positions))),
        _ => (blocks, None),
    };
    let mut saved = Vec::with_capacity(whole.len());
    for block in whole {
        let (y, kept) = keep.run(x, |x| block.forward(parameters, x))?;
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
        } else if let Some(kept) = kept.pop() {
            let saved = kept.saved(|x| block.forward(parameters, x))?;
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
