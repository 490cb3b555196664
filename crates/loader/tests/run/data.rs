//! Small data sets, and what a run of them gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use loader::{Batch, Batches, Loader, LoaderConfig, LoaderPosition, Replica, ShardSpec, Source};
use shards::image::{Channels, Picture, encode_jpeg};
use shards::writer::ShardWriter;
use shards::{Field, SampleKey};

/// Samples of the shards of most tests; one is empty, and they are fewer than the workers of some.
pub const SIZES: [u64; 7] = [11, 3, 8, 0, 5, 9, 4];

pub fn jpeg(shade: u8) -> Bytes {
    let pixels = (0..24 * 18u32).map(|i| shade.wrapping_add((i % 24 * 3) as u8)).collect();
    encode_jpeg(&Picture { width: 24, height: 18, channels: Channels::Luma, pixels }, 90).unwrap().into()
}

pub fn field(extension: &str, bytes: impl Into<Bytes>) -> Field {
    Field { extension: extension.into(), bytes: bytes.into() }
}

pub fn write_shard(path: &Path, samples: impl IntoIterator<Item = (String, Vec<Field>)>) {
    let mut writer = ShardWriter::create(path).unwrap();
    for (key, fields) in samples {
        writer.write(&SampleKey::new(key), &fields).unwrap();
    }
    writer.seal().unwrap();
}

pub fn pair(shard: usize, index: u64) -> (String, Vec<Field>) {
    let key = format!("{shard}-{index}");
    let fields = vec![field("jpg", jpeg((shard as u64 * 30 + index) as u8)), field("txt", format!("caption {key}"))];
    (key, fields)
}

/// A pair whose picture is cut, as one in so many is in a data set that is not perfect.
pub fn maybe_damaged(shard: usize, index: u64, one_in: u64) -> (String, Vec<Field>) {
    let (key, mut fields) = pair(shard, index);
    if (shard as u64 * 7 + index).is_multiple_of(one_in) {
        fields[0].bytes = fields[0].bytes.slice(..200);
    }
    (key, fields)
}

pub fn data_set(sizes: &[u64], are_known: bool) -> tempfile::TempDir {
    data_set_of(sizes, are_known, pair)
}

pub fn data_set_of(
    sizes: &[u64],
    are_known: bool,
    sample: impl Fn(usize, u64) -> (String, Vec<Field>),
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (shard, size) in sizes.iter().enumerate() {
        write_shard(&folder.path().join(format!("{shard}.tar")), (0..*size).map(|index| sample(shard, index)));
    }
    if are_known {
        let sizes: BTreeMap<_, _> = sizes.iter().enumerate().map(|(i, size)| (format!("{i}.tar"), *size)).collect();
        std::fs::write(folder.path().join("sizes.json"), serde_json::to_vec(&sizes).unwrap()).unwrap();
    }
    folder
}

pub fn spec(folder: &Path, shards: &str) -> Source {
    Source::Shards(ShardSpec::parse(&format!("{}/{shards}.tar", folder.display())).unwrap())
}

pub fn config(folder: &Path, shards: &str) -> LoaderConfig {
    let tokenize = Arc::new(|caption: &str| vec![caption.len() as u32; 4]);
    let mut config = LoaderConfig::new(spec(folder, shards), 4, 8, tokenize, 4);
    // Blocks of a few samples, several of them in a pass.
    config.shuffle_buffer = 20_000;
    config
}

/// The first epoch.
pub fn epoch(config: &LoaderConfig) -> (Vec<Batch>, Loader) {
    let loader = Loader::new(config.clone()).unwrap();
    let batches = loader.batches().take(loader.epoch_size().num_batches as usize).map(|batch| batch.unwrap()).collect();
    (batches, loader)
}

pub fn take(batches: &mut Batches, count: usize) -> Vec<Batch> {
    batches.take(count).map(|batch| batch.unwrap()).collect()
}

pub fn keys(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|batch| batch.keys.iter().map(ToString::to_string)).collect()
}

/// Global batches: of each step, the samples of all ranks in the order of the global stream, and the pixels' sums.
pub fn global_batches(config: &LoaderConfig, world_size: usize, steps: usize) -> Vec<Vec<String>> {
    let from = |_: &Loader| None;
    global_batches_from(config, world_size, steps, from).0
}

/// The same from a position, with the position behind them.
pub fn global_batches_from(
    config: &LoaderConfig,
    world_size: usize,
    steps: usize,
    from: impl Fn(&Loader) -> Option<LoaderPosition>,
) -> (Vec<Vec<String>>, LoaderPosition) {
    let global_batch = config.batch_size;
    let (mut ranks, mut positions, mut start) = (Vec::new(), Vec::new(), 0);
    for rank in 0..world_size {
        let mut config = config.clone();
        config.replica = Replica { rank, world_size };
        config.batch_size = global_batch / world_size;
        let loader = Loader::new(config).unwrap();
        let position = from(&loader).unwrap_or_else(|| loader.start());
        start = position.slot;
        let mut batches = loader.batches_from(&position).unwrap();
        ranks.push(take(&mut batches, steps));
        positions.push(serde_json::to_string(batches.position()).unwrap());
    }
    let step = |step: usize| {
        let start = start as usize + step * global_batch;
        let sample = |slot: usize| {
            let rank = slot % world_size;
            let batch: &Batch = &ranks[rank][step];
            let first = start + (rank + world_size - start % world_size) % world_size;
            let place = (slot - first) / world_size;
            let bytes = batch.pixels.len() / batch.keys.len();
            let sum: u64 = batch.pixels[place * bytes..][..bytes].iter().map(|value| u64::from(*value)).sum();
            format!("{} {} {sum}", batch.keys[place], batch.input_ids[place * 4])
        };
        (start..start + global_batch).map(sample).collect()
    };
    let positions: Vec<LoaderPosition> = positions.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    ((0..steps).map(step).collect(), LoaderPosition::merged(&positions).unwrap())
}
