//! Shards as a command line names them. What is no shard is refused with advice before anything is read.

use std::path::Path;

use shards::spec::ShardSpec;

use crate::exit::Hint;

/// The shards of a specification.
///
/// # Errors
/// When it is malformed, or names a folder, or a pattern of the shell that was not expanded.
pub fn parse(spec: &str) -> anyhow::Result<ShardSpec> {
    let parsed = ShardSpec::parse(spec)?;
    for path in parsed.uris().filter_map(|uri| uri.local_path()) {
        if path.is_dir() {
            let error = anyhow::anyhow!("`{}` is a folder, not a shard", path.display());
            return Err(error.context(Hint(shards_of(path))));
        }
        if path.to_str().is_some_and(|name| name.contains(['*', '?'])) && !path.exists() {
            let error = anyhow::anyhow!("no file `{}`: `*` and `?` are not expanded", path.display());
            return Err(error.context(Hint(shards_of(path.parent().unwrap_or(Path::new(""))))));
        }
    }
    Ok(parsed)
}

/// How the shards of a folder are named.
fn shards_of(folder: &Path) -> String {
    let within = |name: &str| folder.join(name).display().to_string();
    match numbered(folder) {
        Some((first, last)) if first == last => format!("name the shard: {}", within(&format!("{first}.tar"))),
        Some((first, last)) => format!("braces name its shards: {}", within(&format!("{{{first}..{last}}}.tar"))),
        None => format!("braces name shards, such as {}", within("{00000..00041}.tar")),
    }
}

/// The first and the last of the shards `00000.tar` in a folder.
fn numbered(folder: &Path) -> Option<(String, String)> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names = std::fs::read_dir(here).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut stems: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".tar")?.to_owned())).collect();
    stems.retain(|stem| !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()));
    stems.sort_by_key(|stem| (stem.len(), stem.clone()));
    Some((stems.first()?.clone(), stems.last()?.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::describe;

    #[test]
    fn folders_and_patterns_are_refused_with_the_names_of_their_shards() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let told = |spec: String| describe(&parse(&spec).unwrap_err());
        assert!(told(format!("{root}")).contains("hint: braces name shards, such as"));
        for name in ["00000.tar", "00012.tar", "x.tar", "00001_stats.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for spec in [format!("{root}"), format!("{root}/*.tar"), format!("{root}/00000.tar::{root}")] {
            let told = told(spec);
            assert!(told.contains(&format!("hint: braces name its shards: {root}/{{00000..00012}}.tar")), "{told}");
        }
        assert_eq!(parse(&format!("{root}/{{00000..00012}}.tar::pipe:cat *.tar")).unwrap().uris().count(), 14);
    }
}
