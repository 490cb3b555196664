//! Values as Python programs take them: `True`, `None`, `["a", "b"]`.

/// A switch that is on by its name alone, or as its value says.
///
/// # Errors
/// When the value is neither.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("expected True or False, got `{text}`")),
    }
}

/// The parts of `a,b` or of `["a", "b"]`; none of an empty text, of `[]` or of `None`.
pub fn list(text: &str) -> Vec<String> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parts = inner.split(',').map(|part| part.trim().trim_matches(['"', '\'']).to_owned());
    parts.filter(|part| !part.is_empty() && part != "None").collect()
}

/// A value, or the `None` that says that there is none.
pub fn optional(text: Option<String>) -> Option<String> {
    text.filter(|text| text != "None")
}

/// A number of bytes: `400MB`, `1.5G`, `65536`; powers of 1000.
///
/// # Errors
/// When it is none.
pub fn byte_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.to_ascii_uppercase().trim_end_matches('B') {
        "" => 1.0,
        "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        _ => return Err(format!("unknown unit `{unit}` (expected kB, MB, GB or TB)")),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number * scale < 1e18 => Ok((number * scale) as u64),
        _ => Err(format!("expected a number of bytes such as 400MB, got `{text}`")),
    }
}

#[test]
fn sizes_have_units() {
    assert_eq!((byte_size("400MB"), byte_size("1.5g"), byte_size("7")), (Ok(400_000_000), Ok(1_500_000_000), Ok(7)));
    assert!(byte_size("-1").is_err() && byte_size("4XB").is_err() && byte_size("").is_err());
}

#[test]
fn values_are_read_as_python_writes_them() {
    assert_eq!((switch("True"), switch("false")), (Ok(true), Ok(false)));
    assert!(switch("maybe").is_err());
    assert_eq!(list("[\"a\", 'b']"), ["a", "b"]);
    assert_eq!(list("a, b"), ["a", "b"]);
    assert!(list("[]").is_empty() && list("").is_empty() && list("None").is_empty());
    assert_eq!(optional(Some("None".into())), None);
}
