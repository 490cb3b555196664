//! Values as Python programs take them: `True`, `None`, `["a", "b"]`.

pub use tools::human::byte_size;

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
    // Names may have commas in them.
    if let Ok(parts) = serde_json::from_str::<Vec<String>>(text) {
        return parts.into_iter().filter(|part| !part.is_empty()).collect();
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parts = inner.split(',').map(|part| part.trim().trim_matches(['"', '\'']).to_owned());
    parts.filter(|part| !part.is_empty() && part != "None").collect()
}

/// A value, or the `None` that says that there is none.
pub fn optional(text: Option<String>) -> Option<String> {
    text.filter(|text| text != "None")
}

#[test]
fn values_are_read_as_python_writes_them() {
    assert_eq!((switch("True"), switch("false")), (Ok(true), Ok(false)));
    assert!(switch("maybe").is_err());
    assert_eq!(list("[\"a\", 'b']"), ["a", "b"]);
    assert_eq!(list("a, b"), ["a", "b"]);
    assert_eq!(list(r#"["note, with comma", "b"]"#), ["note, with comma", "b"]);
    assert!(list("[]").is_empty() && list("").is_empty() && list("None").is_empty());
    assert_eq!(optional(Some("None".into())), None);
}
