//! Pictures with their captions for evaluation: in the order of the data, each picture once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use shards::Sample;
use shards::spec::ShardSpec;

use crate::caption::CaptionSource;
use crate::evaluation::{Content, EvalBatches, EvalConfig, Labelled, Unreadable};
use crate::in_order::samples;
use crate::table::Table;

/// How many captions a picture has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptionsOf {
    /// One: the first that is found, as open_clip takes it.
    #[default]
    One,
    /// Several: every line of every caption, as CLIP_benchmark's shards for retrieval have them, and every row of a table
    /// that has the same picture.
    Several,
}

/// Where pictures and captions are.
#[derive(Clone, Debug)]
pub enum EvalPairs {
    /// Tar shards.
    Shards {
        /// Which.
        spec: ShardSpec,
        /// Extensions that count as pictures; the first that a sample has wins.
        image_extensions: Vec<String>,
        /// Where captions stand.
        captions: Vec<CaptionSource>,
    },
    /// Files, named by a table with their captions.
    Table(Arc<Table>),
}

impl EvalPairs {
    /// All pictures with their captions. What lacks either, and a shard that is not whole, is among the unreadable.
    pub fn batches(&self, captions_of: CaptionsOf, config: &EvalConfig) -> EvalBatches<Vec<String>> {
        match self {
            Self::Shards { spec, image_extensions, captions } => {
                let (extensions, sources) = (image_extensions.clone(), captions.clone());
                let pair =
                    move |sample: Result<Sample, Unreadable>| of_sample(sample?, &extensions, &sources, captions_of);
                EvalBatches::new(samples(spec).map(pair), config)
            }
            Self::Table(table) => EvalBatches::new(of_table(table, captions_of).into_iter().map(Ok), config),
        }
    }
}

fn of_sample(
    sample: Sample,
    extensions: &[String],
    sources: &[CaptionSource],
    captions_of: CaptionsOf,
) -> Result<Labelled<Vec<String>>, Unreadable> {
    let key = sample.key.to_string();
    let texts = sources.iter().flat_map(|source| source.texts(&sample));
    let label: Vec<String> = match captions_of {
        CaptionsOf::One => texts.take(1).collect(),
        CaptionsOf::Several => texts.flat_map(|text| lines(&text)).collect(),
    };
    let names: Vec<&str> = extensions.iter().map(String::as_str).collect();
    let picture = sample.field(&names).map(|field| field.bytes.clone());
    match picture {
        Some(bytes) if !label.is_empty() => Ok(Labelled { key, label, content: Content::Bytes(bytes) }),
        found => {
            let has: Vec<_> = sample.fields.iter().map(|field| field.extension.as_str()).collect();
            let wanted: Vec<_> = sources.iter().map(CaptionSource::name).collect();
            let (what, among) = match found {
                None => ("picture", names.join(", ")),
                Some(_) => ("caption", wanted.join(", ")),
            };
            let has = has.join(", ");
            Err(Unreadable {
                key,
                reason: format!("shard `{}`: sample without {what} ({among}; it has: {has})", sample.shard),
            })
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The rows of a table; with several captions a picture those of one path together, where the path first stands.
fn of_table(table: &Table, captions_of: CaptionsOf) -> Vec<Labelled<Vec<String>>> {
    let mut found: Vec<(PathBuf, Vec<String>)> = Vec::with_capacity(table.len());
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    for row in 0..table.len() {
        let (path, caption) = table.row(row);
        let known = places.get(&path).filter(|_| captions_of == CaptionsOf::Several).copied();
        match known {
            Some(place) => found[place].1.push(caption.to_owned()),
            None => {
                places.insert(path.clone(), found.len());
                found.push((path, vec![caption.to_owned()]));
            }
        }
    }
    let labelled = |(path, label): (PathBuf, Vec<String>)| Labelled {
        key: path.display().to_string(),
        label,
        content: Content::File(path),
    };
    found.into_iter().map(labelled).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use shards::image::{Channels, Picture, encode_jpeg};
    use shards::writer::ShardWriter;
    use shards::{Field, SampleKey};

    use super::*;

    #[test]
    fn captions_are_one_or_all_lines_and_what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let picture = Picture { width: 9, height: 9, channels: Channels::Luma, pixels: vec![7; 81] };
        let jpeg = Bytes::from(encode_jpeg(&picture, 95).unwrap());
        let field =
            |extension: &str, bytes: &[u8]| Field { extension: extension.into(), bytes: Bytes::copy_from_slice(bytes) };
        let mut writer = ShardWriter::create(&folder.path().join("0.tar")).unwrap();
        writer.write(&SampleKey::new("a"), &[field("jpg", &jpeg), field("txt", b"one\n two \n\n")]).unwrap();
        writer.write(&SampleKey::new("b"), &[field("jpg", &jpeg)]).unwrap();
        writer.write(&SampleKey::new("c"), &[field("txt", b"words")]).unwrap();
        writer.seal().unwrap();
        let pairs = EvalPairs::Shards {
            spec: ShardSpec::parse(&folder.path().join("0.tar").display().to_string()).unwrap(),
            image_extensions: vec!["jpg".into()],
            captions: vec![CaptionSource::text("txt")],
        };
        for (captions_of, expected) in
            [(CaptionsOf::One, vec!["one\n two \n\n"]), (CaptionsOf::Several, vec!["one", "two"])]
        {
            let mut batches = pairs.batches(captions_of, &EvalConfig::new(4, 1, 8));
            let batch = batches.next().unwrap().unwrap();
            assert_eq!(
                (batch.labels, batch.keys),
                (vec![expected.into_iter().map(str::to_owned).collect()], vec!["a".into()])
            );
            assert!(batches.next().is_none());
            let [caption, picture] = batches.unreadable() else { panic!("{:?}", batches.unreadable()) };
            assert!(caption.reason.contains("without caption (txt; it has: jpg)"), "{}", caption.reason);
            assert!(picture.reason.contains("without picture (jpg; it has: txt)"), "{}", picture.reason);
        }
    }

    #[test]
    fn rows_of_one_picture_are_its_captions() {
        let row = |path: &'static str, caption: &'static str| (Path::new(path), caption);
        let table = Table::from_rows([row("a.jpg", "1"), row("b.jpg", "2"), row("a.jpg", "3")]);
        let labels = |captions_of| of_table(&table, captions_of).into_iter().map(|pair| pair.label).collect::<Vec<_>>();
        assert_eq!(labels(CaptionsOf::One), [["1"], ["2"], ["3"]]);
        assert_eq!(labels(CaptionsOf::Several), [vec!["1", "3"], vec!["2"]]);
    }
}
