//! What one row goes through: fetched, then decoded, its outcome kept with its share of memory.

use std::sync::Arc;

use super::decode_pool::DecodePool;
use super::{Observer, RowEnd};
use crate::failure::{FailureKind, SampleFailure};
use crate::fetch::{Fetcher, Reservation, Trace};
use crate::process::{InstructionColumns, Processed};
use crate::url_list::{ListedRow, UrlRow};

/// What every row needs.
pub(super) struct Stages {
    pub fetcher: Fetcher,
    pub decode: DecodePool,
    pub instructions: InstructionColumns,
    pub observer: Arc<dyn Observer>,
}

/// What became of a row.
pub(super) struct RowOutcome {
    /// The row; where the list has none, an empty one in its place.
    pub row: UrlRow,
    pub result: Result<Processed, SampleFailure>,
    /// How far the download got.
    pub trace: Trace,
    /// Held until the picture is written.
    pub share: Option<Reservation>,
}

impl RowOutcome {
    fn failed(row: UrlRow, failure: SampleFailure, trace: Trace) -> Self {
        Self { row, result: Err(failure), trace, share: None }
    }
}

/// Runs `listed` through the stages.
pub(super) async fn run(listed: ListedRow, stages: &Stages, mut share: Reservation) -> RowOutcome {
    let outcome = match listed {
        Err(bad) => {
            let row = UrlRow { index: bad.index, url: String::new(), caption: None, extra: Vec::new() };
            RowOutcome::failed(row, SampleFailure::new(FailureKind::BadRow, bad.to_string()), Trace::default())
        }
        Ok(mut row) => {
            let (fetched, trace) = match stages.instructions.take(&mut row.extra) {
                Ok(instructions) => {
                    let (fetched, trace) = stages.fetcher.fetch(&row.url, &mut share).await;
                    (fetched.map(|fetched| (fetched, instructions)), trace)
                }
                Err(failure) => (Err(failure), Trace::default()),
            };
            match fetched {
                Err(failure) => RowOutcome::failed(row, failure, trace),
                Ok((fetched, instructions)) => {
                    let result = stages.decode.process(fetched, instructions).await;
                    share.shrink(result.as_ref().map_or(0, |processed| processed.image.len() as u64));
                    RowOutcome { row, result, trace, share: Some(share) }
                }
            }
        }
    };
    stages.observer.row_finished(&told(&outcome));
    outcome
}

fn told(outcome: &RowOutcome) -> RowEnd<'_> {
    let failure = outcome.result.as_ref().err();
    RowEnd {
        url: &outcome.row.url,
        kind: failure.map(|failure| failure.kind),
        message: failure.map(|failure| failure.message.as_str()),
        original_size: outcome.result.as_ref().ok().and_then(|processed| processed.original_size),
        trace: &outcome.trace,
    }
}
