//! What a list may be given as.

use std::fs::write;
use std::path::Path;

use super::*;

/// Names of the files found, with their format, or what is wrong.
fn found(url_list: &Path, change: impl Fn(&mut InputOptions)) -> std::result::Result<String, String> {
    let mut options = InputOptions::new(url_list);
    change(&mut options);
    let (files, format) = files::find(&options).map_err(|error| error.to_string())?;
    let name = |file: &ListFile| file.name.file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<_> = files.iter().filter_map(name).collect();
    Ok(format!("{format}: {}", names.join(" ")))
}

fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        write(folder.path().join(name), "http://a/\n").unwrap();
    }
    folder
}

#[test]
fn a_folder_is_its_files_of_one_format_in_order() {
    let folder = folder_with(&["b.tsv", "a.tsv.gz", "c.tsv.zst", "_SUCCESS", "notes.md", "d.csv"]);
    std::fs::create_dir(folder.path().join("e.tsv")).unwrap();
    let mixed = found(folder.path(), |_| ()).unwrap_err();
    assert!(mixed.contains("tsv and csv") && mixed.contains("d.csv"), "{mixed}");
    let tsv = found(folder.path(), |options| options.input_format = Some(InputFormat::Tsv)).unwrap();
    assert_eq!(tsv, "tsv: a.tsv.gz b.tsv c.tsv.zst");
    let none = found(folder.path(), |options| options.input_format = Some(InputFormat::Json)).unwrap_err();
    assert!(none.contains("the folder has no json file"), "{none}");
}

#[test]
fn braces_are_files_in_their_order() {
    let folder = folder_with(&["part-10.txt", "part-9.txt", "part-8.txt", "{a,b}.csv"]);
    assert_eq!(
        found(&folder.path().join("part-{8..10}.txt"), |_| ()).unwrap(),
        "txt: part-8.txt part-9.txt part-10.txt"
    );
    assert_eq!(found(&folder.path().join("part-{9,1*}.txt"), |_| ()).unwrap(), "txt: part-9.txt part-10.txt");
    assert_eq!(found(&folder.path().join("{a,b}.csv"), |_| ()).unwrap(), "csv: {a,b}.csv", "a file that is there");
    let unmatched = found(&folder.path().join("part-{8,7*}.txt"), |_| ()).unwrap_err();
    assert!(unmatched.contains("part-7*.txt") && unmatched.contains("no file matches"), "{unmatched}");
    let unclosed = found(&folder.path().join("part-{8..9.txt"), |_| ()).unwrap_err();
    assert!(unclosed.contains("part-{8..9.txt"), "{unclosed}");
}

#[test]
fn a_glob_is_the_files_that_match_in_order() {
    let folder = folder_with(&["part-1.jsonl", "part-0.jsonl", "other.jsonl", "list[1].txt", "part-2"]);
    let glob = |pattern: &str| found(&folder.path().join(pattern), |_| ());
    assert_eq!(glob("part-*.jsonl").unwrap(), "jsonl: part-0.jsonl part-1.jsonl");
    assert_eq!(glob("list[1].txt").unwrap(), "txt: list[1].txt", "a file of that name comes first");
    assert!(glob("none-*.csv").unwrap_err().contains("no file matches"));
    assert!(glob("part-*").unwrap_err().contains("part-2"), "a file that was asked for is not left out");
}

#[test]
fn addresses_are_told_by_their_scheme() {
    let address = |text: &str| found(Path::new(text), |_| ());
    assert_eq!(
        address("s3://bucket/part-{0..2}.parquet").unwrap(),
        "parquet: part-0.parquet part-1.parquet part-2.parquet"
    );
    assert_eq!(address("https://h/list.csv.gz?X-Amz-Signature=abc").unwrap(), "csv: list.csv.gz");
    assert!(address("https://h/download?id=1").unwrap_err().contains("unknown input format"));
    assert!(address("s3://bucket/folder/").unwrap_err().contains("cannot be listed"));
    assert!(address("gs://bucket/list.csv").unwrap_err().contains("unknown scheme `gs`"));
}

#[test]
fn names_do_not_give_secrets_away() {
    let options = InputOptions::new("https://me:pass@h/list.csv?token=abc#x");
    let (files, _) = files::find(&options).unwrap();
    assert_eq!(&*files[0].name, Path::new("https://h/list.csv"));
    assert_eq!(files[0].uri.to_string(), "https://me:pass@h/list.csv?token=abc#x");
}

#[test]
fn files_with_other_columns_than_the_first_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("a.tsv"), "a\thttp://a/\n").unwrap();
    write(folder.path().join("b.tsv"), "url\nhttp://b/\n").unwrap();
    let mut list = UrlList::open(&InputOptions::new(folder.path())).unwrap();
    assert_eq!((list.file_count(), list.rows(0).unwrap().count()), (2, 1));
    let error = list.rows(1).err().unwrap().to_string();
    assert!(error.contains("b.tsv") && error.contains("are not those of"), "{error}");
}
