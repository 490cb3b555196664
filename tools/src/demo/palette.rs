//! The colours of the drawings: eight that differ in hue and lightness, and the muted tones behind them.

/// Red, green and blue in `0.0..=1.0`, gamma-encoded as in the file.
pub type Rgb = [f32; 3];

/// The colour of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Color {
    /// A full red.
    Red,
    /// A warm yellow.
    Yellow,
    /// A leaf green.
    Green,
    /// A clear blue.
    Blue,
    /// A deep purple.
    Purple,
    /// A light pink.
    Pink,
    /// Almost black.
    Black,
    /// Almost white.
    White,
}

impl Color {
    /// Every colour, in the order of the classes. None starts with a vowel, so that "a {}" reads right.
    pub const ALL: [Self; 8] =
        [Self::Red, Self::Yellow, Self::Green, Self::Blue, Self::Purple, Self::Pink, Self::Black, Self::White];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
            Self::Black => "black",
            Self::White => "white",
        }
    }

    /// The colour itself.
    pub fn rgb(self) -> Rgb {
        match self {
            Self::Red => bytes(214, 32, 40),
            Self::Yellow => bytes(250, 206, 42),
            Self::Green => bytes(34, 150, 70),
            Self::Blue => bytes(38, 96, 226),
            Self::Purple => bytes(116, 40, 150),
            Self::Pink => bytes(250, 146, 188),
            Self::Black => bytes(26, 26, 30),
            Self::White => bytes(250, 250, 248),
        }
    }

    /// A darker shade (a lighter one for black) for the stripes and dots of a texture.
    pub fn shade(self) -> Rgb {
        match self {
            Self::Black => mix(self.rgb(), [1.0; 3], 0.30),
            Self::White => mix(self.rgb(), [0.0; 3], 0.20),
            _ => mix(self.rgb(), [0.0; 3], 0.30),
        }
    }
}

/// The tone behind a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// Warm white.
    Ivory,
    /// Cool white.
    Mist,
    /// Light brown.
    Sand,
    /// Greyish green.
    Sage,
    /// Greyish violet.
    Heather,
    /// Dark bluish grey.
    Slate,
    /// Dark greenish grey.
    Moss,
    /// Dark brownish grey.
    Cocoa,
}

impl Background {
    /// Every tone.
    pub const ALL: [Self; 8] =
        [Self::Ivory, Self::Mist, Self::Sand, Self::Sage, Self::Heather, Self::Slate, Self::Moss, Self::Cocoa];

    /// The tone itself.
    pub fn rgb(self) -> Rgb {
        match self {
            Self::Ivory => bytes(244, 238, 226),
            Self::Mist => bytes(222, 230, 236),
            Self::Sand => bytes(222, 206, 180),
            Self::Sage => bytes(196, 210, 194),
            Self::Heather => bytes(208, 200, 216),
            Self::Slate => bytes(66, 76, 92),
            Self::Moss => bytes(62, 76, 70),
            Self::Cocoa => bytes(84, 72, 68),
        }
    }

    /// The word for its lightness.
    pub fn word(self) -> &'static str {
        match self {
            Self::Slate | Self::Moss | Self::Cocoa => "dark",
            _ => "light",
        }
    }

    /// Whether a shape of this colour stands out against it.
    pub fn suits(self, color: Color) -> bool {
        const ENOUGH: f32 = 0.42;
        distance(self.rgb(), color.rgb()) >= ENOUGH
    }
}

/// The colour a share `t` of the way from `from` to `to`.
pub fn mix(from: Rgb, to: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * t)
}

/// How far two colours are apart, with the eye's weights for red, green and blue; black and white are 1 apart.
fn distance(a: Rgb, b: Rgb) -> f32 {
    const WEIGHTS: Rgb = [0.30, 0.50, 0.20];
    (0..3).map(|channel| WEIGHTS[channel] * (a[channel] - b[channel]).powi(2)).sum::<f32>().sqrt()
}

fn bytes(red: u8, green: u8, blue: u8) -> Rgb {
    [red, green, blue].map(|byte| f32::from(byte) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_stands_out_against_several_tones() {
        for color in Color::ALL {
            let tones = Background::ALL.iter().filter(|tone| tone.suits(color)).count();
            assert!(tones >= 3, "{} has {tones} tones", color.name());
        }
    }

    #[test]
    fn no_two_colours_are_close() {
        for (i, a) in Color::ALL.iter().enumerate() {
            for b in &Color::ALL[..i] {
                let apart = distance(a.rgb(), b.rgb());
                assert!(apart > 0.2, "{} and {} are {apart} apart", a.name(), b.name());
            }
        }
    }
}
