//! The table in `docs/soak.md`.

use std::path::Path;

/// One proof's outcome.
pub struct Line {
    /// What was proved.
    pub name: &'static str,
    /// What came out.
    pub outcome: String,
    /// How long it took.
    pub seconds: f64,
}

/// All outcomes.
#[derive(Default)]
pub struct Table(Vec<Line>);

impl Table {
    /// Adds a line.
    pub fn push(&mut self, line: Line) {
        self.0.push(line);
    }

    /// Writes the document anew.
    pub fn write(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/soak.md");
        let mut text = "# The long proofs\n\n`make soak` runs them and writes this table; `make soak SOAK=--quick` runs a twentieth.\n\n\
                        | proof | outcome | seconds |\n|---|---|---|\n"
            .to_owned();
        for line in &self.0 {
            text.push_str(&format!("| {} | {} | {:.0} |\n", line.name, line.outcome, line.seconds));
        }
        std::fs::write(&path, text).expect("docs/soak.md can be written");
    }
}
