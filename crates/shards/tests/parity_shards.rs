//! Shards written by Python's tarfile group as open_clip groups them. Where open_clip takes a
//! cut shard for a whole one, this reader delivers the same whole samples and says so.

use std::fs::File;

use serde_json::{Map, Value};
use shards::Sample;
use shards::reader::{IncompleteReason, ShardEnd, ShardReader};
use support::fixtures;

/// A sample as the table has it: long contents abridged to `J*600`.
fn abridged(sample: &Sample) -> Value {
    let mut fields = Map::new();
    fields.insert("__key__".into(), sample.key.as_str().into());
    for field in &sample.fields {
        let text = String::from_utf8(field.bytes.to_vec()).unwrap();
        let length = text.chars().count();
        let shown = if length < 80 { text } else { format!("{}*{length}", &text[..1]) };
        fields.insert(field.extension.clone(), shown.into());
    }
    Value::Object(fields)
}

#[test]
fn parity_shards() {
    let mut cases = 0;
    for folder in fixtures::paths("shards") {
        let table: Map<String, Value> =
            serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        for (name, expected) in &table {
            let mut reader = ShardReader::new(name, File::open(folder.join(name)).unwrap());
            let samples: Vec<_> = reader.by_ref().map(|sample| abridged(&sample.unwrap())).collect();
            assert_eq!(&Value::from(samples), &expected["samples"], "{name}");
            let reason = match reader.end().unwrap() {
                ShardEnd::Complete { .. } => None,
                ShardEnd::Incomplete { reason, .. } => Some(reason.clone()),
            };
            let expected = match name.as_str() {
                "truncated_in_data.tar" => Some(IncompleteReason::CutInData),
                "truncated_in_header.tar" => Some(IncompleteReason::CutInHeader),
                "no_end_marker.tar" => Some(IncompleteReason::NoEndMarker),
                _ => None,
            };
            assert_eq!(reason, expected, "{name}");
            println!("{}", folder.join(name).display());
            cases += 1;
        }
    }
    assert!(cases > 0);
}
