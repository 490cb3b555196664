//! Lists of class names and of templates in files: a JSON array of strings, a JSON object of such arrays, or text with one
//! entry a line. Of an object with several arrays, `FILE#name` picks one (`en_classnames.json#flowers`).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Template;
use crate::error::{Error, Result};

/// What to do with an entry that occurs twice. ImageNet's class names have `missile` and `sunglasses` twice, for classes
/// that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// It is an error.
    Refuse,
    /// Both stay, each in its place.
    Allow,
}

/// An entry, and where it stands: `line 3` or `index 2`.
struct Entry {
    text: String,
    place: String,
}

/// Reads class names, in the order of the file.
///
/// # Errors
/// When the file cannot be read, is no list, or is empty; when an entry is empty, or occurs twice and `duplicates` refuses
/// that. Names the file and the line or index.
pub fn read_class_names(path: &Path, duplicates: Duplicates) -> Result<Vec<String>> {
    let entries = read_entries(path, duplicates)?;
    Ok(entries.into_iter().map(|entry| entry.text).collect())
}

/// Reads templates, in the order of the file.
///
/// # Errors
/// As [`read_class_names`], and when an entry has no place for the class name.
pub fn read_templates(path: &Path, duplicates: Duplicates) -> Result<Vec<Template>> {
    let parse = |entry: Entry| match Template::parse(&entry.text) {
        Err(Error::Tokenizer { reason }) => Err(bad(path, &format!("{}: {reason}", entry.place))),
        parsed => parsed,
    };
    read_entries(path, duplicates)?.into_iter().map(parse).collect()
}

fn read_entries(path: &Path, duplicates: Duplicates) -> Result<Vec<Entry>> {
    let (file, part) = split_part(path);
    let bytes = fs::read(&file).map_err(|source| Error::Io { action: "read", path: file.clone(), source })?;
    let text = String::from_utf8(bytes).map_err(|source| bad(path, &format!("not UTF-8: {source}")))?;
    let text = text.trim_start_matches('\u{feff}');
    let entries = if text.trim_start().starts_with(['[', '{']) && is_json(&file, text) {
        json_entries(path, text, part.as_deref())?
    } else {
        line_entries(text)
    };
    check(path, &entries, duplicates)?;
    Ok(entries)
}

/// The file, and the name behind `#`. A file whose own name has a `#` is found first.
fn split_part(path: &Path) -> (PathBuf, Option<String>) {
    let spelled = path.to_string_lossy();
    match spelled.rsplit_once('#') {
        Some((file, part)) if !path.exists() => (PathBuf::from(file), Some(part.to_owned())),
        _ => (path.to_owned(), None),
    }
}

/// A template may begin with a brace, so that text which looks like JSON need not be; nothing begins with a bracket but JSON.
fn is_json(file: &Path, text: &str) -> bool {
    text.trim_start().starts_with('[')
        || file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        || serde_json::from_str::<Value>(text).is_ok()
}

fn json_entries(path: &Path, text: &str, part: Option<&str>) -> Result<Vec<Entry>> {
    let value: Value = serde_json::from_str(text).map_err(|source| bad(path, &format!("bad json: {source}")))?;
    let list = pick(path, value, part)?;
    let entry = |(index, value): (usize, Value)| match value {
        Value::String(text) => Ok(Entry { text, place: format!("index {index}") }),
        other => Err(bad(path, &format!("index {index}: expected a string, got `{other}`"))),
    };
    list.into_iter().enumerate().map(entry).collect()
}

/// The one list of a JSON value that is meant.
fn pick(path: &Path, value: Value, part: Option<&str>) -> Result<Vec<Value>> {
    let mut lists = match (value, part) {
        (Value::Array(list), None) => return Ok(list),
        (Value::Object(lists), _) => lists,
        _ => return Err(bad(path, "expected a json array of strings, or an object of them")),
    };
    let names = || lists.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let name = match (part, lists.keys().next()) {
        (Some(part), _) => part.to_owned(),
        (None, Some(only)) if lists.len() == 1 => only.clone(),
        _ => return Err(bad(path, &format!("holds several lists, pick one with `#name`: {}", names()))),
    };
    let known = names();
    match lists.remove(&name) {
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(bad(path, &format!("`{name}`: expected an array of strings"))),
        None => Err(bad(path, &format!("has no list `{name}`; it has: {known}"))),
    }
}

/// One entry a line. Blank lines divide for the eye and are no entries.
fn line_entries(text: &str) -> Vec<Entry> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| Entry { text: line.trim().to_owned(), place: format!("line {}", index + 1) }).collect()
}

fn check(path: &Path, entries: &[Entry], duplicates: Duplicates) -> Result<()> {
    if entries.is_empty() {
        return Err(bad(path, "holds no entry"));
    }
    let mut met: HashMap<&str, &str> = HashMap::new();
    for entry in entries {
        if entry.text.trim().is_empty() {
            return Err(bad(path, &format!("{}: the entry is empty", entry.place)));
        }
        let earlier = met.insert(&entry.text, &entry.place);
        if let (Some(earlier), Duplicates::Refuse) = (earlier, duplicates) {
            return Err(bad(path, &format!("{}: `{}` occurs already at {earlier}", entry.place, entry.text)));
        }
    }
    Ok(())
}

fn bad(path: &Path, reason: &str) -> Error {
    Error::Tokenizer { reason: format!("`{}`: {reason}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of its own for each test, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, content: &str) -> Self {
            let path = std::env::temp_dir().join(format!("zero-shot-{}-{name}", std::process::id()));
            fs::write(&path, content).unwrap();
            Self(path)
        }

        fn part(&self, name: &str) -> PathBuf {
            PathBuf::from(format!("{}#{name}", self.0.display()))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn refused(scratch: &Scratch) -> String {
        read_class_names(&scratch.0, Duplicates::Refuse).unwrap_err().to_string()
    }

    #[test]
    fn text_has_one_name_a_line() {
        let scratch = Scratch::new("lines.txt", "\u{feff}cat\r\n\r\n tabby cat \r\ndog");
        assert_eq!(read_class_names(&scratch.0, Duplicates::Refuse).unwrap(), ["cat", "tabby cat", "dog"]);
    }

    #[test]
    fn json_is_an_array_or_an_object_of_one() {
        for (name, content) in
            [("a.json", r#"["cat", "dog"]"#), ("b.json", "\u{feff}{\"imagenet1k\": [\"cat\", \"dog\"]}")]
        {
            let scratch = Scratch::new(name, content);
            assert_eq!(read_class_names(&scratch.0, Duplicates::Refuse).unwrap(), ["cat", "dog"]);
        }
    }

    #[test]
    fn one_of_several_lists_is_picked_by_name() {
        let scratch = Scratch::new("several.json", r#"{"pets": ["cat"], "cars": ["van"]}"#);
        assert_eq!(read_class_names(&scratch.part("cars"), Duplicates::Refuse).unwrap(), ["van"]);
        assert!(refused(&scratch).ends_with("holds several lists, pick one with `#name`: pets, cars"));
        let told = read_class_names(&scratch.part("x"), Duplicates::Refuse).unwrap_err().to_string();
        assert!(told.ends_with("has no list `x`; it has: pets, cars"), "{told}");
    }

    #[test]
    fn duplicates_are_refused_or_allowed() {
        let scratch = Scratch::new("twice.txt", "missile\ncat\nmissile\n");
        assert!(refused(&scratch).ends_with("line 3: `missile` occurs already at line 1"));
        assert_eq!(read_class_names(&scratch.0, Duplicates::Allow).unwrap().len(), 3);
    }

    #[test]
    fn bad_entries_are_named_by_index() {
        assert!(refused(&Scratch::new("empty-entry.json", r#"["cat", " "]"#)).ends_with("index 1: the entry is empty"));
        assert!(
            refused(&Scratch::new("number.json", r#"["cat", 7]"#)).ends_with("index 1: expected a string, got `7`")
        );
        assert!(refused(&Scratch::new("blank.txt", "\n \n")).ends_with("holds no entry"));
        assert!(refused(&Scratch::new("cut.json", r#"["cat""#)).contains("bad json"));
    }

    #[test]
    fn missing_file_is_named() {
        let told = read_class_names(Path::new("no/such/file"), Duplicates::Refuse).unwrap_err().to_string();
        assert_eq!(told, "cannot read `no/such/file`");
    }

    #[test]
    fn templates_are_checked_where_they_stand() {
        let scratch = Scratch::new("templates.txt", "{} on a plate\na photo of a {c}.\n");
        let templates = read_templates(&scratch.0, Duplicates::Refuse).unwrap();
        assert_eq!(templates[1].fill("cat"), "a photo of a cat.");
        let scratch = Scratch::new("no-place.txt", "a {}\na photo\n");
        let told = read_templates(&scratch.0, Duplicates::Refuse).unwrap_err().to_string();
        assert!(told.contains("line 2: template `a photo` has no place"), "{told}");
    }
}
