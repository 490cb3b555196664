//! Shards whose samples carry the index of their class, as those of CLIP_benchmark do: a picture, and the index as
//! decimal text in a member with the extension `cls`.

use shards::Sample;
use shards::spec::ShardSpec;

use crate::evaluation::{Content, EvalBatches, EvalConfig, Labelled, Unreadable};
use crate::in_order::samples;

const IMAGE_EXTENSIONS: [&str; 4] = ["jpg", "png", "jpeg", "webp"];
const LABEL_EXTENSION: &str = "cls";

/// Labelled samples in shards.
#[derive(Clone, Debug)]
pub struct LabelledShards {
    spec: ShardSpec,
}

impl LabelledShards {
    /// The samples of the shards that `spec` names.
    pub fn new(spec: ShardSpec) -> Self {
        Self { spec }
    }

    /// All samples in their order. A sample without picture or class, and a shard that cannot be opened or is not
    /// whole, are among the unreadable.
    pub fn batches(&self, config: &EvalConfig) -> EvalBatches {
        EvalBatches::new(samples(&self.spec).map(|sample| labelled(sample?)), config)
    }
}

fn labelled(sample: Sample) -> Result<Labelled, Unreadable> {
    let image = sample.field(&IMAGE_EXTENSIONS).map(|field| field.bytes.clone());
    let label = sample.field(&[LABEL_EXTENSION]).map(|field| String::from_utf8_lossy(&field.bytes).into_owned());
    let key = sample.key.to_string();
    let missing = |key: String, what: &str| {
        let has: Vec<_> = sample.fields.iter().map(|field| field.extension.as_str()).collect();
        let reason = format!("shard `{}`: sample without {what} (it has: {})", sample.shard, has.join(", "));
        Unreadable { key, reason }
    };
    let Some(bytes) = image else { return Err(missing(key, &format!("picture ({})", IMAGE_EXTENSIONS.join(", ")))) };
    let Some(text) = label else { return Err(missing(key, "class index (cls)")) };
    match text.trim().parse() {
        Ok(label) => Ok(Labelled { key, label, content: Content::Bytes(bytes) }),
        Err(_) => {
            let start: String = text.chars().take(20).collect();
            let reason = format!("shard `{}`: expected a class index in `cls`, got `{start}`", sample.shard);
            Err(Unreadable { key, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use shards::image::{Channels, Picture, encode_jpeg};
    use shards::writer::ShardWriter;
    use shards::{Field, SampleKey};

    #[test]
    fn what_is_no_labelled_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar");
        let picture = Picture { width: 9, height: 9, channels: Channels::Luma, pixels: vec![7; 81] };
        let jpeg = Bytes::from(encode_jpeg(&picture, 95).unwrap());
        let field = |extension: &str, bytes: &Bytes| Field { extension: extension.into(), bytes: bytes.clone() };
        let cls = |text: &str| field("cls", &Bytes::copy_from_slice(text.as_bytes()));
        let mut writer = ShardWriter::create(&path).unwrap();
        let samples = [
            ("good", vec![field("jpg", &jpeg), cls(" 3\n")]),
            ("word", vec![field("jpg", &jpeg), cls("zebra")]),
            ("bare", vec![field("jpg", &jpeg), field("txt", &jpeg)]),
            ("blind", vec![cls("1")]),
        ];
        for (key, fields) in &samples {
            writer.write(&SampleKey::new(*key), fields).unwrap();
        }
        writer.seal().unwrap();
        let cut = folder.path().join("1.tar");
        std::fs::write(&cut, &std::fs::read(&path).unwrap()[..512]).unwrap();
        let spec = ShardSpec::parse(&folder.path().join("{0..2}.tar").display().to_string()).unwrap();
        let mut batches = LabelledShards::new(spec).batches(&EvalConfig::new(8, 1, 4));
        let batch = batches.next().unwrap().unwrap();
        assert_eq!((batch.keys, batch.labels), (vec!["good".to_string()], vec![3]));
        assert!(batches.next().is_none());
        let found: Vec<_> = batches.unreadable().iter().map(|one| format!("{}: {}", one.key, one.reason)).collect();
        let expected = ["word: ", "bare: ", "blind: ", "1.tar: ", "2.tar"];
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "expected `{expected}` in `{found}`");
        }
        assert_eq!(found.len(), 5, "{found:?}");
    }
}
