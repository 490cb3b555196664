//! `clipdata stats`: known answers of small tables, and of real LAION rows where they are.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::clipdata;

#[test]
fn a_small_table_is_described_exactly() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("part.csv");
    let rows = "URL,TEXT,WIDTH,HEIGHT,similarity\n\
                https://www.example.com/a.jpg,a cat,640,480,0.31\n\
                http://example.com/b.png,,320,200,0.29\n\
                https://other.org/c.jpg,a longer caption,100,50,\n";
    fs::write(&path, rows).unwrap();
    let finished = clipdata().arg("stats").arg(&path).arg("--json").run().success();
    let stats = finished.json_data("summary").pop().unwrap();
    assert_eq!(stats["rows"], 3);
    let hosts = &stats["hosts"]["top"];
    assert_eq!((hosts[0]["name"].as_str(), hosts[0]["count"].as_u64()), (Some("example.com"), Some(2)));
    let named = |kind: &str, name: &str| {
        let entries = stats[kind].as_array().unwrap();
        entries.iter().find(|entry| entry["name"] == name).cloned().unwrap_or_else(|| panic!("no {name} in {stats}"))
    };
    assert_eq!(named("columns", "TEXT")["nulls"], 1);
    assert_eq!(named("columns", "similarity")["nulls"], 1);
    assert_eq!(named("numbers", "width")["max"], 640.0);
    let text = clipdata().arg("stats").arg(&path).run().success().stdout;
    assert!(text.contains("3 rows") && text.contains("example.com"), "{text}");
}

#[test]
fn real_laion_rows_give_the_known_answers() {
    let table =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/img2dataset/test_files/test_10000.parquet");
    if !table.is_file() {
        eprintln!("skipped: the LAION rows of shared/data are not here");
        return;
    }
    let finished = clipdata().arg("stats").arg(&table).arg("--json").run().success();
    let stats = finished.json_data("summary").pop().unwrap();
    assert_eq!(stats["rows"], 10_000);
    assert_eq!(stats["hosts"]["distinct"], 4474);
    assert_eq!(stats["hosts"]["top"][0]["name"], "cdn.shopify.com");
    assert_eq!(stats["hosts"]["top"][0]["count"], 641);
}

#[test]
fn a_missing_table_is_named() {
    let finished = clipdata().args(["stats", "nowhere.parquet"]).run().expect_code(2);
    assert!(finished.stderr.contains("nowhere.parquet"), "{}", finished.stderr);
}
