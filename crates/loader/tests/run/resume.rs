//! Runs that are cut off and go on: what comes is what would have come.

use loader::{Error, Loader, LoaderConfig, LoaderPosition, Sampling};

use crate::data::{SIZES, config, data_set, data_set_of, epoch, global_batches_from, keys, maybe_damaged, take};

/// A run of `steps` batches, and the rest of it, begun anew from what was saved at each of `cuts`.
fn check(config: &LoaderConfig, other: &LoaderConfig, steps: usize, cuts: impl Iterator<Item = usize>) {
    let whole = take(&mut Loader::new(config.clone()).unwrap().batches(), steps);
    for cut in cuts {
        let loader = Loader::new(config.clone()).unwrap();
        let mut batches = loader.batches();
        let _ = take(&mut batches, cut);
        let saved = serde_json::to_string(batches.position()).unwrap();
        drop(batches);
        let position: LoaderPosition = serde_json::from_str(&saved).unwrap();
        let mut rest = Loader::new(other.clone()).unwrap().batches_from(&position).unwrap();
        let rest = take(&mut rest, steps - cut);
        let first = (0..rest.len()).find(|at| rest[*at] != whole[cut + at]).unwrap_or(0);
        let (got, expected) = (rest.get(first), whole.get(cut + first));
        assert!(
            rest == whole[cut..],
            "{:?} cut after {cut}, batch {first} of the rest: {got:?} for {expected:?}",
            config.sampling
        );
    }
}

/// 50 steps at random, over four epochs or passes, in every way of drawing, with samples that are left out.
#[test]
fn a_run_cut_at_any_step_goes_on_with_the_very_next_batch() {
    let folder = data_set_of(&SIZES, true, |shard, index| maybe_damaged(shard, index, 6));
    let mut state = 17u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for (sampling, open_shards) in [
        (Sampling::Once, None),
        (Sampling::Once, Some(5)),
        (Sampling::Epochless, Some(4)),
        (Sampling::Epochless, Some(1)),
        (Sampling::Resampled, Some(3)),
    ] {
        let mut config = config(folder.path(), "{0..6}");
        (config.sampling, config.open_shards) = (sampling, open_shards);
        let mut other = config.clone();
        // Epochs stay rounded by the workers that the run began with.
        (config.workers, other.workers) = (3, 2);
        check(&config, &other, 45, (0..10).map(|_| random(45) as usize));
    }
}

proptest::proptest! {
    // Each case opens a data set a few times.
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]
    #[test]
    fn any_data_set_is_read_once_a_pass_and_goes_on_anywhere(
        sizes in proptest::collection::vec(0u64..9, 1..6),
        ways in (0usize..3, proptest::option::of(1usize..5)),
        batch_size in 1usize..6,
        threads in (1usize..4, 1usize..4),
        seed: u64,
        cut in 0usize..12,
    ) {
        let total: u64 = sizes.iter().sum();
        proptest::prop_assume!(total > 0);
        let folder = data_set(&sizes, true);
        let mut config = config(folder.path(), &format!("{{0..{}}}", sizes.len() - 1));
        config.sampling = [Sampling::Once, Sampling::Epochless, Sampling::Resampled][ways.0];
        (config.open_shards, config.batch_size, config.seed, config.workers) = (ways.1, batch_size, seed, threads.0);
        if config.sampling == Sampling::Resampled {
            config.num_samples = Some(total);
        }
        let mut other = config.clone();
        other.workers = threads.1;
        check(&config, &other, 12, std::iter::once(cut));
        if config.sampling == Sampling::Once {
            let mut first = keys(&epoch(&config).0);
            first.sort_unstable();
            first.dedup();
            proptest::prop_assert_eq!(first.len() as u64, total);
        }
    }
}

/// Nothing is left of the pass there, which is no proof that it had nothing.
#[test]
fn a_run_goes_on_from_the_end_of_a_pass() {
    let folder = data_set(&[7, 7], true);
    let mut config = config(folder.path(), "{0..1}");
    (config.batch_size, config.workers) = (7, 1);
    for (sampling, buffer) in [(Sampling::Once, 0), (Sampling::Once, 20_000), (Sampling::Epochless, 1)] {
        (config.sampling, config.shuffle_buffer, config.open_shards) = (sampling, buffer, Some(1));
        check(&config, &config.clone(), 6, 0..6);
    }
}

/// Each stream goes on behind the only sample of the only shard, which is no proof that there is none.
#[test]
fn many_streams_go_on_in_one_tiny_shard() {
    let folder = data_set(&[1], true);
    let mut config = config(folder.path(), "0");
    (config.sampling, config.batch_size, config.open_shards) = (Sampling::Epochless, 1, Some(4));
    for (seed, cut) in (0..8).flat_map(|seed| (3..6).map(move |cut| (seed, cut))) {
        config.seed = seed;
        check(&config, &config.clone(), 12, std::iter::once(cut));
    }
}

#[test]
fn two_ranks_go_on_as_four_and_as_one() {
    let folder = data_set_of(&SIZES, true, |shard, index| maybe_damaged(shard, index, 6));
    for (sampling, open_shards) in
        [(Sampling::Once, Some(2)), (Sampling::Epochless, None), (Sampling::Resampled, Some(8))]
    {
        let mut config = config(folder.path(), "{0..6}");
        (config.batch_size, config.sampling, config.open_shards) = (12, sampling, open_shards);
        let (whole, _) = global_batches_from(&config, 2, 10, |_| None);
        for cut in [1, 3, 4, 7] {
            let (_, position) = global_batches_from(&config, 2, cut, |_| None);
            for world_size in [4, 1, 3] {
                let from = |_: &Loader| Some(position.clone());
                let (rest, _) = global_batches_from(&config, world_size, 10 - cut, from);
                assert!(rest == whole[cut..], "{sampling:?}: cut after {cut}, on {world_size} ranks");
            }
        }
    }
}

#[test]
fn a_position_is_small_and_fits_its_data_only() {
    let folder = data_set(&SIZES, true);
    let original = config(folder.path(), "{0..6}");
    let loader = Loader::new(original.clone()).unwrap();
    let mut batches = loader.batches();
    let _ = take(&mut batches, 3);
    let position = batches.position().clone();
    assert!(serde_json::to_vec(&position).unwrap().len() < 6000);
    type Change = fn(&mut LoaderConfig);
    let changes: [(&str, Change); 4] = [
        ("seed", |c| c.seed = 1),
        ("sampling", |c| c.sampling = Sampling::Epochless),
        ("shuffle_buffer", |c| c.shuffle_buffer = 1),
        ("lanes", |c| c.lanes = 120),
    ];
    for (setting, change) in changes {
        let mut changed = original.clone();
        change(&mut changed);
        let error = Loader::new(changed).unwrap().batches_from(&position).err().unwrap();
        assert!(matches!(&error, Error::Position { setting: found, .. } if *found == setting), "{error}");
    }
    let fewer = Loader::new(config(folder.path(), "{0..5}")).unwrap();
    assert!(fewer.batches_from(&position).err().unwrap().to_string().contains("`data`"));
    let mut later = position.clone();
    later.samples += 4;
    assert!(LoaderPosition::merged(&[position, later]).unwrap_err().to_string().contains("`moment`"));
}

#[test]
fn an_epoch_of_a_run_that_left_no_position_is_that_of_a_run_from_its_start() {
    let folder = data_set_of(&SIZES, true, |shard, index| maybe_damaged(shard, index, 6));
    let loader = Loader::new(config(folder.path(), "{0..6}")).unwrap();
    let steps = loader.epoch_size().num_batches as usize;
    let whole = take(&mut loader.batches(), 3 * steps);
    let later = take(&mut loader.batches_from(&loader.start_of(1)).unwrap(), 2 * steps);
    assert!(later == whole[steps..]);
}
