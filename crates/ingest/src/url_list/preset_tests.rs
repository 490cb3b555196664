//! Lists as their data sets have them, read with their presets.

use super::*;

fn rows_of(name: &str, text: &[u8], change: impl Fn(&mut InputOptions), preset: Preset) -> Result<Vec<ListedRow>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let mut options = preset.options(&path);
    change(&mut options);
    let mut list = UrlList::open(&options)?;
    assert_eq!(list.columns().caption, options.caption_col.is_some());
    list.rows(0)?.collect()
}

fn read(preset: Preset, name: &str, text: &str) -> Vec<(String, Option<String>)> {
    let rows = rows_of(name, text.as_bytes(), |_| (), preset).unwrap();
    rows.into_iter().map(|row| row.map(|row| (row.url, row.caption)).unwrap()).collect()
}

fn pair(url: &str, caption: &str) -> (String, Option<String>) {
    (url.into(), Some(caption.into()))
}

#[test]
fn conceptual_captions_are_read_by_place_with_or_without_a_header() {
    let expected = [pair("http://a/", "a http://cat"), pair("http://b/", "b")];
    assert_eq!(read(Preset::Cc3m, "Train_GCC-training.tsv", "a http://cat\thttp://a/\nb\thttp://b/\n"), expected);
    assert_eq!(read(Preset::Cc3m, "cc3m.tsv", "caption\turl\na http://cat\thttp://a/\nb\thttp://b/\n"), expected);
    assert_eq!(read(Preset::Cc3m, "labels.tsv", "b\thttp://b/\tx,y\t/m/1,/m/2\t0.5,0.4\n"), expected[1..]);
    assert_eq!(read(Preset::Cc12m, "cc12m.txt", "http://a/\ta http://cat\nhttp://b/\tb\n"), expected);
}

#[test]
fn a_first_line_that_is_broken_is_one_bad_row() {
    let rows = rows_of("cc3m.tsv", b"no tab here\nb\thttp://b/\n", |_| (), Preset::Cc3m).unwrap();
    assert_eq!(rows[0].as_ref().unwrap_err().reason, "expected 2 columns, got 1");
    assert_eq!(rows[1].as_ref().unwrap().url, "http://b/");
}

#[test]
fn sbu_is_columns_in_json() {
    let text = r#"{"image_urls":["http://a/"],"user_ids":["x"],"captions":["a cat"]}"#;
    assert_eq!(read(Preset::Sbu, "sbu-captions-all.json", text), [pair("http://a/", "a cat")]);
}

#[test]
fn columns_of_laion_coyo_and_datacomp_are_known() {
    let expected = [pair("http://a/", "a cat")];
    for preset in [Preset::Laion, Preset::Mscoco] {
        assert_eq!(read(preset, "part.csv", "SAMPLE_ID,URL,TEXT\n1,http://a/,a cat\n"), expected);
    }
    for preset in [Preset::Coyo, Preset::Datacomp] {
        assert_eq!(read(preset, "part.csv", "uid,url,text\n1,http://a/,a cat\n"), expected);
    }
}

/// A line of YFCC100M with this title and description.
fn photo(title: &str, description: &str) -> String {
    let page = "http://www.flickr.com/photos/1/2/\thttp://farm1.staticflickr.com/2.jpg";
    let taken = "2009-04-18 16:25:53.0\t1240096000\tCanon+EOS";
    let rest = "Attribution License\thttp://creativecommons.org/licenses/by/2.0/\t1\t2\tab\tcd\tjpg\t0";
    format!("7\t42\tfff\t1@N00\tJo+Do\t{taken}\t{title}\t{description}\tcat%2C+dog\t\t\t\t\t{page}\t{rest}\n")
}

#[test]
fn yfcc_captions_are_decoded_titles_or_else_descriptions() {
    let text = photo("My+caf%C3%A9", "x") + &photo("", "100%25+wool");
    let url = "http://farm1.staticflickr.com/2.jpg";
    let expected = [pair(url, "My café"), pair(url, "100% wool")];
    assert_eq!(read(Preset::Yfcc, "yfcc100m_dataset", &text), expected);
    let first_release: String = text
        .lines()
        .map(|line| line.splitn(4, '\t').collect::<Vec<_>>())
        .fold(String::new(), |all, fields| all + fields[1] + "\t" + fields[3] + "\n");
    assert_eq!(read(Preset::Yfcc, "yfcc100m_dataset-0.tsv", &first_release), expected);
}

#[test]
fn flags_win_over_the_preset() {
    let change = |options: &mut InputOptions| {
        options.caption_col = Some("user_tags".into());
        options.save_additional_columns = vec!["photo_id".into()];
    };
    let rows = rows_of("yfcc.tsv", photo("t", "d").as_bytes(), change, Preset::Yfcc).unwrap();
    let row = rows[0].as_ref().unwrap();
    assert_eq!(row.caption.as_deref(), Some("cat, dog"));
    assert_eq!(row.extra, [ColumnValue::Text("42".into())]);
}
