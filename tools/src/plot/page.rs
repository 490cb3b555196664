//! The charts of several runs as one page that needs no other file.

use super::charts::Named;
use super::record::Record;
use super::svg;
use crate::report::html::{escape, join};
use crate::report::page::{document, section};

/// The page.
pub fn render(records: &[Record], charts: &[Named]) -> String {
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    let header =
        format!("<header><div><h1>Runs compared</h1><p>{}</p></div></header>\n", escape(&names.join(" \u{b7} ")));
    let pictures = join(charts, |named| {
        format!("<section><div class=\"chart\">{}</div></section>\n", svg::render(&named.chart.figure()))
    });
    document("Runs compared", &header, &format!("{pictures}{}", section("Last evaluations", "", &table(records))))
}

/// The last value of every metric, a column a run.
fn table(records: &[Record]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in records.iter().flat_map(|record| record.metrics(|_| true)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let head = join(records, |record| format!("<th class=\"number\">{}</th>", escape(&record.name)));
    let rows = join(&names, |name| {
        let cells = join(records, |record| {
            let value =
                record.last(name).map_or("\u{2013}".to_owned(), |value| format!("{}", (value * 1e4).round() / 1e4));
            format!("<td class=\"number\">{value}</td>")
        });
        format!("<tr><td><code>{}</code></td>{cells}</tr>", escape(name))
    });
    if names.is_empty() {
        return String::new();
    }
    format!("<table><thead><tr><th>metric</th>{head}</tr></thead><tbody>{rows}</tbody></table>")
}
