//! The page about a download. Captions, URLs and messages are foreign texts: given as they are, escaped in here.

use super::buckets::Buckets;
use super::content::{Fact, Headline, Sample};
use super::html::{escape, join, width};
use super::page::{document, section};
use super::{gallery, table};
use crate::human;

/// Everything on the page, in its order.
#[derive(Clone, Debug, Default)]
pub struct DownloadPage {
    /// The page's title.
    pub title: String,
    /// One paragraph below it.
    pub summary: String,
    /// Which rows are counted.
    pub rows: String,
    /// The command that was run.
    pub command: String,
    /// The numbers to remember.
    pub headlines: Vec<Headline>,
    /// How many rows became samples.
    pub successes: u64,
    /// Failures by kind, most frequent first.
    pub kinds: Vec<Kind>,
    /// More about the run.
    pub facts: Vec<Fact>,
    /// Widths and heights of downloaded pictures.
    pub sides: [Buckets; 2],
    /// Bytes of bodies.
    pub sizes: Buckets,
    /// Milliseconds of downloads.
    pub times: Buckets,
    /// Hosts with most failures.
    pub failing: Vec<HostLine>,
    /// Hosts that took longest.
    pub slowest: Vec<HostLine>,
    /// Some of the pictures.
    pub samples: Vec<Sample>,
}

/// Failures of one kind.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// The kind's name.
    pub name: String,
    /// Whether a body arrived that no picture could be made of.
    pub after_download: bool,
    /// How many.
    pub count: u64,
    /// The URL of one of them.
    pub url: String,
    /// What that one was told as.
    pub message: String,
}

/// One host.
#[derive(Clone, Debug)]
pub struct HostLine {
    /// Its name.
    pub name: String,
    /// Rows that led to it.
    pub rows: u64,
    /// Those that failed.
    pub failures: u64,
    /// Mean time of a download, as shown.
    pub mean: String,
}

/// The page as one HTML document that refers to no other file.
pub fn render(page: &DownloadPage) -> String {
    let header = format!(
        "<header><div><h1>{}</h1><p>{}</p><p class=\"command\"><code>{}</code></p></div></header>\n",
        escape(&page.title),
        escape(&page.summary),
        escape(&page.command)
    );
    let sections = [outcomes(page), distributions(page), hosts(page), samples(page)].concat();
    document(&page.title, &header, &format!("{}\n{sections}", table::headlines(&page.headlines)))
}

fn outcomes(page: &DownloadPage) -> String {
    let failures: u64 = page.kinds.iter().map(|kind| kind.count).sum();
    let whole = page.successes + failures;
    if whole == 0 {
        return String::new();
    }
    let success = outcome_row("right", "success", page.successes, whole, "");
    let rows = join(&page.kinds, |kind| {
        outcome_row(style(kind), &kind.name, kind.count, whole, &example(&kind.message, &kind.url))
    });
    let table = format!(
        "<table class=\"kinds\"><thead><tr><th scope=\"col\">outcome</th><th scope=\"col\" class=\"number\">rows</th>\
         <td></td><th scope=\"col\" class=\"number\">share</th><th scope=\"col\">for example</th></tr></thead>\
         <tbody>{success}{rows}</tbody></table>"
    );
    let content = format!("{}{table}{}", shares(page, whole), table::facts(&page.facts));
    section("Outcomes", &escape(&page.rows), &content)
}

fn style(kind: &Kind) -> &'static str {
    if kind.after_download { "resize" } else { "wrong" }
}

/// One bar of all rows: those that became samples, those without a body, those without a picture.
fn shares(page: &DownloadPage, whole: u64) -> String {
    let sum = |after: bool| page.kinds.iter().filter(|kind| kind.after_download == after).map(|kind| kind.count).sum();
    let parts: [(&str, &str, u64); 3] = [
        ("right", "success", page.successes),
        ("wrong", "failed to download", sum(false)),
        ("resize", "failed to resize", sum(true)),
    ];
    let parts = join(parts.into_iter().filter(|(_, _, count)| *count > 0), |(style, name, count)| {
        let share = width(count as f64 / whole as f64);
        format!("<i class=\"{style}\" style=\"width:{share}\" title=\"{name}: {}\"></i>", human::thousands(count))
    });
    format!("<div class=\"shares\">{parts}</div>")
}

fn outcome_row(style: &str, name: &str, count: u64, whole: u64, example: &str) -> String {
    format!(
        "<tr class=\"{style}\"><th scope=\"row\"><code>{}</code></th><td class=\"number\">{}</td>\
         <td class=\"wide\"><span class=\"track\"><i style=\"width:{}\"></i></span></td>\
         <td class=\"number\">{}</td><td class=\"meaning\">{example}</td></tr>",
        escape(name),
        human::thousands(count),
        width(count as f64 / whole as f64),
        human::percent(count, whole)
    )
}

fn example(message: &str, url: &str) -> String {
    let url = if url.is_empty() { String::new() } else { format!("<small>{}</small>", escape(url)) };
    format!("{}{url}", escape(message))
}

fn distributions(page: &DownloadPage) -> String {
    let [widths, heights] = &page.sides;
    let milliseconds = |ms: u64| match ms {
        0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", ms as f64 / 1000.0),
    };
    let charts = [
        ("Width", widths.draw("pixels", human::thousands)),
        ("Height", heights.draw("pixels", human::thousands)),
        ("Bytes of a body", page.sizes.draw("bytes, decompressed", human::bytes)),
        ("Time of a download", page.times.draw("waiting for a place left out", milliseconds)),
    ];
    let charts = join(charts, |(title, chart)| {
        chart.map_or_else(String::new, |chart| format!("<div class=\"chart\"><h3>{title}</h3>{chart}</div>"))
    });
    if charts.is_empty() {
        return String::new();
    }
    let content = format!("<div class=\"columns\">{charts}</div>");
    section(
        "Sizes and times",
        "How many rows of this run had pictures, bodies and downloads of which size; the axes below are logarithmic.",
        &content,
    )
}

fn hosts(page: &DownloadPage) -> String {
    let tables = [("Most failures", &page.failing), ("Slowest", &page.slowest)];
    let tables = tables.into_iter().filter(|(_, hosts)| !hosts.is_empty());
    let tables = join(tables, |(title, hosts)| format!("<div><h3>{title}</h3>{}</div>", host_table(hosts)));
    if tables.is_empty() {
        return String::new();
    }
    section("Hosts", "Where the rows of this run led to.", &format!("<div class=\"columns\">{tables}</div>"))
}

fn host_table(hosts: &[HostLine]) -> String {
    let rows = join(hosts, |host| {
        format!(
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&host.name),
            human::thousands(host.rows),
            human::thousands(host.failures),
            escape(&host.mean)
        )
    });
    format!(
        "<table class=\"kinds\"><thead><tr><th scope=\"col\">host</th><th scope=\"col\" class=\"number\">rows</th>\
         <th scope=\"col\" class=\"number\">failed</th><th scope=\"col\" class=\"number\">mean time</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    )
}

fn samples(page: &DownloadPage) -> String {
    if page.samples.is_empty() {
        return String::new();
    }
    section("Samples", "Pictures of the first shard, as they are stored, in small.", &gallery::samples(&page.samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_are_texts_and_nothing_is_loaded() {
        let evil = "<script src=http://a>alert(1)</script>".to_owned();
        let page = render(&DownloadPage {
            title: evil.clone(),
            command: evil.clone(),
            kinds: vec![Kind {
                name: evil.clone(),
                count: 1,
                url: evil.clone(),
                message: evil.clone(),
                ..Kind::default()
            }],
            failing: vec![HostLine { name: evil.clone(), rows: 1, failures: 1, mean: "1s".to_owned() }],
            samples: vec![Sample { jpeg: vec![1], caption: evil }],
            ..DownloadPage::default()
        });
        assert!(!page.contains("<script") && !page.contains("src=\"http") && !page.contains("url("), "{page}");
        assert_eq!(page.matches("&lt;script").count(), 9, "{page}");
    }

    #[test]
    fn a_run_without_rows_has_no_sections() {
        assert!(!render(&DownloadPage::default()).contains("<h2>"));
    }
}
