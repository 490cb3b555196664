//! Captions: where samples have them, and which of several is taken.

use serde_json::Value;
use shards::Sample;

use crate::seed::Draws;

/// A place where a sample may have a caption, or several.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptionSource {
    /// The member's extension.
    pub extension: String,
    /// The key of a JSON member whose text is meant, or whose list of texts; `None` for the whole member as text.
    pub json_key: Option<String>,
    /// How often this one is taken, beside the others that the sample has.
    pub weight: f64,
}

impl CaptionSource {
    /// The text of a member.
    pub fn text(extension: &str) -> Self {
        Self { extension: extension.into(), json_key: None, weight: 1.0 }
    }

    /// What stands under `key` in the member `json`.
    pub fn json(key: &str) -> Self {
        Self { extension: "json".into(), json_key: Some(key.into()), weight: 1.0 }
    }

    /// As messages name it.
    pub(crate) fn name(&self) -> String {
        self.json_key.as_ref().map_or(self.extension.clone(), |key| format!("{}:{key}", self.extension))
    }

    /// The captions in `sample` that are not blank. Bytes that are no UTF-8 become the replacement character.
    pub(crate) fn texts(&self, sample: &Sample) -> Vec<String> {
        let Some(field) = sample.field(&[&self.extension]) else { return Vec::new() };
        let mut texts = match &self.json_key {
            None => vec![String::from_utf8_lossy(&field.bytes).into_owned()],
            Some(key) => match serde_json::from_slice::<Value>(&field.bytes)
                .ok()
                .and_then(|mut json| json.get_mut(key).map(Value::take))
            {
                Some(Value::String(text)) => vec![text],
                Some(Value::Array(texts)) => texts
                    .into_iter()
                    .filter_map(|text| match text {
                        Value::String(text) => Some(text),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            },
        };
        texts.retain(|text| !text.trim().is_empty());
        texts
    }
}

/// The caption of `sample`: the only one, or one drawn by weight; those of one place share its weight.
pub(crate) fn caption(sample: &Sample, sources: &[CaptionSource], draws: impl FnOnce() -> Draws) -> Option<String> {
    let mut found: Vec<(String, f64)> = Vec::new();
    for source in sources {
        let texts = source.texts(sample);
        let weight = source.weight / texts.len().max(1) as f64;
        found.extend(texts.into_iter().map(|text| (text, weight)));
    }
    if found.len() < 2 {
        return found.pop().map(|(text, _)| text);
    }
    let mut target = draws().unit() * found.iter().map(|(_, weight)| weight).sum::<f64>();
    let chosen = found.iter().position(|(_, weight)| {
        target -= weight;
        target < 0.0
    });
    let chosen = chosen.unwrap_or(found.len() - 1);
    Some(found.swap_remove(chosen).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Domain;
    use bytes::Bytes;
    use shards::{Field, SampleKey};

    fn sample(fields: &[(&str, &'static str)]) -> Sample {
        let field = |(extension, text): &(&str, &'static str)| Field {
            extension: (*extension).into(),
            bytes: Bytes::from_static(text.as_bytes()),
        };
        Sample { key: SampleKey::new("k"), fields: fields.iter().map(field).collect(), shard: "s".into(), offset: 0 }
    }

    fn taken(sample: &Sample, sources: &[CaptionSource], place: u64) -> Option<String> {
        caption(sample, sources, || Draws::new(1, Domain::Caption, &[place]))
    }

    #[test]
    fn captions_are_text_or_stand_in_json() {
        let all = sample(&[("txt", "a cat"), ("json", r#"{"alt": "alt text", "many": ["one", " ", 3, "two"]}"#)]);
        let text = |source: CaptionSource| taken(&all, &[source], 0);
        assert_eq!(text(CaptionSource::text("txt")).unwrap(), "a cat");
        assert_eq!(text(CaptionSource::json("alt")).unwrap(), "alt text");
        assert_eq!(text(CaptionSource::json("none")), None);
        let many = [CaptionSource::json("many")];
        let drawn: std::collections::BTreeSet<_> = (0..50).filter_map(|place| taken(&all, &many, place)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(taken(&sample(&[("txt", " \n")]), &[CaptionSource::text("txt")], 0), None);
        assert_eq!(taken(&sample(&[("json", "{")]), &[CaptionSource::json("alt")], 0), None);
    }

    #[test]
    fn of_several_captions_one_is_drawn_by_weight() {
        let both = sample(&[("txt", "original"), ("syn", "synthetic")]);
        let sources = [CaptionSource::text("txt"), CaptionSource { weight: 3.0, ..CaptionSource::text("syn") }];
        let synthetic = (0..4000).filter(|place| taken(&both, &sources, *place).unwrap() == "synthetic").count();
        assert!((2850..3150).contains(&synthetic), "{synthetic}");
        assert_eq!(taken(&sample(&[("txt", "original")]), &sources, 3).unwrap(), "original");
    }
}
