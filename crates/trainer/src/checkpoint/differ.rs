//! How two models differ, in words.

use std::collections::{BTreeMap, BTreeSet};

use model::config::ClipConfig;
use serde_json::Value;

/// So many keys tell which model is meant.
const TOLD: usize = 4;

/// The first few keys that have another value there, in `saved`, than here, in `asked`.
pub fn differences(saved: &ClipConfig, asked: &ClipConfig) -> String {
    let (saved, asked) = (flat(saved), flat(asked));
    let names: BTreeSet<&String> = saved.keys().chain(asked.keys()).collect();
    let text = |value: Option<&String>| value.map_or("nothing".to_owned(), String::clone);
    let told = names.into_iter().filter(|name| saved.get(*name) != asked.get(*name));
    let told = told.map(|name| format!("{name} is {} there and {} here", text(saved.get(name)), text(asked.get(name))));
    told.take(TOLD).collect::<Vec<_>>().join(", ")
}

fn flat(config: &ClipConfig) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    flatten("", &serde_json::json!(config), &mut keys);
    keys
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&format!("{prefix}.{key}"), value, into)),
        Value::Null => {}
        value => {
            into.insert(prefix.trim_start_matches('.').to_owned(), value.to_string());
        }
    }
}
