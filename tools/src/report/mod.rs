//! The demo's report: one HTML page that needs no other file, no network and no script. [`content`] says what is
//! on it, [`page`] puts it together; the rest are its parts.

pub mod content;
pub mod page;

mod gallery;
mod heat_map;
mod histogram;
mod html;
mod loss_curve;
mod scale;
mod svg;
mod table;

pub use content::{
    Accuracy, ClassLabel, Command, Confusion, DemoReport, Fact, Guess, Headline, LossPoint, Prediction, Sample, Status,
};
pub use page::render;
