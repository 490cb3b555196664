//! Flags in the spelling of img2dataset and open_clip: `--image_size` is `--image-size`.

use std::ffi::OsString;

/// The process's arguments with underscores in the names of flags turned into hyphens; values stay as they are.
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().map(hyphenated).collect()
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
