//! Charts of training runs: what a run left behind ([`record`]), which charts there are ([`charts`]), and how they become
//! SVG, PNG or a page.

pub mod axis;
pub mod chart;
pub mod charts;
pub mod figure;
pub mod page;
pub mod raster;
pub mod record;
pub mod svg;

mod lettering;
