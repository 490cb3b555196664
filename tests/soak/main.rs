//! The long proofs. Each takes a seed and a size, and gives a line of the table; any that fails ends the
//! program with a message and a non-zero code. `--quick` runs a twentieth of everything.

mod hostile;
mod kills;
mod learning;
mod table;
mod training_kills;

use std::time::Instant;

use table::{Line, Table};

/// How much of every proof is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Full,
    /// A twentieth.
    Quick,
}

impl Extent {
    /// `full` of something, or a twentieth of it.
    pub fn of(self, full: usize) -> usize {
        match self {
            Extent::Full => full,
            Extent::Quick => full.div_ceil(20),
        }
    }
}

fn main() {
    let extent = match std::env::args().any(|argument| argument == "--quick") {
        true => Extent::Quick,
        false => Extent::Full,
    };
    let proofs: [(&str, fn(Extent) -> String); 4] = [
        ("kill -9 at random moments, then the same command", kills::run),
        ("kill -9 of a training run at random moments, then the same command", training_kills::run),
        ("a server that fails in every way", hostile::run),
        ("the demo learns", learning::run),
    ];
    // A word picks the proofs whose names have it.
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| words.iter().all(|word| name.contains(word.as_str()));
    let mut table = Table::default();
    for (name, proof) in proofs.into_iter().filter(|(name, _)| is_wanted(name)) {
        println!("soak: {name}");
        let started = Instant::now();
        let outcome = proof(extent);
        println!("soak: {outcome}");
        table.push(Line { name, outcome, seconds: started.elapsed().as_secs_f64() });
    }
    if extent == Extent::Full && words.is_empty() {
        table.write();
    }
    println!("test result: ok. {} passed; 0 failed", proofs.len());
}
