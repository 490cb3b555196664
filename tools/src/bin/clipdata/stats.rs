//! `clipdata stats`: a table of URLs and captions described on the terminal or as JSON.

use anyhow::Context;
use ingest::table::{ColumnStats, HostStats, NumberStats, StatsOptions, TableStats};
use tools::exit::Outcome;
use tools::{human, json, out};

use crate::cli::Stats;

/// Reads the tables and prints what is in them.
pub fn run(arguments: &Stats) -> anyhow::Result<Outcome> {
    let options = StatsOptions { top_hosts: arguments.top, ..StatsOptions::default() };
    let table = ingest::table::stats(&arguments.files, &options).context("cannot describe the tables")?;
    match arguments.json {
        true => json::line("summary", &table)?,
        false => out::text(&describe(&table))?,
    }
    Ok(Outcome::Done)
}

fn describe(table: &TableStats) -> String {
    let mut text = format!("{} in {}\n", human::counted(table.rows, "row"), human::counted(table.files, "file"));
    for (name, count) in [("unique URLs", table.unique_urls), ("unique captions", table.unique_texts)] {
        if let Some(count) = count {
            text.push_str(&format!("  {name:<20}{:>12}\n", human::thousands(count)));
        }
    }
    text.push_str(&columns(&table.columns, table.rows));
    text.push_str(&quantiles(&table.numbers));
    for number in &table.numbers {
        text.push_str(&histogram(number));
    }
    if let Some(hosts) = &table.hosts {
        text.push_str(&top_hosts(hosts));
    }
    text
}

fn columns(columns: &[ColumnStats], rows: u64) -> String {
    let mut text = format!("\n{:<24}{:<12}{:>12}{:>9}\n", "column", "type", "nulls", "share");
    for column in columns {
        let nulls = human::thousands(column.nulls);
        let share = human::percent(column.nulls, rows);
        text.push_str(&format!("{:<24}{:<12}{nulls:>12}{share:>9}\n", column.name, column.dtype));
    }
    for column in columns.iter().filter(|column| column.unreadable > 0) {
        let (values, name) = (human::counted(column.unreadable, "value"), &column.name);
        text.push_str(&format!("{values} of `{name}` cannot be read as {} and are among its nulls\n", column.dtype));
    }
    text
}

fn quantiles(numbers: &[NumberStats]) -> String {
    if numbers.is_empty() {
        return String::new();
    }
    let heads = ["min", "5%", "25%", "50%", "75%", "95%", "99%", "max", "mean"];
    let mut text = format!("\n{:<24}", "number");
    text.extend(heads.map(|head| format!("{head:>10}")));
    for number in numbers {
        let quantiles = number.quantiles.map(|q| [q.p05, q.p25, q.p50, q.p75, q.p95, q.p99].map(Some));
        let values = [&[number.min], &quantiles.unwrap_or_default()[..], &[number.max, number.mean]].concat();
        text.push_str(&format!("\n{:<24}", number.name));
        text.extend(values.into_iter().map(|value| format!("{:>10}", value.map_or("-".to_owned(), short))));
    }
    text.push('\n');
    text
}

/// At most nine characters: whole numbers whole, others with what precision there is room for.
fn short(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 && value.abs() < 1e9 => format!("{value:.0}"),
        0.0..10.0 => format!("{value:.4}"),
        10.0..100_000.0 => format!("{value:.1}"),
        _ => format!("{value:.2e}"),
    }
}

fn histogram(number: &NumberStats) -> String {
    const WIDTH: u64 = 50;
    let largest = number.histogram.iter().map(|bin| bin.count).max().unwrap_or(0);
    if largest == 0 {
        return String::new();
    }
    let mut text = format!("\n{}\n", number.name);
    for bin in &number.histogram {
        let bar = "#".repeat((bin.count * WIDTH).div_ceil(largest) as usize);
        text.push_str(&format!(
            "{:>10} {:>10} |{bar:<50}| {}\n",
            short(bin.from),
            short(bin.to),
            human::thousands(bin.count)
        ));
    }
    text
}

fn top_hosts(hosts: &HostStats) -> String {
    let mut text = format!("\n{}\n", human::counted(hosts.distinct, "host"));
    for host in &hosts.top {
        let share = 100.0 * host.share;
        text.push_str(&format!("  {:<40}{:>12}{share:>8.1}%\n", host.name, human::thousands(host.count)));
    }
    for (title, shares) in [("schemes", &hosts.schemes), ("extensions", &hosts.extensions)] {
        let listed: Vec<String> =
            shares.iter().take(8).map(|share| format!("{} {}", share.name, human::thousands(share.count))).collect();
        text.push_str(&format!("{title}: {}\n", listed.join(", ")));
    }
    text
}
