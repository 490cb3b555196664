//! Learning rates against open_clip's, at every step of every recorded schedule.

use serde::Deserialize;
use support::fixtures;
use trainer::schedule::{Schedule, Shape};

#[derive(Deserialize)]
struct Case {
    scheduler: String,
    lr: f64,
    warmup: u64,
    total_steps: u64,
    cooldown_steps: u64,
    cooldown_power: f64,
    cooldown_end: f64,
    values: Vec<f64>,
}

impl Case {
    fn schedule(&self) -> Schedule {
        let shape = match self.scheduler.as_str() {
            "cosine" => Shape::Cosine,
            "const" => Shape::Const,
            "const-cooldown" => Shape::ConstCooldown {
                cooldown_steps: self.cooldown_steps,
                power: self.cooldown_power,
                end: self.cooldown_end,
            },
            other => panic!("a schedule that this test does not know: {other}"),
        };
        Schedule { base: self.lr, warmup: self.warmup, total_steps: self.total_steps, shape }
    }
}

#[test]
fn parity_schedules() {
    let mut read = 0;
    for path in fixtures::paths("schedules.json") {
        let text = std::fs::read_to_string(path).expect("it can be read");
        for case in serde_json::from_str::<Vec<Case>>(&text).expect("schedules.json parses") {
            let schedule = case.schedule();
            for (step, expected) in case.values.iter().enumerate() {
                let rate = schedule.rate(step as u64);
                let close = (rate - expected).abs() <= 1e-9 * expected.abs() + 1e-18;
                assert!(close, "{} step {step}: expected {expected}, got {rate}", case.scheduler);
            }
            println!("{} warm-up {} of {} steps", case.scheduler, case.warmup, case.total_steps);
            read += 1;
        }
    }
    assert!(read > 0, "no schedule was read");
}
