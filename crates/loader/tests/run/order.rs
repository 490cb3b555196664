//! Which samples come, how often, and that nothing but the settings decides it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use loader::{Loader, Replica, Sampling};

use crate::data::{SIZES, config, data_set, data_set_of, epoch, global_batches, keys, maybe_damaged, spec, take};

/// Over 7 shards, by 1 to 4 ranks and 1, 2 and 5 workers, with and without sizes, on one stream and on several.
#[test]
fn each_sample_comes_once_before_any_comes_again() {
    let total: u64 = SIZES.iter().sum();
    for are_known in [true, false] {
        let folder = data_set(&SIZES, are_known);
        for open_shards in [None, Some(3)] {
            for world_size in [1, 2, 3, 4] {
                for workers in [1, 2, 5] {
                    let (mut times, mut repeated) = (BTreeMap::<String, u64>::new(), 0);
                    for rank in 0..world_size {
                        let mut config = config(folder.path(), "{0..6}");
                        (config.workers, config.replica) = (workers, Replica { rank, world_size });
                        (config.num_samples, config.open_shards) = ((!are_known).then_some(total), open_shards);
                        let (batches, loader) = epoch(&config);
                        assert_eq!(batches.len() as u64, loader.epoch_size().num_batches);
                        keys(&batches).into_iter().for_each(|key| *times.entry(key).or_default() += 1);
                        repeated += loader.stats().repeated;
                    }
                    let context = format!("known: {are_known}, {open_shards:?}, {world_size} ranks, {workers} workers");
                    let delivered: u64 = times.values().sum();
                    if are_known || open_shards.is_none() {
                        assert_eq!(times.len() as u64, total, "{context}: {times:?}");
                        assert!(delivered - total <= repeated, "{context}");
                    } else {
                        // Whole shards are dealt out: a stream may end with its share unread, none reads another's.
                        assert!(delivered - times.len() as u64 <= repeated, "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn passes_without_epochs_leave_nothing_out() {
    let (folder, total) = (data_set(&SIZES, true), SIZES.iter().sum::<u64>());
    for open_shards in [1, 3, 8] {
        let mut config = config(folder.path(), "{0..6}");
        (config.sampling, config.open_shards, config.batch_size) = (Sampling::Epochless, Some(open_shards), 5);
        let loader = Loader::new(config).unwrap();
        let all = keys(&take(&mut loader.batches(), 3 * total as usize / 5));
        for pass in all.chunks(total as usize) {
            let times = pass.iter().fold(BTreeMap::<_, u64>::new(), |mut times, key| {
                *times.entry(key).or_default() += 1;
                times
            });
            assert_eq!(times.len() as u64, total, "{open_shards} streams: {times:?}");
        }
        assert_ne!(all[..total as usize], all[total as usize..2 * total as usize]);
    }
}

/// Delays of a length that depends on the sample and on nothing else make threads overtake each other.
#[test]
fn threads_and_delays_change_nothing_and_seeds_and_epochs_do() {
    let folder = data_set_of(&SIZES, true, |shard, index| maybe_damaged(shard, index, 5));
    let with = |workers, seed, delay: u64| {
        let mut config = config(folder.path(), "{0..6}");
        (config.workers, config.seed) = (workers, seed);
        config.tokenize = Arc::new(move |caption| {
            let turns = caption.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte)) % 8;
            (0..turns * delay).for_each(|turn| _ = black_box(turn));
            vec![caption.len() as u32; 4]
        });
        let loader = Loader::new(config).unwrap();
        take(&mut loader.batches(), 30)
    };
    let reference = with(1, 0, 0);
    for workers in [1, 2, 4, 5] {
        for delay in [0, 20_000] {
            // Epochs are rounded by the workers, so that only the first of them is the same.
            let (batches, first) = (with(workers, 0, delay), 8);
            assert!(batches[..first] == reference[..first], "{workers} workers, delay {delay}");
        }
    }
    assert!(with(1, 0, 20_000) == reference);
    let epochs: Vec<_> =
        (0..2).map(|e| reference.iter().filter(|batch| batch.epoch == e).collect::<Vec<_>>()).collect();
    assert_eq!(epochs[0].len(), 10);
    assert_ne!(epochs[0][0].keys, epochs[1][0].keys);
    assert_ne!(keys(&with(1, 1, 0)), keys(&reference));
}

#[test]
fn world_sizes_that_divide_the_lanes_get_the_same_global_batches() {
    for (sampling, open_shards) in [
        (Sampling::Once, None),
        (Sampling::Once, Some(4)),
        (Sampling::Epochless, Some(5)),
        (Sampling::Resampled, Some(6)),
    ] {
        let folder = data_set_of(&SIZES, true, |shard, index| maybe_damaged(shard, index, 6));
        let mut config = config(folder.path(), "{0..6}");
        (config.batch_size, config.sampling, config.open_shards) = (12, sampling, open_shards);
        let reference = global_batches(&config, 1, 9);
        for world_size in [2, 3, 4, 6, 12] {
            config.workers = 1;
            let batches = global_batches(&config, world_size, 9);
            assert!(batches == reference, "{sampling:?}, {open_shards:?}, {world_size} ranks");
        }
    }
}

#[test]
fn a_batch_holds_pixels_and_ids_of_its_samples() {
    let folder = data_set(&[6], true);
    let (batches, _) = epoch(&config(folder.path(), "0"));
    for batch in &batches {
        assert_eq!((batch.keys.len(), batch.pixels.len(), batch.input_ids.len()), (4, 4 * 8 * 8 * 3, 4 * 4));
        let lengths = batch.keys.iter().flat_map(|key| vec![format!("caption {key}").len() as u32; 4]);
        assert_eq!(batch.input_ids, lengths.collect::<Vec<_>>());
    }
}

#[test]
fn one_shard_serves_many_ranks_and_workers() {
    let folder = data_set(&[50], true);
    let mut config = config(folder.path(), "0");
    (config.batch_size, config.workers) = (20, 7);
    let reference = global_batches(&config, 1, 3);
    assert!([2, 4, 5, 20].into_iter().all(|world_size| global_batches(&config, world_size, 3) == reference));
}

#[test]
fn resampling_draws_shards_with_replacement_for_each_stream() {
    let folder = data_set(&[4; 20], true);
    let mut config = config(folder.path(), "{0..19}");
    (config.sampling, config.num_samples, config.shuffle_buffer) = (Sampling::Resampled, Some(800), 0);
    config.open_shards = Some(1);
    let all = keys(&epoch(&config).0);
    assert_eq!(all.len(), 800);
    let draws = all.chunks(4).map(|samples| samples[0].split('-').next().unwrap().to_owned());
    let mut times = BTreeMap::<String, u32>::new();
    draws.for_each(|shard| *times.entry(shard).or_default() += 1);
    assert!(times.len() > 15 && times.values().any(|count| *count > 12), "{times:?}");
}

#[test]
fn factors_draw_the_shards_of_a_source_more_often() {
    let folder = data_set(&[1; 20], true);
    let mut config = config(folder.path(), "{0..9}");
    let two = format!("{0}/{{0..9}}.tar::{0}/{{10..19}}.tar", folder.path().display());
    config.source = loader::Source::Shards(loader::ShardSpec::parse(&two).unwrap());
    (config.sampling, config.num_samples) = (Sampling::Resampled, Some(4000));
    config.upsampling_factors = vec![1.0, 3.0];
    let second = keys(&epoch(&config).0).iter().filter(|key| key.split('-').next().unwrap().len() == 2).count();
    assert!((2850..3150).contains(&second), "{second}");
    config.source = spec(folder.path(), "{0..9}");
    assert!(Loader::new(config).err().unwrap().to_string().contains("upsampling_factors"));
}
