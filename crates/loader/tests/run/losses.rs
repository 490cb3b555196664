//! What cannot be used: counted, tried again, given up, or the end, as the policy says.

use std::collections::BTreeSet;
use std::path::Path;

use loader::{Error, Loader, LoaderConfig, OnError, Policy, Sampling, ShardSpec, Source};
use shards::Field;

use crate::data::{config, data_set, epoch, field, jpeg, keys, pair, take, write_shard};

const FAIL: OnError = OnError::Fail;

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
    let (batches, loader) = epoch(&config);
    assert_eq!(keys(&batches).into_iter().collect::<BTreeSet<_>>().len(), 3, "shard 2 has the keys of shard 0");
    let stats = loader.stats();
    assert!(stats.missing_image >= 1 && stats.missing_caption >= 2 && stats.repeated >= 7, "{stats:?}");
    assert!(stats.undecodable["truncated"] >= 1 && stats.undecodable["unknown_format"] >= 1, "{stats:?}");
    assert!(stats.shards_incomplete.values().sum::<u64>() >= 1 && stats.shards_failed >= 1, "{stats:?}");
    assert!(stats.extensions_left_out["json"] >= 1, "{stats:?}");
    for (policy, expected) in [
        (Policy { on_shard_error: FAIL, ..Policy::default() }, &["2.tar", "3.tar"][..]),
        (Policy { on_sample_error: FAIL, ..Policy::default() }, &["1.tar"]),
        (
            Policy { on_shard_error: OnError::Skip { at_most: Some(1) }, ..Policy::default() },
            &["shards could not be used"],
        ),
        (
            Policy { on_sample_error: OnError::Skip { at_most: Some(2) }, ..Policy::default() },
            &["samples could not be used"],
        ),
    ] {
        config.policy = policy;
        let message = first_error(&config);
        assert!(expected.iter().any(|part| message.contains(part)), "{policy:?}: {message}");
    }
}

#[test]
fn what_a_whole_shard_has_beside_its_samples_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("a.jpg", &jpeg(1)[..]), ("a.txt", b"words"), ("README", b"none"), ("LICENSE", b"none")];
    std::fs::write(folder.path().join("0.tar"), support::tarball(files)).unwrap();
    std::fs::write(folder.path().join("sizes.json"), r#"{"0.tar": 5}"#).unwrap();
    let mut config = config(folder.path(), "0");
    (config.num_samples, config.batch_size) = (Some(1), 1);
    let (_, loader) = epoch(&config);
    let stats = loader.stats();
    assert_eq!((stats.shards_miscounted, stats.members_left_out), (stats.shards_complete, 2 * stats.shards_complete));
    assert!(stats.losses().unwrap().contains("members that are no files"), "{stats:?}");
}

fn first_error(config: &LoaderConfig) -> String {
    let mut batches = Loader::new(config.clone()).unwrap().batches();
    let error = batches.find_map(Result::err).unwrap();
    assert!(batches.next().is_none());
    error.to_string()
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
        ("1", " not decodable"),
        ("2", "with a picture and no caption, or a blank one (looked for: txt); extensions seen: caption ("),
        ("9", "0 samples read; shards not whole or not readable: "),
    ];
    for (shard, expected) in cases {
        for sampling in [Sampling::Once, Sampling::Epochless, Sampling::Resampled] {
            let mut config = config(folder.path(), shard);
            (config.num_samples, config.sampling) = (Some(4), sampling);
            let message = first_error(&config);
            assert!(message.contains(expected), "expected `{expected}` in `{message}`");
            // What did not happen is not told.
            assert_eq!(message.contains("not decodable"), shard == "1", "{message}");
            assert_eq!(message.contains("not readable"), shard == "9", "{message}");
        }
    }
}

/// One useless source beside a good one would go unnoticed in its counts.
#[test]
fn a_source_without_a_usable_sample_is_an_error_beside_a_good_one() {
    let folder = data_set(&[3, 3], true);
    write_shard(
        &folder.path().join("bad.tar"),
        [("x".to_owned(), vec![field("jpg", jpeg(1)), field("text", "words")])],
    );
    let mut config = config(folder.path(), "0");
    let two = format!("{0}/{{0,1}}.tar::{0}/bad.tar", folder.path().display());
    config.source = Source::Shards(ShardSpec::parse(&two).unwrap());
    config.num_samples = Some(7);
    let message = first_error(&config);
    assert!(message.contains("bad.tar") && message.contains("text ("), "{message}");
}

fn piped(folder: &Path, script: &str) -> LoaderConfig {
    let mut config = config(folder, "0");
    let command = format!("pipe:cd {} && {script}", folder.display());
    config.source = Source::Shards(ShardSpec::parse(&command).unwrap());
    config
}

#[test]
fn a_source_that_fails_is_opened_again_and_goes_on_where_it_failed() {
    let folder = data_set(&[20], true);
    // The first try ends in the middle with an error, the second one does not.
    let script = "if [ -e tried ]; then cat 0.tar; else touch tried; head -c 20000 0.tar; exit 3; fi";
    let mut config = piped(folder.path(), script);
    config.num_samples = Some(20);
    let (batches, loader) = epoch(&config);
    let found: BTreeSet<_> = keys(&batches).into_iter().collect();
    assert_eq!(found.len(), 20);
    let stats = loader.stats();
    assert_eq!((stats.shards_retried, stats.repeated), (1, 0), "{stats:?}");
    assert!(stats.shards_incomplete.is_empty(), "{stats:?}");
}

#[test]
fn a_source_that_keeps_failing_is_given_up_counted() {
    let folder = data_set(&[20], true);
    let mut config = piped(folder.path(), "head -c 20000 0.tar; echo no more >&2; exit 3");
    (config.num_samples, config.policy.retries) = (Some(8), 1);
    let loader = Loader::new(config.clone()).unwrap();
    let mut batches = loader.batches();
    assert_eq!(keys(&take(&mut batches, 2)).len(), 8);
    drop(batches);
    let stats = loader.stats();
    assert!(stats.shards_incomplete["source"] >= 1 && stats.shards_retried >= 1, "{stats:?}");
    config.policy.on_shard_error = FAIL;
    let message = first_error(&config);
    assert!(message.contains("no more") && message.contains("samples"), "{message}");
}

#[test]
fn a_shard_that_changes_between_two_tries_is_given_up() {
    let folder = data_set(&[20], true);
    write_shard(&folder.path().join("other.tar"), (0..20).map(|index| pair(8, index)));
    let script = "if [ -e tried ]; then cat other.tar; else touch tried; head -c 20000 0.tar; exit 3; fi";
    let mut config = piped(folder.path(), script);
    (config.num_samples, config.policy.on_shard_error) = (Some(40), FAIL);
    let message = first_error(&config);
    assert!(message.contains("other samples than before"), "{message}");
}

#[test]
fn a_data_set_of_unknown_size_says_which_shard() {
    let folder = data_set(&[2, 2], false);
    let message = Loader::new(config(folder.path(), "{0..1}")).err().unwrap().to_string();
    assert!(message.contains("0.tar") && message.contains("sizes.json"), "{message}");
    let missing = Loader::new(config(folder.path(), "{7..8}")).err().unwrap();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
}
