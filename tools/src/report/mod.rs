//! Reports: HTML pages that need no other file, no network and no script. [`content`] says what is on the demo's,
//! [`page`] puts it together; [`download`] is the page about a download; the rest are their parts.

pub mod buckets;
pub mod content;
pub mod download;
pub mod page;

mod gallery;
mod heat_map;
mod histogram;
mod html;
mod loss_curve;
mod scale;
mod svg;
mod table;

pub use buckets::Buckets;
pub use content::{
    Accuracy, ClassLabel, Command, Confusion, DemoReport, Fact, Guess, Headline, LossPoint, Prediction, Sample, Status,
};
pub use page::render;
