//! The files of the project, and Rust code without its comments, strings and tests.

use std::path::{Path, PathBuf};

/// A Rust file.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// The same lines with comments, the insides of literals and test code blanked.
    pub code: String,
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the project.
pub fn sources() -> Vec<Source> {
    let rust = texts().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let mut sources: Vec<Source> =
        rust.map(|(path, text)| Source { code: without_tests(&without_words(&text)), path, text }).collect();
    let tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let path = source.path.trim_end_matches(".rs");
        let is_test = |module: &String| path == module || path.starts_with(&format!("{module}/"));
        if path.contains("/tests/") || path.contains("/benches/") || tests.iter().any(is_test) {
            source.code = blank(&source.code);
        }
    }
    assert!(sources.len() > 20, "only {} Rust files were found", sources.len());
    sources
}

/// Every text file of the project as (path, text), in order of their paths.
pub fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    collect(&root(), "", &mut texts);
    texts.sort();
    texts
}

fn collect(folder: &Path, name: &str, texts: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let Some(last) = path.file_name().and_then(|last| last.to_str()) else { continue };
        let name = if name.is_empty() { last.to_owned() } else { format!("{name}/{last}") };
        // A link may lead out of the project, and what is built or fetched is not the project's.
        if path.is_symlink() || matches!(last, "target" | ".git" | "logs" | "golden" | "__pycache__") {
            continue;
        }
        if path.is_dir() {
            collect(&path, &name, texts);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            texts.push((name, text));
        }
    }
}

/// Modules that are compiled for tests alone: `#[cfg(test)] mod name;`, as paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let folder = if matches!(stem, "mod" | "lib" | "main") { folder.to_owned() } else { format!("{folder}/{stem}") };
    let text = without_words(&source.text);
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|after| after.trim_start().strip_prefix("mod "));
    let names = declared.filter_map(|after| after.split_once(';')).map(|(name, _)| name.trim().to_owned());
    names.filter(|name| !name.contains(['{', ' '])).map(|name| format!("{folder}/{name}")).collect()
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// The text with comments and the insides of string and character literals blanked.
fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let part = word_length(rest, code.chars().next_back());
        match part {
            Some(length) => code.push_str(&blank(&rest[..length])),
            None => code.push(first),
        }
        rest = &rest[part.unwrap_or(first.len_utf8())..];
    }
    code
}

/// The length of the comment or literal that the text starts with; nothing when it starts with code.
fn word_length(text: &str, before: Option<char>) -> Option<usize> {
    let whole = text.len();
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match text.as_bytes() {
        [b'/', b'/', ..] => Some(text.find('\n').unwrap_or(whole)),
        [b'/', b'*', ..] => Some(block_comment(text)),
        [b'"', ..] => Some(quoted(text, '"')),
        [b'r', b'"' | b'#', ..] if !in_name || before == Some('b') => raw_string(text),
        [b'\'', b'\\', ..] => Some(quoted(text, '\'')),
        // 'x' is a character; 'x without the second mark is a lifetime.
        [b'\'', ..] => {
            let inner = text.chars().nth(1)?.len_utf8();
            text[1 + inner..].starts_with('\'').then_some(2 + inner)
        }
        _ => None,
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for at in 0..text.len() {
        let rest = &text.as_bytes()[at..];
        depth += usize::from(rest.starts_with(b"/*"));
        if at > 0 && text.as_bytes()[at - 1..].starts_with(b"*/") {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    text.len()
}

fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let marks = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let inside = text[1 + marks..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(marks));
    Some(inside.find(&end).map_or(text.len(), |at| 2 + marks + at + end.len()))
}

/// The code with every item under `#[cfg(test)]` blanked, up to its closing brace or semicolon.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let end = at + MARK.len() + item_length(&rest[at + MARK.len()..]);
        kept.push_str(&rest[..at]);
        kept.push_str(&blank(&rest[at..end]));
        rest = &rest[end..];
    }
    kept + rest
}

fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_strings_and_tests_are_not_code() {
    let text = "a(\"b \\\" c\"); // d\n/* e /* f */ g */ 'h'; fn i<'j>() {} r#\"k\"#\n#[cfg(test)]\nmod l { m! {} }\nn";
    let code = without_tests(&without_words(text));
    assert_eq!(code.lines().count(), text.lines().count());
    let left: String = code.chars().filter(|c| c.is_alphabetic()).collect();
    assert_eq!(left, "afnijn");
}

#[test]
fn modules_for_tests_alone_are_known() {
    let text = "#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod c { }\nmod d;".to_owned();
    let of = |path: &str| test_modules(&Source { path: path.to_owned(), text: text.clone(), code: String::new() });
    assert_eq!(of("x/src/lib.rs"), ["x/src/b"]);
    assert_eq!(of("x/src/a.rs"), ["x/src/a/b"]);
}
