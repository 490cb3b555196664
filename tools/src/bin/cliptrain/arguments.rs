//! The arguments of the process: open_clip's spelling, `@FILE` in place of what the file holds, `--config FILE.toml` before
//! what was typed, so that the command line wins.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Command;
use model::presets::edits;
use toml::{Table, Value};
use tools::exit::Hint;
use tools::spelling;

/// What the flag is called.
const CONFIG: &str = "--config";

/// All arguments, those of files in their places.
///
/// # Errors
/// When a file cannot be read, is not what it should be, or names a flag that `command` does not have.
pub fn expanded(command: &Command, typed: impl IntoIterator<Item = OsString>) -> anyhow::Result<Vec<OsString>> {
    let mut typed = typed.into_iter();
    let mut arguments: Vec<OsString> = typed.next().into_iter().collect();
    let (mut configured, mut given) = (Vec::new(), Vec::new());
    let mut words = Vec::new();
    for argument in typed {
        match argument.to_str().and_then(|text| text.strip_prefix('@')).filter(|path| !path.is_empty()) {
            Some(path) => words.extend(of_file(Path::new(path))?.into_iter().map(OsString::from)),
            None => words.push(argument),
        }
    }
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let path = match word.to_str() {
            Some(CONFIG) => words.next().context("--config: expected a FILE.toml behind it")?,
            Some(text) if text.starts_with("--config=") => OsString::from(&text["--config=".len()..]),
            _ => {
                given.push(word);
                continue;
            }
        };
        configured.extend(of_config(command, Path::new(&path))?);
    }
    arguments.extend(configured.into_iter().map(OsString::from));
    arguments.extend(given);
    Ok(spelling::normal(arguments))
}

/// Words between blanks or line ends, quoted where they hold some; `#` begins a comment at the start of a word.
fn of_file(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `@{}`", path.display()))?;
    words(&text).with_context(|| format!("`@{}`", path.display()))
}

fn words(text: &str) -> anyhow::Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(mark), _) if character == mark => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => {
                let _ = characters.by_ref().find(|character| *character == '\n');
            }
            // A backslash before a line's end is a shell's way to go on.
            (None, '\\') => {
                if let Some(next) = characters.next().filter(|next| *next != '\n') {
                    word.get_or_insert_default().push(next);
                }
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        bail!("a quotation mark is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// The flags of a TOML file. Tables are headings: their names mean nothing.
fn of_config(command: &Command, path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--config: cannot read `{}`", path.display()))?;
    let at = || format!("--config `{}`", path.display());
    let table: Table = toml::from_str(&text).with_context(at)?;
    let mut arguments = Vec::new();
    flags(command, &table, &mut arguments).with_context(at)?;
    Ok(arguments)
}

fn flags(command: &Command, table: &Table, into: &mut Vec<String>) -> anyhow::Result<()> {
    for (key, value) in table {
        // A table within a table is a heading, too.
        if let Value::Table(inner) = value {
            flags(command, inner, into)?;
            continue;
        }
        let name = key.replace('_', "-");
        let known = command.get_arguments().find(|argument| argument.get_long() == Some(&name));
        let Some(known) = known else { return Err(unknown(command, key)) };
        match (value, known.get_action().takes_values()) {
            (Value::Boolean(true), false) => into.push(format!("--{name}")),
            (Value::Boolean(false), false) => {}
            (_, false) => bail!("`{key}`: expected true or false, got `{}`", plain(value)),
            (Value::Array(values), true) => {
                into.push(format!("--{name}"));
                into.extend(values.iter().map(plain));
            }
            (value, true) => into.push(format!("--{name}={}", plain(value))),
        }
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Boolean(true) => "True".to_owned(),
        Value::Boolean(false) => "False".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Table(_) => String::new(),
    }
}

fn unknown(command: &Command, key: &str) -> anyhow::Error {
    let wanted = key.replace('_', "-");
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    let near = names.map(|name| (edits(name, &wanted), name)).min();
    let error = anyhow::anyhow!("`{key}` is no flag of cliptrain");
    match near {
        Some((distance, name)) if distance <= 3 => error.context(Hint(format!("did you mean `{name}`?"))),
        _ => error.context(Hint("cliptrain --help lists the flags; keys are their names".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let text = "--lr 1e-3 \\\n  --name 'my run' # comment\n--train-data \"{0..3}.tar\"\n";
        assert_eq!(words(text).unwrap(), ["--lr", "1e-3", "--name", "my run", "--train-data", "{0..3}.tar"]);
        assert!(words("'a").is_err());
    }

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!((edits("warmup", "warm-up"), edits("lr", "lr"), edits("", "abc")), (1, 0, 3));
    }
}
