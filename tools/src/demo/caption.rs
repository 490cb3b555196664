//! What is said about a scene: varied captions for training, and the templates of the zero-shot classifier.

use super::dice::Dice;
use super::drawing::{Position, Scene, Size, Texture};

/// Templates for the zero-shot classifier; `{}` stands for the class name.
pub const TEMPLATES: [&str; 7] =
    ["{}", "a {}", "a photo of a {}", "a drawing of a {}", "a picture of a {}", "a small {}", "a large {}"];

/// A caption of at most twelve words. It always names colour and shape, nearly always side by side.
pub fn caption(scene: &Scene, dice: &mut Dice) -> String {
    if dice.chance(0.04) {
        return format!("a {} in {}", scene.class.shape.name(), scene.class.color.name());
    }
    let opening = dice.pick(["", "a", "a", "a", "the", "a photo of a", "a drawing of a", "a picture of a"]);
    let size = if dice.chance(0.4) { size(scene.size, dice) } else { "" };
    let texture = if dice.chance(0.5) { texture(scene.texture) } else { "" };
    let name = scene.class.name();
    let closing = closing(scene, dice);
    let words = [opening, size, texture, &name, &closing];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn size(size: Size, dice: &mut Dice) -> &'static str {
    match size {
        Size::Small => dice.pick(["small", "little"]),
        Size::Large => dice.pick(["large", "big"]),
    }
}

fn texture(texture: Texture) -> &'static str {
    match texture {
        // Nobody says "solid" of a plain shape.
        Texture::Solid => "",
        Texture::Striped => "striped",
        Texture::Dotted => "dotted",
    }
}

fn closing(scene: &Scene, dice: &mut Dice) -> String {
    match dice.below(10) {
        0..3 => position(scene.position, dice).to_owned(),
        3 => format!("on a {} background", scene.background.word()),
        _ => String::new(),
    }
}

fn position(position: Position, dice: &mut Dice) -> &'static str {
    match position {
        Position::Left => "on the left",
        Position::Right => "on the right",
        Position::Top => "at the top",
        Position::Bottom => "at the bottom",
        Position::Centre => dice.pick(["in the middle", "in the centre"]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::grammar::Class;
    use super::*;

    #[test]
    fn captions_are_short_and_nearly_always_hold_the_class_name() {
        let mut together = 0;
        let mut dice = Dice::new(11, 0);
        for _ in 0..50 {
            for class in Class::all() {
                let text = caption(&Scene::random(class, &mut dice), &mut dice);
                assert!(text.contains(class.color.name()) && text.contains(class.shape.name()), "{text}");
                assert!(text.split(' ').count() <= 12, "{text}");
                together += usize::from(text.contains(&class.name()));
            }
        }
        assert!(together > 50 * 48 * 9 / 10);
    }

    #[test]
    fn one_class_is_described_in_many_ways() {
        let mut dice = Dice::new(12, 0);
        let texts: BTreeSet<_> =
            (0..200).map(|_| caption(&Scene::random(Class::all()[0], &mut dice), &mut dice)).collect();
        assert!(texts.len() > 60, "{}", texts.len());
    }
}
