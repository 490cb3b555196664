//! The number of batches and samples of an epoch against open_clip's.

use loader::{EpochSize, epoch_size};
use support::fixtures;

#[test]
fn parity_arithmetic() {
    let mut read = 0;
    for path in fixtures::paths("arithmetic.json") {
        let table: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in table["epochs"].as_array().unwrap() {
            let number = |name: &str| case[name].as_u64().unwrap();
            let size = epoch_size(number("num_samples"), number("batch_size"), number("world_size"), number("workers"));
            let expected = EpochSize { num_batches: number("num_batches"), num_samples: number("samples_per_epoch") };
            assert_eq!(size, expected, "{case}");
            read += 1;
        }
    }
    println!("{read} epochs");
    assert!(read > 0, "no epoch was read");
}
