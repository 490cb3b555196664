//! Any bytes as the parquet table of a shard: rows or an error.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use shards::metadata::StoredTable;

fuzz_target!(|bytes: &[u8]| {
    let _table = StoredTable::read(Path::new("fuzzed.parquet"), bytes.to_vec().into());
});
