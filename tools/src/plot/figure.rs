//! A picture as a list of marks, in its own units with the origin at the top left. [`super::svg`] and [`super::raster`]
//! draw it; nothing here knows what it shows.

/// Red, green and blue.
pub type Colour = [u8; 3];

/// Almost black, of titles.
pub const INK: Colour = [0x1c, 0x22, 0x30];
/// Grey, of labels.
pub const SOFT: Colour = [0x5d, 0x66, 0x78];
/// Light grey, of grids.
pub const LINE: Colour = [0xe3, 0xdf, 0xd6];
/// Of series, in their order.
pub const SERIES: [Colour; 8] = [
    [0x2f, 0x5f, 0xd0],
    [0xd4, 0x55, 0x3a],
    [0x1b, 0x8a, 0x5a],
    [0x84, 0x46, 0xc4],
    [0xc2, 0x85, 0x0c],
    [0x0e, 0x8f, 0xa3],
    [0xb8, 0x3a, 0x83],
    [0x6b, 0x72, 0x80],
];

/// Where a text has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// Which way a text runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the right.
    Across,
    /// To the top.
    Up,
}

/// Something drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// Straight lines from point to point.
    Line {
        /// Corners.
        points: Vec<[f64; 2]>,
        /// Its colour.
        colour: Colour,
        /// How thick it is.
        width: f64,
        /// How much of what lies below is covered, 0 to 1.
        opacity: f64,
    },
    /// A filled circle.
    Dot {
        /// Its middle.
        at: [f64; 2],
        /// Its size.
        radius: f64,
        /// Its colour.
        colour: Colour,
    },
    /// Words.
    Text {
        /// On the base line.
        at: [f64; 2],
        /// What they say.
        text: String,
        /// Height of the letters' box.
        size: f64,
        /// What of it lies at its place.
        anchor: Anchor,
        /// Which way it runs.
        direction: Direction,
        /// Its colour.
        colour: Colour,
    },
}

/// A whole picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Across.
    pub width: f64,
    /// Down.
    pub height: f64,
    /// For those who do not see it.
    pub description: String,
    /// In the order in which they are drawn.
    pub marks: Vec<Mark>,
}

impl Figure {
    /// Adds a line that covers all below it.
    pub fn line(&mut self, points: Vec<[f64; 2]>, colour: Colour, width: f64) {
        self.marks.push(Mark::Line { points, colour, width, opacity: 1.0 });
    }

    /// Adds a text that runs across.
    pub fn text(&mut self, at: [f64; 2], text: impl Into<String>, size: f64, anchor: Anchor, colour: Colour) {
        let (text, direction) = (text.into(), Direction::Across);
        self.marks.push(Mark::Text { at, text, size, anchor, direction, colour });
    }
}
