//! What the reader delivers from whole, cut and mutated shards.

use std::io::{self, Read};

use super::*;

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn three_samples() -> Vec<u8> {
    let large = vec![b'J'; 700];
    tar_of(&[
        ("0.jpg", &large),
        ("0.txt", b"zero"),
        ("1.jpg", &large),
        ("1.txt", b"one"),
        ("2.jpg", &large),
        ("2.txt", b"two"),
    ])
}

fn read(source: impl Read) -> (Vec<Sample>, Option<Error>, ShardEnd) {
    let mut reader = ShardReader::new("t.tar", source);
    let (mut samples, mut error) = (Vec::new(), None);
    for sample in &mut reader {
        match sample {
            Ok(sample) => samples.push(sample),
            Err(e) => error = Some(e),
        }
    }
    let end = reader.end().cloned().unwrap();
    (samples, error, end)
}

fn keys(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.key.as_str()).collect()
}

#[test]
fn what_was_written_is_read() {
    let long = format!("{}/x.jpg", "d".repeat(150));
    let (samples, error, end) = read(&tar_of(&[("a.jpg", b"J"), ("a.txt", b""), (&long, &[7; 513])])[..]);
    assert!(error.is_none());
    assert_eq!(end, ShardEnd::Complete { samples: 2 });
    assert_eq!(samples[0].field(&["txt"]).unwrap().bytes.len(), 0);
    assert_eq!(samples[1].fields[0].bytes.as_ref(), &[7; 513]);
    assert_eq!(samples[1].key.as_str(), &long[..long.len() - 4]);
    assert_eq!((samples[0].offset, samples[1].offset), (0, 1536));
}

#[test]
fn a_shard_cut_anywhere_is_incomplete_and_delivers_whole_samples_only() {
    let whole = three_samples();
    let (all, _, _) = read(&whole[..]);
    // The end marker begins behind six headers, three times two blocks and three single ones.
    let marker = 512 * (6 + 3 * 2 + 3);
    for length in (0..marker + 1024).step_by(4) {
        let (samples, error, end) = read(&whole[..length]);
        assert!(error.is_none(), "{length}");
        assert_eq!(samples[..], all[..samples.len()], "{length}");
        let ShardEnd::Incomplete { samples: counted, reason, .. } = end else { panic!("{length}") };
        assert_eq!(counted, samples.len() as u64);
        let expected = match length {
            _ if length >= marker => IncompleteReason::NoEndMarker,
            _ if length % 512 != 0 && [0, 1536, 2560, 4096, 5120, 6656].contains(&(length / 512 * 512)) => {
                IncompleteReason::CutInHeader
            }
            0 | 1536 | 2560 | 4096 | 5120 | 6656 => IncompleteReason::NoEndMarker,
            _ => IncompleteReason::CutInData,
        };
        assert_eq!(reason, expected, "{length}");
    }
}

#[test]
fn a_sample_cut_between_its_members_is_named_and_not_delivered() {
    let (samples, _, end) = read(&three_samples()[..4096 + 1024]);
    assert_eq!(keys(&samples), ["0", "1"]);
    let (samples, _, named) = read(&three_samples()[..2560 + 1536]);
    assert_eq!(keys(&samples), ["0"]);
    let expected =
        |samples, offset, key| ShardEnd::Incomplete { samples, reason: IncompleteReason::NoEndMarker, offset, key };
    assert_eq!(end, expected(2, 5120, None));
    assert_eq!(named, expected(1, 4096, Some(SampleKey::new("1"))));
}

#[test]
fn a_damaged_header_is_an_error_at_its_offset() {
    let mut bytes = three_samples();
    bytes[2560 + 150] ^= 1;
    let (samples, error, end) = read(&bytes[..]);
    assert_eq!(keys(&samples), ["0"]);
    assert!(matches!(error, Some(Error::Malformed { offset: 2560, .. })), "{error:?}");
    assert!(matches!(end, ShardEnd::Incomplete { reason: IncompleteReason::Malformed(_), offset: 2560, .. }));
}

#[test]
fn what_is_no_tar_is_quoted() {
    let (_, error, _) = read(&[b'<'; 600][..]);
    assert!(error.unwrap().to_string().contains("<<<<"));
}

#[test]
fn a_second_tar_behind_the_first_is_noticed() {
    let bytes = [tar_of(&[("a.jpg", b"J")]), tar_of(&[("b.jpg", b"J")])].concat();
    let (samples, _, end) = read(&bytes[..]);
    assert_eq!(keys(&samples), ["a"]);
    assert!(matches!(end, ShardEnd::Incomplete { reason: IncompleteReason::BytesAfterEnd, offset: 2048, .. }));
}

#[test]
fn a_source_that_fails_behind_the_end_marker_is_heard() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("command exited with 1"))
        }
    }
    let whole = tar_of(&[("a.jpg", b"J")]);
    let (samples, _, end) = read(whole.chain(Failing));
    assert_eq!(keys(&samples), ["a"]);
    let ShardEnd::Incomplete { reason: IncompleteReason::Source(reason), .. } = end else { panic!("{end:?}") };
    assert_eq!(reason, "command exited with 1");
}

#[test]
fn a_member_beyond_the_limit_is_refused_before_it_is_read() {
    let mut reader = ShardReader::new("t.tar", io::Cursor::new(three_samples())).with_max_member_bytes(600);
    let message = reader.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("`0.jpg` has 700 bytes"), "{message}");
    assert!(reader.next().is_none());
}

#[test]
fn samples_beyond_any_measure_are_refused() {
    let names: Vec<String> = (0..1002).map(|i| format!("a.x{i}")).collect();
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let (samples, error, end) = read(&tar_of(&members)[..]);
    assert!(samples.is_empty() && matches!(end, ShardEnd::Incomplete { samples: 0, .. }), "half a sample is none");
    assert!(error.unwrap().to_string().contains("sample `a` has more than 1000 members"));
    let large = vec![b'J'; 400];
    let tar = tar_of(&[("a.jpg", &large), ("a.png", &large)]);
    let mut reader = ShardReader::new("t.tar", &tar[..]).with_max_member_bytes(600);
    assert!(reader.next().unwrap().unwrap_err().to_string().contains("sample `a` has more than 600 bytes"));
    // The last members of a sample that has those of the one before it, and one more.
    let names = ["a.jpg", "a.txt", "b.jpg", "b.txt", "b.npy"];
    let tar = tar_of(&names.map(|name| (name, if name == "b.npy" { &large[..] } else { &b"x"[..] })));
    let mut reader = ShardReader::new("t.tar", &tar[..]).with_max_member_bytes(300);
    assert_eq!(reader.next().unwrap().unwrap().key.as_str(), "a");
    assert!(reader.next().unwrap().is_err() && reader.next().is_none());
}

#[test]
fn a_huge_announced_size_allocates_nothing() {
    let mut bytes = tar_of(&[("a.jpg", b"J")]);
    bytes[124..136].copy_from_slice(b"07777777777\0");
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let reader = ShardReader::new("t.tar", &bytes[..]).with_max_member_bytes(u64::MAX);
    assert_eq!(reader.count(), 0);
}

fn compressed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    gzip.write_all(bytes).unwrap();
    bzip2.write_all(bytes).unwrap();
    xz.write_all(bytes).unwrap();
    [
        ("gzip", gzip.finish().unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("zstd", zstd::encode_all(bytes, 1).unwrap()),
    ]
}

#[test]
fn compression_is_recognised_by_content_and_a_cut_stream_is_heard() {
    for (name, bytes) in compressed(&three_samples()) {
        let (samples, _, end) = read(unpacked(Box::new(io::Cursor::new(bytes.clone()))).unwrap());
        assert_eq!((samples.len(), end), (3, ShardEnd::Complete { samples: 3 }), "{name}");
        let cut = bytes[..bytes.len() - 6].to_vec();
        let (_, _, end) = read(unpacked(Box::new(io::Cursor::new(cut))).unwrap());
        let is_heard = matches!(end, ShardEnd::Incomplete { reason: IncompleteReason::Source(_), .. });
        assert!(is_heard, "{name}: {end:?}");
    }
}

#[test]
fn joined_streams_and_zeros_behind_them_are_read_as_one() {
    let whole = three_samples();
    let parts = whole.split_at(whole.len() / 2);
    for ((name, first), (_, second)) in compressed(parts.0).into_iter().zip(compressed(parts.1)) {
        for zeros in [0, 4, 1024, 300_000] {
            let bytes = [&first[..], &second, &vec![0; zeros]].concat();
            let (samples, _, end) = read(unpacked(Box::new(io::Cursor::new(bytes))).unwrap());
            assert_eq!((samples.len(), end), (3, ShardEnd::Complete { samples: 3 }), "{name}, {zeros} zeros");
        }
        let bytes = [&first[..], &second, b"more"].concat();
        let (samples, _, end) = read(unpacked(Box::new(io::Cursor::new(bytes))).unwrap());
        let ShardEnd::Incomplete { reason: IncompleteReason::Source(reason), .. } = end else { panic!("{name}") };
        assert!(samples.len() == 3 && reason.starts_with("what follows the packed data"), "{name}: {reason}");
    }
}

#[test]
fn members_that_belong_to_no_sample_are_counted() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind: tar::EntryType| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_link_name("a.jpg").unwrap();
        builder.append_data(&mut header, name, &[][..]).unwrap();
    };
    add("d/", tar::EntryType::Directory);
    add("__meta__/x.jpg", tar::EntryType::Regular);
    for (name, kind) in [
        ("a.jpg", tar::EntryType::Regular),
        ("b.jpg", tar::EntryType::Link),
        ("c.jpg", tar::EntryType::Symlink),
        ("README", tar::EntryType::Regular),
        ("d.jpg", tar::EntryType::new(b'Z')),
    ] {
        add(name, kind);
    }
    let bytes = builder.into_inner().unwrap();
    let mut reader = ShardReader::new("t.tar", &bytes[..]);
    assert_eq!((reader.by_ref().count(), reader.members_left_out()), (1, 4));
}

#[test]
fn a_count_that_is_not_the_recorded_one_is_told() {
    for (recorded, told) in [(None, None), (Some(3), None), (Some(4), Some(4))] {
        let proof = Proof { samples: recorded, ..Proof::default() };
        let bytes = three_samples();
        let mut reader = ShardReader::new("t.tar", &bytes[..]).with_proof(proof);
        assert_eq!(reader.miscount(), None);
        assert_eq!((reader.by_ref().count(), reader.miscount()), (3, told));
    }
}

#[test]
fn samples_that_are_passed_over_count_and_are_not_delivered() {
    let bytes = three_samples();
    let (all, _, _) = read(&bytes[..]);
    for count in 0..5 {
        let mut reader = ShardReader::new("t.tar", &bytes[..]);
        reader.pass_over(count);
        let samples: Vec<_> = reader.by_ref().map(|sample| sample.unwrap()).collect();
        assert_eq!(samples[..], all[(count as usize).min(3)..]);
        assert_eq!(reader.end(), Some(&ShardEnd::Complete { samples: 3 }));
    }
}

#[test]
fn a_missing_end_marker_is_made_up_for_by_a_proof() {
    let whole = three_samples();
    let marker = 512 * (6 + 3 * 2 + 3);
    let end = |length: usize, proof: Proof| {
        let mut reader = ShardReader::new("t.tar", &whole[..length]).with_proof(proof);
        reader.by_ref().for_each(|sample| drop(sample.unwrap()));
        matches!(reader.end(), Some(ShardEnd::Complete { samples: 3 }))
    };
    let accepting = Proof { missing_end: MissingEnd::IsAccepted, ..Proof::default() };
    let [counted, miscounted] = [3, 4].map(|samples| Proof { samples: Some(samples), ..Proof::default() });
    let measured = Proof { bytes: Some(marker as u64), ..Proof::default() };
    for proof in [accepting, counted, measured] {
        assert!(end(marker, proof) && end(marker + 512, proof), "{proof:?}");
        assert!(!end(marker - 1024, proof) && !end(marker - 3, proof), "{proof:?}");
    }
    assert!(!end(marker, Proof::default()) && !end(marker, miscounted));
}

proptest::proptest! {
    #[test]
    fn mutated_shards_never_panic(changes in proptest::collection::vec((0usize..10_240, 0u8..=255), 0..20), cut in 0usize..10_240) {
        let mut bytes = three_samples();
        for (position, value) in changes {
            let position = position % bytes.len();
            bytes[position] = value;
        }
        let kept = cut.min(bytes.len());
        let (samples, error, end) = read(&bytes[..kept]);
        proptest::prop_assert!(samples.len() <= 6);
        let is_malformed = matches!(end, ShardEnd::Incomplete { reason: IncompleteReason::Malformed(_), .. });
        proptest::prop_assert!(error.is_none() || is_malformed);
    }

    #[test]
    fn samples_survive_a_round_trip(contents in proptest::collection::vec((0usize..2_000, 0usize..40), 0..8)) {
        let members: Vec<_> = contents.iter().enumerate().flat_map(|(index, (picture, text))| {
            [(format!("{index}.jpg"), vec![index as u8; *picture]), (format!("{index}.txt"), vec![b't'; *text])]
        }).collect();
        let borrowed: Vec<_> = members.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        let (samples, error, end) = read(&tar_of(&borrowed)[..]);
        proptest::prop_assert!(error.is_none());
        proptest::prop_assert_eq!(end, ShardEnd::Complete { samples: contents.len() as u64 });
        for (sample, (picture, text)) in samples.iter().zip(&contents) {
            proptest::prop_assert_eq!(sample.fields[0].bytes.len(), *picture);
            proptest::prop_assert_eq!(sample.fields[1].bytes.len(), *text);
        }
    }
}
