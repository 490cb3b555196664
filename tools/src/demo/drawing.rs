//! One picture: what is in a scene, and how its pixels are computed. It knows nothing of captions.

use image::{Rgb as Pixel, RgbImage};

use super::dice::Dice;
use super::grammar::Class;
use super::palette::{Background, Rgb, mix};
use super::shape::Point;

/// How much of the picture the shape takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// About half of the side.
    Small,
    /// About three quarters of the side.
    Large,
}

/// Where the shape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Left of the centre.
    Left,
    /// Right of the centre.
    Right,
    /// Above the centre.
    Top,
    /// Below the centre.
    Bottom,
    /// In the centre.
    Centre,
}

/// How the shape is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texture {
    /// One colour.
    Solid,
    /// Slanted stripes of two shades.
    Striped,
    /// Dots of a second shade.
    Dotted,
}

/// Everything a caption can say about a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scene {
    /// Colour and shape.
    pub class: Class,
    /// How large it is.
    pub size: Size,
    /// Where it is.
    pub position: Position,
    /// How it is filled.
    pub texture: Texture,
    /// What is behind it.
    pub background: Background,
}

impl Scene {
    /// A scene of this class, the rest by chance; half of the shapes are of one colour.
    pub fn random(class: Class, dice: &mut Dice) -> Self {
        use Position::{Bottom, Centre, Left, Right, Top};
        Self {
            class,
            size: dice.pick([Size::Small, Size::Large]),
            position: dice.pick([Left, Right, Top, Bottom, Centre, Centre]),
            texture: dice.pick([Texture::Solid, Texture::Solid, Texture::Striped, Texture::Dotted]),
            background: suitable_background(class, dice),
        }
    }

    /// Draws the scene, `side` pixels wide and high. `seed` moves, turns and grains it a little.
    pub fn draw(&self, side: u32, seed: u64) -> RgbImage {
        let mut dice = Dice::new(seed, 1);
        let figure = Figure::place(self, side as f32, &mut dice);
        let ground = Ground::paint(self.background, side as f32, &mut dice);
        RgbImage::from_fn(side, side, |x, y| {
            let place = [x as f32 + 0.5, y as f32 + 0.5];
            let color = figure.over(place, ground.at(place));
            let grain = dice.between(-GRAIN, GRAIN);
            Pixel(color.map(|channel| ((channel + grain) * 255.0).round().clamp(0.0, 255.0) as u8))
        })
    }
}

/// The strongest noise of a pixel, of the full range.
const GRAIN: f32 = 0.014;

fn suitable_background(class: Class, dice: &mut Dice) -> Background {
    let suitable: Vec<_> = Background::ALL.into_iter().filter(|tone| tone.suits(class.color)).collect();
    // The palette's tests see to it that every colour has several.
    suitable.get(dice.below(suitable.len())).copied().unwrap_or(Background::Ivory)
}

/// The tone behind the shape, with light falling in from one side.
struct Ground {
    tone: Rgb,
    /// Change of lightness over a pixel, to the right and down.
    slope: Point,
    middle: f32,
}

impl Ground {
    fn paint(background: Background, side: f32, dice: &mut Dice) -> Self {
        let shift = dice.between(-0.025, 0.025);
        let tone = background.rgb().map(|channel| channel + shift);
        let slope = [dice.between(-0.05, 0.05) / side, dice.between(-0.10, -0.03) / side];
        Self { tone, slope, middle: side / 2.0 }
    }

    fn at(&self, [x, y]: Point) -> Rgb {
        let light = (x - self.middle) * self.slope[0] + (y - self.middle) * self.slope[1];
        self.tone.map(|channel| channel + light)
    }
}

/// A shape at its place in the picture.
struct Figure {
    scene: Scene,
    centre: Point,
    /// Half the shape's size, in pixels.
    half: f32,
    /// Sine and cosine of the angle by which the shape is turned.
    turn: Point,
    /// Where the texture starts, so that it does not repeat from picture to picture.
    phase: Point,
}

impl Figure {
    fn place(scene: &Scene, side: f32, dice: &mut Dice) -> Self {
        let (half, reach) = match scene.size {
            Size::Small => (dice.between(0.23, 0.26), 0.20),
            Size::Large => (dice.between(0.34, 0.38), 0.10),
        };
        let [right, down] = match scene.position {
            Position::Left => [-1.0, 0.0],
            Position::Right => [1.0, 0.0],
            Position::Top => [0.0, -1.0],
            Position::Bottom => [0.0, 1.0],
            Position::Centre => [0.0, 0.0],
        };
        let mut along = |direction: f32| (0.5 + direction * reach + dice.between(-0.02, 0.02)) * side;
        let centre = [along(right), along(down)];
        let (sine, cosine) = dice.between(-0.14, 0.14).sin_cos();
        let phase = [dice.between(0.0, 1.0), dice.between(0.0, 1.0)];
        Self { scene: *scene, centre, half: half * side, turn: [sine, cosine], phase }
    }

    /// The shape and its shadow over `ground`, the picture's colour at `place` without them.
    fn over(&self, place: Point, ground: Rgb) -> Rgb {
        const SHADOW: [f32; 2] = [0.05, 0.09];
        const SOFTNESS: f32 = 0.16;
        let point = self.local(place);
        let shaded = self.scene.class.shape.distance([point[0] - SHADOW[0], point[1] - SHADOW[1]]);
        let shadow = (0.5 - shaded / SOFTNESS).clamp(0.0, 1.0);
        let ground = mix(ground, [0.05, 0.05, 0.10], 0.26 * shadow * shadow * (3.0 - 2.0 * shadow));
        let cover = (0.5 - self.scene.class.shape.distance(point) * self.half).clamp(0.0, 1.0);
        mix(ground, self.fill(point), cover)
    }

    /// `place` in the shape's own coordinates.
    fn local(&self, [x, y]: Point) -> Point {
        let (x, y) = ((x - self.centre[0]) / self.half, (y - self.centre[1]) / self.half);
        let [sine, cosine] = self.turn;
        [x * cosine + y * sine, y * cosine - x * sine]
    }

    /// The colour inside the shape: its texture, a little lighter towards the top.
    fn fill(&self, point: Point) -> Rgb {
        let color = self.scene.class.color;
        let textured = mix(color.rgb(), color.shade(), self.texture(point));
        let light = -0.04 * point[1];
        textured.map(|channel| (channel + light).clamp(0.0, 1.0))
    }

    /// How much of the second shade shows, `0.0..=1.0`, with edges about one pixel wide.
    fn texture(&self, [x, y]: Point) -> f32 {
        const PERIOD: f32 = 0.5;
        let cell = |along: f32, phase: f32| ((along / PERIOD + phase).rem_euclid(1.0) - 0.5) * PERIOD;
        let inside = match self.scene.texture {
            Texture::Solid => return 0.0,
            Texture::Striped => 0.10 - cell((x + y) * std::f32::consts::FRAC_1_SQRT_2, self.phase[0]).abs(),
            Texture::Dotted => 0.14 - cell(x, self.phase[0]).hypot(cell(y, self.phase[1])),
        };
        (0.5 + inside * self.half).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::palette::Color;
    use super::super::shape::Shape;
    use super::*;

    fn scene(color: Color, shape: Shape) -> Scene {
        let class = Class { color, shape };
        let (size, position) = (Size::Large, Position::Centre);
        Scene { class, size, position, texture: Texture::Solid, background: Background::Mist }
    }

    #[test]
    fn the_middle_of_a_solid_circle_has_its_colour() {
        for color in Color::ALL {
            let picture = scene(color, Shape::Circle).draw(64, 5);
            let middle = picture.get_pixel(32, 32).0;
            for (drawn, wanted) in middle.into_iter().zip(color.rgb()) {
                assert!((f32::from(drawn) - wanted * 255.0).abs() < 12.0, "{}: {middle:?}", color.name());
            }
        }
    }

    #[test]
    fn a_drawing_depends_on_its_seed_alone() {
        let star = scene(Color::Blue, Shape::Star);
        assert_eq!(star.draw(48, 1), star.draw(48, 1));
        assert_ne!(star.draw(48, 1), star.draw(48, 2));
    }

    #[test]
    fn shapes_stay_inside_the_picture_wherever_they_are() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed, 0);
            let class = Class { color: Color::Black, shape: dice.pick(Shape::ALL) };
            let picture = Scene { background: Background::Ivory, ..Scene::random(class, &mut dice) }.draw(64, seed);
            let dark = |x: u32, y: u32| picture.get_pixel(x, y).0[0] < 100;
            let touches = (0..64).any(|i| dark(0, i) || dark(63, i) || dark(i, 0) || dark(i, 63));
            assert!(!touches, "the {} of seed {seed} touches the border", class.name());
        }
    }
}
