//! `--aug-cfg`: open_clip's `key=value` pairs.

use anyhow::{Context, bail};
use loader::{Augmentation, ColourJitter};

/// open_clip's default of `color_jitter_prob` where jitter is given and it is not.
const JITTER_PROBABILITY: f64 = 0.8;

/// What the pairs say.
///
/// # Errors
/// On a key that is not known, and a value that is none of its kind; those of timm are refused by name.
pub fn parse(pairs: &[String]) -> anyhow::Result<Augmentation> {
    let mut found = Augmentation::default();
    let (mut jitter, mut jitter_probability) = (None, None);
    for pair in pairs {
        let (key, value) = pair.split_once('=').with_context(|| format!("--aug-cfg `{pair}`: expected KEY=VALUE"))?;
        let numbers = numbers(value).with_context(|| format!("--aug-cfg `{pair}`: expected numbers, got `{value}`"))?;
        match (key, numbers[..].as_ref()) {
            ("scale", [low, high]) => found.scale = (*low, *high),
            ("ratio", [low, high]) => found.ratio = (*low, *high),
            ("color_jitter", [brightness, contrast, saturation, hue]) => {
                let [brightness, contrast, saturation, hue] = [*brightness, *contrast, *saturation, *hue];
                jitter = Some(ColourJitter { brightness, contrast, saturation, hue });
            }
            ("color_jitter_prob", [probability]) => jitter_probability = Some(*probability),
            ("gray_scale_prob", [probability]) => found.grey_probability = *probability,
            ("use_timm" | "re_prob" | "re_count", _) => bail!("--aug-cfg `{pair}`: timm's transforms are not built"),
            ("scale" | "ratio", _) => bail!("--aug-cfg `{pair}`: expected {key}=(LOW,HIGH), such as scale=(0.9,1.0)"),
            ("color_jitter", _) => {
                bail!("--aug-cfg `{pair}`: expected color_jitter=(BRIGHTNESS,CONTRAST,SATURATION,HUE)")
            }
            _ => bail!(
                "--aug-cfg `{pair}`: unknown (known: scale, ratio, color_jitter, color_jitter_prob, gray_scale_prob)"
            ),
        }
    }
    match (jitter, jitter_probability) {
        (None, Some(probability)) if probability > 0.0 => {
            bail!("--aug-cfg color_jitter_prob asks for color_jitter=(…)")
        }
        (jitter, probability) => {
            found.colour_jitter = jitter.map(|jitter| (jitter, probability.unwrap_or(JITTER_PROBABILITY)));
        }
    }
    Ok(found)
}

/// `0.5`, `(0.9, 1.0)`, `[0.9,1.0]`; Python's True and False are no numbers that anything here takes.
fn numbers(value: &str) -> Option<Vec<f64>> {
    let inner = value.trim().trim_matches(['(', ')', '[', ']', '\'', '"']);
    if matches!(inner, "True" | "False") {
        return Some(vec![f64::from(inner == "True")]);
    }
    inner.split(',').map(|number| number.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[&str]) -> anyhow::Result<Augmentation> {
        parse(&pairs.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn pairs_are_those_of_open_clip() {
        let found =
            parsed(&["scale=(0.4, 1.0)", "ratio=[0.5,2]", "color_jitter=(0.32,0.32,0.32,0.08)", "gray_scale_prob=0.2"]);
        let found = found.unwrap();
        assert_eq!((found.scale, found.ratio, found.grey_probability), ((0.4, 1.0), (0.5, 2.0), 0.2));
        assert_eq!(found.colour_jitter.map(|(jitter, probability)| (jitter.hue, probability)), Some((0.08, 0.8)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for pair in ["scale=0.5", "scale", "color_jitter=0.4", "use_timm=True", "colour=1", "color_jitter_prob=0.5"] {
            let message = parsed(&[pair]).unwrap_err().to_string();
            assert!(message.contains(pair.split('=').next().unwrap()), "{pair}: {message}");
        }
    }
}
