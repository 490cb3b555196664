//! Which drawings there are: the classes, those kept out of training, and the sets made of them.

use image::codecs::jpeg::JpegEncoder;

use super::caption::caption;
use super::dice::Dice;
use super::drawing::Scene;
use super::palette::Color;
use super::shape::Shape;

/// A colour and a shape: what the classifier is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// The colour.
    pub color: Color,
    /// The shape.
    pub shape: Shape,
}

impl Class {
    /// Every class: 8 colours times 6 shapes, colour by colour.
    pub fn all() -> Vec<Self> {
        let shapes = |color| Shape::ALL.into_iter().map(move |shape| Self { color, shape });
        Color::ALL.into_iter().flat_map(shapes).collect()
    }

    /// The 40 classes of the training set, in the order of [`Class::all`].
    pub fn seen() -> Vec<Self> {
        Self::all().into_iter().filter(|class| !class.is_unseen()).collect()
    }

    /// The 8 classes that are kept out of training, in the order of [`Class::all`].
    pub fn unseen() -> Vec<Self> {
        Self::all().into_iter().filter(|class| class.is_unseen()).collect()
    }

    /// Whether it is kept out of training. Each colour misses one shape, each shape one or two colours, so every
    /// word of an unseen class is known from others.
    pub fn is_unseen(self) -> bool {
        let missing = match self.color {
            Color::Red => Shape::Circle,
            Color::Yellow => Shape::Triangle,
            Color::Green => Shape::Ring,
            Color::Blue => Shape::Square,
            Color::Purple => Shape::Cross,
            Color::Pink => Shape::Star,
            Color::Black => Shape::Triangle,
            Color::White => Shape::Square,
        };
        self.shape == missing
    }

    /// The class name, such as `red circle`.
    pub fn name(self) -> String {
        format!("{} {}", self.color.name(), self.shape.name())
    }
}

/// A picture file with its caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// File name, such as `train-00012.jpg`; unique within its set.
    pub name: String,
    /// What is in the picture.
    pub caption: String,
    /// The picture as JPEG.
    pub jpeg: Vec<u8>,
    /// What a classifier should find.
    pub class: Class,
}

/// Drawings that training never sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOut {
    /// New drawings of classes that training sees.
    pub seen: Vec<Drawing>,
    /// Drawings of classes that training never sees.
    pub unseen: Vec<Drawing>,
}

/// Draws sets of captioned pictures.
#[derive(Clone, Copy, Debug)]
pub struct Grammar {
    /// Width and height of the pictures, in pixels.
    pub side: u32,
    /// JPEG quality, `1..=100`.
    pub quality: u8,
}

impl Default for Grammar {
    fn default() -> Self {
        Self { side: 64, quality: 92 }
    }
}

/// What chance is used for; sets of different purposes share no drawing, whatever their seeds.
#[derive(Clone, Copy)]
enum Purpose {
    Training = 1,
    HeldOut = 2,
}

impl Grammar {
    /// `count` drawings of the seen classes, evenly spread over them, in random order.
    pub fn training(&self, seed: u64, count: usize) -> Vec<Drawing> {
        let mut classes: Vec<Class> = Class::seen().into_iter().cycle().take(count).collect();
        Dice::new(seed, Purpose::Training as u64).shuffle(&mut classes);
        let name = |i| format!("train-{i:05}.jpg");
        classes.into_iter().enumerate().map(|(i, class)| self.draw(class, name(i), seed, Purpose::Training)).collect()
    }

    /// `per_class` drawings of each class, class by class.
    pub fn held_out(&self, seed: u64, per_class: usize) -> HeldOut {
        let of = |classes: Vec<Class>| classes.into_iter().flat_map(|class| self.one_class(class, seed, per_class));
        HeldOut { seen: of(Class::seen()).collect(), unseen: of(Class::unseen()).collect() }
    }

    fn one_class(&self, class: Class, seed: u64, count: usize) -> Vec<Drawing> {
        let name = |i| format!("{}-{}-{i:03}.jpg", class.color.name(), class.shape.name());
        (0..count).map(|i| self.draw(class, name(i), seed, Purpose::HeldOut)).collect()
    }

    /// A drawing's name decides its chances, so a set keeps its drawings when it grows.
    fn draw(&self, class: Class, name: String, seed: u64, purpose: Purpose) -> Drawing {
        let stream = name.bytes().fold(purpose as u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        let mut dice = Dice::new(seed, stream);
        let scene = Scene::random(class, &mut dice);
        let caption = caption(&scene, &mut dice);
        let picture = scene.draw(self.side, dice.roll());
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, self.quality)
            .encode_image(&picture)
            .expect("a picture in memory has a valid size and is written to memory");
        Drawing { name, caption, jpeg, class }
    }
}

/// The multiplier of the FNV-1a hash of 64 bits.
const FNV_PRIME: u64 = 0x0100_0000_01B3;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_colour_and_every_shape_is_trained_on_with_others() {
        assert_eq!((Class::all().len(), Class::seen().len(), Class::unseen().len()), (48, 40, 8));
        for color in Color::ALL {
            assert_eq!(Class::seen().iter().filter(|class| class.color == color).count(), 5);
        }
        for shape in Shape::ALL {
            assert!(Class::seen().iter().filter(|class| class.shape == shape).count() >= 6);
        }
    }

    #[test]
    fn training_never_shows_or_names_an_unseen_class() {
        let drawings = Grammar::default().training(4, 400);
        let unseen: Vec<String> = Class::unseen().into_iter().map(Class::name).collect();
        for drawing in &drawings {
            assert!(!drawing.class.is_unseen());
            assert!(!unseen.iter().any(|name| drawing.caption.contains(name)), "{}", drawing.caption);
        }
        let mut counts = BTreeMap::new();
        drawings.iter().for_each(|drawing| *counts.entry(drawing.class).or_insert(0) += 1);
        assert!(counts.len() == 40 && counts.values().all(|count| *count == 10));
    }

    #[test]
    fn held_out_drawings_are_new() {
        let grammar = Grammar { side: 32, quality: 90 };
        let trained: BTreeSet<_> = grammar.training(9, 400).into_iter().map(|drawing| drawing.jpeg).collect();
        let held_out = grammar.held_out(9, 3);
        assert_eq!((held_out.seen.len(), held_out.unseen.len()), (120, 24));
        assert!(held_out.seen.iter().all(|drawing| !drawing.class.is_unseen() && !trained.contains(&drawing.jpeg)));
        assert!(held_out.unseen.iter().all(|drawing| drawing.class.is_unseen()));
    }

    #[test]
    fn a_set_is_the_same_every_time_and_decodes_to_its_size() {
        let drawings = Grammar::default().training(1, 20);
        assert_eq!(drawings, Grammar::default().training(1, 20));
        assert_ne!(drawings, Grammar::default().training(2, 20));
        let picture = image::load_from_memory(&drawings[0].jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 64));
    }
}
