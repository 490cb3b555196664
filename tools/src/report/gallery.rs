//! Pictures on the page: the strip beside the title, training samples, and held-out pictures with guesses.

use super::content::{Guess, Prediction, Sample};
use super::html::{escape, join, percent, picture, width};

/// How many pictures stand beside the title.
const MOSAIC: usize = 18;

/// The pictures beside the title.
pub fn mosaic(samples: &[Sample]) -> String {
    let pictures = join(samples.iter().take(MOSAIC), |sample| picture(&sample.jpeg, &sample.caption));
    format!("<div class=\"mosaic\">{pictures}</div>")
}

/// Pictures with their captions.
pub fn samples(samples: &[Sample]) -> String {
    let figures = join(samples, |sample| {
        let caption = escape(&sample.caption);
        format!("<figure>{}<figcaption>{caption}</figcaption></figure>", picture(&sample.jpeg, &sample.caption))
    });
    format!("<div class=\"samples\">{figures}</div>")
}

/// Held-out pictures, each with the model's guesses as bars.
pub fn predictions(predictions: &[Prediction]) -> String {
    format!("<div class=\"predictions\">{}</div>", join(predictions, prediction))
}

fn prediction(prediction: &Prediction) -> String {
    let badge = if prediction.unseen { "<span class=\"badge\">unseen pair</span>" } else { "" };
    let guesses = join(&prediction.guesses, |one| guess(one, &prediction.class));
    let found = prediction.guesses.first().is_some_and(|guess| guess.class == prediction.class);
    let (style, verdict) = if found { ("right", "✓") } else { ("wrong", "✗") };
    format!(
        "<article class=\"prediction\"><div class=\"subject\">{}</div><div>\
         <h3><span class=\"{style}\">{verdict}</span> {}{badge}</h3><ol>{guesses}</ol></div></article>",
        picture(&prediction.jpeg, &prediction.class),
        escape(&prediction.class)
    )
}

fn guess(guess: &Guess, class: &str) -> String {
    let style = if guess.class == class { " class=\"right\"" } else { "" };
    format!(
        "<li{style}><span class=\"name\">{}</span><span class=\"track\"><i style=\"width:{}\"></i></span>\
         <span class=\"number\">{}</span></li>",
        escape(&guess.class),
        width(guess.probability),
        percent(guess.probability)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_class_is_marked_among_the_guesses() {
        let guesses = [("red ring", 0.7), ("red star", 0.2)]
            .map(|(class, probability)| Guess { class: class.to_owned(), probability });
        let shown = predictions(&[Prediction {
            jpeg: vec![1, 2, 3],
            class: "red star".to_owned(),
            unseen: true,
            guesses: guesses.to_vec(),
        }]);
        assert!(shown.contains("<li class=\"right\"><span class=\"name\">red star</span>"), "{shown}");
        assert!(shown.contains("✗") && shown.contains("unseen pair") && shown.contains("data:image/jpeg;base64,AQID"));
    }
}
