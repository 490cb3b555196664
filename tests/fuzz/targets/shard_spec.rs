//! Any text as the names of shards: a bounded list or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::spec::ShardSpec;

fuzz_target!(|text: &str| {
    if let Ok(spec) = ShardSpec::parse(text) {
        assert!(spec.uris().count() > 0);
    }
});
