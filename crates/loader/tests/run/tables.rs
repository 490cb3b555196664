//! Data that are no shards: tables of files, and pictures of nothing.

use loader::{Loader, Sampling, Source, Table};

use crate::data::{config, epoch, jpeg, keys, take};

#[test]
fn rows_of_a_table_come_once_an_epoch_and_unreadable_ones_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "filepath,title\n".to_owned();
    for i in 0..10 {
        let path = folder.path().join(format!("{i}.jpg"));
        if i != 3 {
            std::fs::write(&path, jpeg(i)).unwrap();
        }
        rows.push_str(&format!("{},number {i}\n", path.display()));
    }
    let list = folder.path().join("list.csv");
    std::fs::write(&list, rows).unwrap();
    let table = Table::read(&list, b',', "filepath", "title").unwrap();
    let mut config = config(folder.path(), "0");
    config.source = Source::Table(table.into());
    config.batch_size = 5;
    for world_size in [1, 3] {
        config.replica = loader::Replica { rank: 0, world_size };
        let (batches, loader) = epoch(&config);
        let mut found = keys(&batches);
        found.sort();
        found.dedup();
        // Three ranks would need fifteen rows for a batch each.
        assert_eq!((batches.len(), found.len()), if world_size == 1 { (2, 9) } else { (0, 0) }, "{found:?}");
        assert!(world_size > 1 || loader.stats().undecodable["unreadable"] >= 1);
    }
    config.replica = loader::Replica::single();
    config.sampling = Sampling::Resampled;
    assert!(Loader::new(config).err().unwrap().to_string().contains("table"));
}

#[test]
fn synthetic_samples_are_black_and_as_many_as_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), "0");
    config.source = Source::Synthetic(10);
    let loader = Loader::new(config).unwrap();
    assert_eq!(loader.epoch_size().num_batches, 2);
    let batches = take(&mut loader.batches(), 2);
    assert!(batches.iter().all(|batch| batch.pixels.iter().all(|value| *value == 0) && batch.input_ids[0] == 13));
}
