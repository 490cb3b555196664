//! Flags in the spelling of img2dataset and open_clip: `--image_size` is `--image-size`, `--flag True` is `--flag=True`.

use std::ffi::OsString;

/// The process's arguments with underscores in the names of flags turned into hyphens, and with a `True` or `False`
/// behind a flag joined to it; other values stay as they are.
pub fn arguments() -> Vec<OsString> {
    normal(std::env::args_os())
}

/// The same for arguments from elsewhere.
pub fn normal(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    joined(arguments.into_iter().map(hyphenated))
}

fn joined(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let flag = joined.last_mut().filter(|last| last.to_str().is_some_and(is_flag_without_value));
        match flag {
            Some(flag) if ["True", "False", "true", "false", "1", "0"].iter().any(|value| argument == *value) => {
                flag.push("=");
                flag.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn is_flag_without_value(argument: &str) -> bool {
    argument.len() > 2 && argument.starts_with("--") && !argument.contains('=')
}

fn hyphenated(argument: OsString) -> OsString {
    let Some(text) = argument.to_str().filter(|text| text.starts_with("--")) else { return argument };
    match text.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
        None => text.replace('_', "-").into(),
    }
}

#[test]
fn names_change_and_values_do_not() {
    let cases =
        [("--image_size", "--image-size"), ("--url_col=a_b", "--url-col=a_b"), ("a_b", "a_b"), ("-x_y", "-x_y")];
    for (typed, meant) in cases {
        assert_eq!(hyphenated(typed.into()), meant);
    }
}

#[test]
fn switches_take_their_value_along() {
    let arguments = ["clipdata", "--skip-reencode", "True", "--json", "list", "--a=b", "False"].map(OsString::from);
    let expected = ["clipdata", "--skip-reencode=True", "--json", "list", "--a=b", "False"];
    assert_eq!(joined(arguments.into_iter()), expected);
}
