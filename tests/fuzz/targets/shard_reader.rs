//! Any bytes as a tar shard: samples and an end come out, never a panic, and never more bytes than went in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::reader::ShardReader;

fuzz_target!(|bytes: &[u8]| {
    let mut given = 0;
    for sample in ShardReader::new("fuzzed.tar", bytes) {
        let Ok(sample) = sample else { break };
        given += sample.fields.iter().map(|field| field.bytes.len()).sum::<usize>();
    }
    assert!(given <= bytes.len());
});
