//! Who hears of a training run beside its log: the record of steps, TensorBoard's event files, the progress bar, the page
//! of the run.

pub mod board;
pub mod page;
pub mod progress;
pub mod steps;

mod samples;

pub use samples::{Sample, Texts, png};
