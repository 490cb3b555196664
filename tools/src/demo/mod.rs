//! `cliptrain demo`: drawn pictures with captions, taken through the whole chain by the calls that the binaries
//! make. [`chain`] runs it, [`findings`] says what came out; the rest draws.

pub mod caption;
pub mod chain;
pub mod dice;
pub mod drawing;
pub mod findings;
pub mod grammar;
pub mod palette;
pub mod shape;

pub use caption::TEMPLATES;
pub use dice::Dice;
pub use drawing::{Position, Scene, Size, Texture};
pub use grammar::{Class, Drawing, Grammar, HeldOut};
pub use palette::{Background, Color};
pub use shape::Shape;
