//! The page: its head, and the sections in their order. A section without content is left out.

use super::content::DemoReport;
use super::html::escape;
use super::{gallery, heat_map, histogram, loss_curve, table};

const STYLE: &str = include_str!("style.css");

/// The whole report as one HTML document that refers to no other file.
pub fn render(report: &DemoReport) -> String {
    let sections = [download(report), data(report), training(report), accuracy(report), confusion(report)].concat();
    let sections = [sections, held_out(report), commands(report)].concat();
    let main = format!("{}\n{sections}", table::headlines(&report.headlines));
    document(&report.title, &header(report), &main)
}

/// A document of these parts, with the style sheet in it.
pub(crate) fn document(title: &str, header: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{header}<main>\n{main}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

fn header(report: &DemoReport) -> String {
    format!(
        "<header><div><h1>{}</h1><p>{}</p></div>{}</header>\n",
        escape(&report.title),
        escape(&report.summary),
        gallery::mosaic(&report.samples)
    )
}

pub(crate) fn section(title: &str, introduction: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section><h2>{title}</h2><p class=\"lead\">{introduction}</p>{content}</section>\n")
}

fn download(report: &DemoReport) -> String {
    if report.statuses.is_empty() {
        return String::new();
    }
    let content = format!("{}{}", table::statuses(&report.statuses), table::facts(&report.download_facts));
    section("Download", "Every URL of the list, and how it ended.", &content)
}

fn data(report: &DemoReport) -> String {
    let histogram = histogram::draw(&report.caption_lengths).unwrap_or_default();
    let facts = table::facts(&report.data_facts);
    let pictures = if report.samples.is_empty() { String::new() } else { gallery::samples(&report.samples) };
    if histogram.is_empty() && facts.is_empty() && pictures.is_empty() {
        return String::new();
    }
    let content = format!("<div class=\"columns\"><div class=\"chart\">{histogram}</div>{facts}</div>{pictures}");
    section("Data", "What the shards hold: captions by length, and some of the pictures with theirs.", &content)
}

fn training(report: &DemoReport) -> String {
    let Some(curve) = loss_curve::draw(&report.loss) else { return String::new() };
    let content = format!(
        "<div class=\"columns wide\"><div class=\"chart\">{curve}</div>{}</div>",
        table::facts(&report.training_facts)
    );
    section("Training", "The loss of every step (thin) and its running mean (bold).", &content)
}

fn accuracy(report: &DemoReport) -> String {
    if report.accuracies.is_empty() {
        return String::new();
    }
    section(
        "Zero-shot classification",
        "Each held-out picture is compared with the texts of every class, and the closest class is the guess. \
         The upright mark is what blind guessing gets.",
        &table::accuracies(&report.accuracies),
    )
}

fn confusion(report: &DemoReport) -> String {
    let Some(map) = heat_map::draw(&report.confusion) else { return String::new() };
    let content = format!(
        "<div class=\"columns wide\"><div class=\"chart map\">{map}</div><div><h3>Most frequent mistakes</h3>{}</div></div>",
        table::mistakes(&report.confusion)
    );
    section(
        "Confusion",
        "The right class down, the guess across; the stronger the colour, the larger the share of the row. \
         <em class=\"unseen\">Marked names</em> are pairs that training never saw. Point at a cell for its numbers.",
        &content,
    )
}

fn held_out(report: &DemoReport) -> String {
    if report.predictions.is_empty() {
        return String::new();
    }
    section(
        "Held-out pictures",
        "Pictures that training never saw, with the five best guesses and their probabilities.",
        &gallery::predictions(&report.predictions),
    )
}

fn commands(report: &DemoReport) -> String {
    if report.commands.is_empty() {
        return String::new();
    }
    section(
        "Repeat it",
        "The commands that made this, to be run one after the other.",
        &table::commands(&report.commands),
    )
}

#[cfg(test)]
mod tests {
    use super::super::content::{Fact, LossPoint, Sample, Status};
    use super::*;

    fn report() -> DemoReport {
        DemoReport {
            title: "a <demo>".to_owned(),
            samples: vec![Sample { jpeg: vec![1, 2, 3], caption: "a \"red\" circle".to_owned() }],
            statuses: vec![Status { status: "success".to_owned(), count: 3, meaning: String::new() }],
            loss: vec![LossPoint { step: 1, loss: 2.0 }, LossPoint { step: 2, loss: 1.0 }],
            training_facts: vec![Fact::new("batch size", "256")],
            ..DemoReport::default()
        }
    }

    #[test]
    fn the_page_needs_nothing_outside_itself() {
        let page = render(&report());
        for reference in ["http://", "https://", "<script", "<link", "@import", "url("] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(page.contains("<title>a &lt;demo&gt;</title>") && page.contains("a &quot;red&quot; circle"));
    }

    #[test]
    fn sections_without_content_are_left_out() {
        let page = render(&report());
        assert!(page.contains("<h2>Download</h2>") && page.contains("<h2>Training</h2>"));
        assert!(!page.contains("<h2>Confusion</h2>") && !page.contains("<h2>Repeat it</h2>"));
        assert!(!render(&DemoReport::default()).contains("<h2>"));
    }

    #[test]
    fn every_opened_element_is_closed() {
        let page = render(&report());
        for element in ["div", "section", "table", "tr", "td", "dl", "figure", "svg", "main", "p", "h1", "h2"] {
            let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
