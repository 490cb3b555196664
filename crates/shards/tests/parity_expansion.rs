//! Shard specifications expand to what open_clip makes of them.

use shards::spec::ShardSpec;
use support::fixtures;

#[test]
fn parity_expansion() {
    let mut read = 0;
    for path in fixtures::paths("arithmetic.json") {
        let table: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for case in table["expansions"].as_array().unwrap() {
            let spec = case["spec"].as_str().unwrap();
            let expected: Vec<_> = case["urls"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
            let got: Vec<_> = ShardSpec::parse(spec).unwrap().uris().map(ToString::to_string).collect();
            assert_eq!(got, expected, "{spec}");
            println!("{spec}");
            read += 1;
        }
    }
    assert!(read > 0, "no specification was read");
}
