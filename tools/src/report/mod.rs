//! Reports: HTML pages that need no other file, no network and no script. [`content`] says what is on the demo's,
//! [`page`] puts it together; [`download`] is the page about a download, [`run`] the one about a training run; the rest are their parts.

pub mod buckets;
pub mod content;
pub mod download;
pub mod page;
pub mod run;

mod gallery;
mod heat_map;
mod histogram;
pub(crate) mod html;
mod loss_curve;
pub(crate) mod scale;
mod svg;
mod table;

pub use buckets::Buckets;
pub use content::{
    Accuracy, ClassLabel, Command, Confusion, DemoReport, Fact, Guess, Headline, LossPoint, Prediction, Sample, Status,
};
pub use page::render;
