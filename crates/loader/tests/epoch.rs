//! Whole epochs over real shards: what comes out, in which order, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use loader::{Batch, Error, Loader, LoaderConfig, OnShardError, Replica, Sampling};
use shards::image::{Channels, Picture, encode_jpeg};
use shards::spec::ShardSpec;
use shards::writer::ShardWriter;
use shards::{Field, SampleKey};

/// Samples of the shards of [`data_set`]; one is empty, and they are fewer than the workers of some tests.
const SIZES: [u64; 7] = [11, 3, 8, 0, 5, 9, 4];

fn jpeg(shade: u8) -> Bytes {
    let pixels = (0..24 * 18u32).map(|i| shade.wrapping_add((i % 24 * 3) as u8)).collect();
    encode_jpeg(&Picture { width: 24, height: 18, channels: Channels::Luma, pixels }, 90).unwrap().into()
}

fn field(extension: &str, bytes: impl Into<Bytes>) -> Field {
    Field { extension: extension.into(), bytes: bytes.into() }
}

fn write_shard(path: &Path, samples: impl IntoIterator<Item = (String, Vec<Field>)>) {
    let mut writer = ShardWriter::create(path).unwrap();
    for (key, fields) in samples {
        writer.write(&SampleKey::new(key), &fields).unwrap();
    }
    writer.seal().unwrap();
}

fn pair(shard: usize, index: u64) -> (String, Vec<Field>) {
    let key = format!("{shard}-{index}");
    let fields = vec![field("jpg", jpeg((shard as u64 * 30 + index) as u8)), field("txt", format!("caption {key}"))];
    (key, fields)
}

fn data_set(sizes: &[u64], are_known: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (shard, size) in sizes.iter().enumerate() {
        write_shard(&folder.path().join(format!("{shard}.tar")), (0..*size).map(|index| pair(shard, index)));
    }
    if are_known {
        let sizes: BTreeMap<_, _> = sizes.iter().enumerate().map(|(i, size)| (format!("{i}.tar"), *size)).collect();
        std::fs::write(folder.path().join("sizes.json"), serde_json::to_vec(&sizes).unwrap()).unwrap();
    }
    folder
}

fn config(folder: &Path, shards: &str) -> LoaderConfig {
    let spec = ShardSpec::parse(&format!("{}/{shards}.tar", folder.display())).unwrap();
    let tokenize = Arc::new(|caption: &str| vec![caption.len() as u32; 4]);
    let mut config = LoaderConfig::new(spec, 4, 8, tokenize, 4);
    config.shuffle_buffer = 6;
    config
}

fn batches(config: &LoaderConfig, epoch: u64) -> (Vec<Batch>, Loader) {
    let loader = Loader::new(config.clone()).unwrap();
    let batches = loader.epoch(epoch).map(|batch| batch.unwrap()).collect();
    (batches, loader)
}

fn keys(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|batch| batch.keys.iter().map(ToString::to_string)).collect()
}

#[test]
fn each_sample_comes_once_before_any_comes_again() {
    let total: u64 = SIZES.iter().sum();
    for are_known in [true, false] {
        let folder = data_set(&SIZES, are_known);
        for world_size in [1, 2, 3, 4] {
            for workers in [1, 2, 5] {
                let (mut times, mut repeated) = (BTreeMap::<String, u64>::new(), 0);
                let mut batch_counts = Vec::new();
                for rank in 0..world_size {
                    let mut config = config(folder.path(), "{0..6}");
                    (config.workers, config.replica) = (workers, Replica { rank, world_size });
                    config.num_samples = (!are_known).then_some(total);
                    let (batches, loader) = batches(&config, 3);
                    batch_counts.push(batches.len() as u64);
                    assert_eq!(batches.len() as u64, loader.epoch_size().num_batches);
                    keys(&batches).into_iter().for_each(|key| *times.entry(key).or_default() += 1);
                    repeated += loader.stats().repeated;
                }
                let context = format!("sizes known: {are_known}, {world_size} ranks, {workers} workers");
                assert!(batch_counts.iter().all(|count| *count == batch_counts[0]), "{context}: {batch_counts:?}");
                let delivered: u64 = times.values().sum();
                if are_known {
                    assert_eq!(times.len() as u64, total, "{context}: {times:?}");
                    assert_eq!(delivered - total, repeated, "{context}");
                } else {
                    // Whole shards are dealt out: a rank may end with its share unread, none reads another's.
                    assert!(delivered - times.len() as u64 <= repeated, "{context}");
                }
            }
        }
    }
}

#[test]
fn threads_change_nothing_and_seeds_and_epochs_do() {
    let folder = data_set(&SIZES, true);
    let with = |workers, seed, epoch| {
        let mut config = config(folder.path(), "{0..6}");
        (config.workers, config.seed, config.num_samples) = (workers, seed, Some(80));
        batches(&config, epoch).0
    };
    let reference = with(1, 0, 0);
    for workers in [2, 4, 5] {
        let batches = with(workers, 0, 0);
        assert!(batches[..reference.len()] == reference[..], "{workers} workers");
    }
    assert_ne!(keys(&with(1, 0, 1)), keys(&reference));
    assert_ne!(keys(&with(1, 1, 0)), keys(&reference));
}

#[test]
fn a_batch_holds_pixels_and_ids_of_its_samples() {
    let folder = data_set(&[6], true);
    let (batches, _) = batches(&config(folder.path(), "0"), 0);
    for batch in &batches {
        assert_eq!((batch.keys.len(), batch.pixels.len(), batch.input_ids.len()), (4, 4 * 8 * 8 * 3, 4 * 4));
        let lengths = batch.keys.iter().flat_map(|key| vec![format!("caption {key}").len() as u32; 4]);
        assert_eq!(batch.input_ids, lengths.collect::<Vec<_>>());
    }
}

#[test]
fn resampling_draws_shards_with_replacement_for_each_rank() {
    let folder = data_set(&[4; 20], true);
    let ranks = [0, 1].map(|rank| {
        let mut config = config(folder.path(), "{00..19}");
        config.spec = ShardSpec::parse(&format!("{}/{{0..19}}.tar", folder.path().display())).unwrap();
        (config.sampling, config.replica) = (Sampling::Resampled, Replica { rank, world_size: 2 });
        (config.num_samples, config.shuffle_buffer) = (Some(800), 0);
        keys(&batches(&config, 0).0)
    });
    assert_eq!(ranks[0].len(), 400);
    assert_ne!(ranks[0], ranks[1]);
    let draws = ranks[0].chunks(4).map(|samples| samples[0].split('-').next().unwrap().to_owned());
    let mut times = BTreeMap::<String, u32>::new();
    draws.for_each(|shard| *times.entry(shard).or_default() += 1);
    assert!(times.len() > 15 && times.values().any(|count| *count > 5), "{times:?}");
}

#[test]
fn what_cannot_be_used_is_counted_and_named() {
    let folder = data_set(&[3], false);
    let more = vec![
        ("no-picture".to_string(), vec![field("txt", "words"), field("json", "{}")]),
        ("no-caption".to_string(), vec![field("jpg", jpeg(1))]),
        ("blank".to_string(), vec![field("jpg", jpeg(1)), field("txt", " \n")]),
        ("half".to_string(), vec![field("jpg", jpeg(1).slice(..200)), field("txt", "words")]),
        ("page".to_string(), vec![field("png", "<html>"), field("txt", "words")]),
    ];
    write_shard(&folder.path().join("1.tar"), more);
    let whole = std::fs::read(folder.path().join("0.tar")).unwrap();
    std::fs::write(folder.path().join("2.tar"), &whole[..whole.len() - 1600]).unwrap();
    let mut config = config(folder.path(), "{0..3}");
    // More than a pass has, so that a whole pass is read; reading ahead may count a second one.
    (config.num_samples, config.workers) = (Some(12), 2);
    let (batches, loader) = batches(&config, 0);
    assert_eq!(keys(&batches).into_iter().collect::<BTreeSet<_>>().len(), 3, "shard 2 has the keys of shard 0");
    let stats = loader.stats();
    assert!(stats.missing_image >= 1 && stats.missing_caption >= 2 && stats.repeated >= 7, "{stats:?}");
    assert!(stats.undecodable["truncated"] >= 1 && stats.undecodable["unknown_format"] >= 1, "{stats:?}");
    assert!(stats.shards_incomplete.values().sum::<u64>() >= 1 && stats.shards_failed >= 1, "{stats:?}");
    assert!(stats.extensions_left_out["json"] >= 1, "{stats:?}");
    config.on_shard_error = OnShardError::Fail;
    let error = Loader::new(config).unwrap().epoch(0).find_map(Result::err).unwrap();
    assert!(matches!(error, Error::Shard(_) | Error::ShardIncomplete { .. }), "{error}");
}

#[test]
fn nothing_to_train_on_is_an_error_and_no_endless_loop() {
    let folder = tempfile::tempdir().unwrap();
    let useless: [(&str, Vec<Field>); 3] = [
        ("0", vec![field("jpeg2000", jpeg(1)), field("txt", "words")]),
        ("1", vec![field("jpg", jpeg(1).slice(..200)), field("txt", "words")]),
        ("2", vec![field("jpg", jpeg(1)), field("caption", "words")]),
    ];
    for (name, fields) in useless {
        write_shard(&folder.path().join(format!("{name}.tar")), [(name.to_string(), fields)]);
    }
    let cases = [
        ("0", "extensions seen: jpeg2000 ("),
        ("1", "0 without a caption (txt), "),
        ("2", "extensions seen: caption ("),
        ("9", "0 samples read"),
    ];
    for (shard, expected) in cases {
        for sampling in [Sampling::Once, Sampling::Resampled] {
            let mut config = config(folder.path(), shard);
            (config.num_samples, config.sampling) = (Some(4), sampling);
            let mut epoch = Loader::new(config).unwrap().epoch(0);
            let message = epoch.next().unwrap().unwrap_err().to_string();
            assert!(message.contains(expected), "expected `{expected}` in `{message}`");
            assert_eq!(message.contains(" 0 not decodable"), shard != "1", "{message}");
            assert_eq!(message.contains(" 0 shards not readable"), shard != "9", "{message}");
            assert!(epoch.next().is_none());
        }
    }
}

#[test]
fn a_data_set_of_unknown_size_says_which_shard() {
    let folder = data_set(&[2, 2], false);
    let message = Loader::new(config(folder.path(), "{0..1}")).err().unwrap().to_string();
    assert!(message.contains("0.tar") && message.contains("sizes.json"), "{message}");
}
