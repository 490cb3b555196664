//! As much of a `Cargo.toml` as the arrows need: the names of the normal dependencies.

use crate::source::root;

/// A member's manifest.
pub struct Manifest {
    /// What the member needs to be built; tests and build scripts left out.
    pub dependencies: Vec<Dependency>,
}

/// One dependency.
pub struct Dependency {
    /// Name of the package.
    pub name: String,
    /// Where it stands, from 1.
    pub line: usize,
}

impl Manifest {
    /// The manifest of the member in this folder, relative to the root.
    pub fn read(folder: &str) -> Self {
        let path = root().join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut section = "";
        let mut dependencies = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let name = if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']');
                section.rsplit_once("dependencies.").filter(|(before, _)| is_normal(before)).map(|(_, name)| name)
            } else {
                let key = line.split(['=', '.', ' ']).next().filter(|key| !key.is_empty());
                key.filter(|_| section.strip_suffix("dependencies").is_some_and(is_normal))
            };
            dependencies.extend(name.map(|name| Dependency { name: name.trim_matches('"').to_owned(), line: i + 1 }));
        }
        Self { dependencies }
    }
}

/// Whether what stands before `dependencies` makes them normal ones: nothing, or a target.
fn is_normal(before: &str) -> bool {
    before.is_empty() || before.ends_with('.')
}

#[test]
fn normal_dependencies_are_found_in_each_way_of_writing() {
    let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { path = \"b\" } # c\n\
                [dev-dependencies]\nd = \"1\"\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dependencies.f]\nversion = \"1\"\n";
    let found = Manifest::parse(text).dependencies;
    let found: Vec<_> = found.iter().map(|dependency| (dependency.name.as_str(), dependency.line)).collect();
    assert_eq!(found, [("a", 4), ("b", 5), ("e", 9), ("f", 10)]);
}
