//! The resolved configuration: every flag with its value, in open_clip's `name: value` lines, sorted.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{ArgAction, ArgMatches, Command};

/// The file in a run's folder.
pub const FILE: &str = "params.txt";

/// Names and values.
pub type Params = BTreeMap<String, String>;

/// Every flag that a run has, by open_clip's name, as Python would print it.
pub fn of(command: &Command, matches: &ArgMatches) -> Params {
    let mut params = Params::new();
    for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
        let id = argument.get_id().as_str();
        let value = match argument.get_action() {
            ArgAction::SetTrue => python_bool(matches.get_flag(id)).to_owned(),
            ArgAction::Set | ArgAction::Append => {
                let raw = matches.get_raw(id).map(|values| values.map(|value| value.to_string_lossy().into_owned()));
                let is_list = argument.get_num_args().is_some_and(|count| count.max_values() > 1);
                listed(raw.map(Iterator::collect).unwrap_or_default(), is_list)
            }
            _ => continue,
        };
        params.insert(id.to_owned(), value);
    }
    params
}

/// What the run in this folder was told its model is called.
pub fn model_of(run: &Path) -> Option<String> {
    let text = std::fs::read_to_string(run.join(FILE)).ok()?;
    text.lines().find_map(|line| line.strip_prefix("model: ")).map(str::to_owned)
}

/// As Python prints a truth.
pub fn python_bool(truth: bool) -> &'static str {
    if truth { "True" } else { "False" }
}

fn listed(values: Vec<String>, is_list: bool) -> String {
    let values: Vec<String> = values.iter().map(|value| python_number(value)).collect();
    match values.as_slice() {
        [] => "None".to_owned(),
        [one] if !is_list => one.clone(),
        several => {
            let quoted = several.iter().map(|value| match value.parse::<f64>() {
                Ok(_) => value.clone(),
                Err(_) => format!("'{value}'"),
            });
            format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A number as Python prints it; any other text as it is.
fn python_number(text: &str) -> String {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'));
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(_), _) => text.to_owned(),
        (_, Ok(number)) if is_number => python_float(number),
        _ => text.to_owned(),
    }
}

/// `repr` of a float: shortest digits, with an exponent where it is below -4 or above 15.
pub fn python_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if number != 0.0 && !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}

/// The lines of `params.txt`.
pub fn text(params: &Params) -> String {
    params.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_python_prints() {
        for (typed, printed) in [
            ("5e-4", "0.0005"),
            ("1e-06", "1e-06"),
            ("1e-8", "1e-08"),
            ("0.20", "0.2"),
            ("1e16", "1e+16"),
            ("64", "64"),
            ("2", "2"),
            ("infinity", "infinity"),
            ("0", "0"),
            ("ViT-B-32", "ViT-B-32"),
        ] {
            assert_eq!(python_number(typed), printed);
        }
        assert_eq!(listed(vec!["0.5".to_owned(), "1".to_owned()], true), "[0.5, 1]");
        assert_eq!(listed(vec!["scale=(0.9,1)".to_owned()], true), "['scale=(0.9,1)']");
        assert_eq!((listed(vec![], true), listed(vec!["a".to_owned()], false)), ("None".to_owned(), "a".to_owned()));
    }
}
