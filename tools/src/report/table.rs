//! Numbers in rows: headlines, facts, downloads, accuracies, mistakes and commands.

use super::content::{Accuracy, Command, Confusion, Fact, Headline, Status};
use super::html::{escape, join, percent, width};
use crate::human;

/// The numbers to remember, as a row of cards.
pub fn headlines(headlines: &[Headline]) -> String {
    let cards = join(headlines, |headline| {
        let (value, label, detail) = (escape(&headline.value), escape(&headline.label), escape(&headline.detail));
        format!("<div class=\"headline\"><b>{value}</b><span>{label}</span><small>{detail}</small></div>")
    });
    format!("<div class=\"headlines\">{cards}</div>")
}

/// Names and values; nothing when there are none.
pub fn facts(facts: &[Fact]) -> String {
    let lines =
        join(facts, |fact| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&fact.label), escape(&fact.value)));
    if lines.is_empty() { lines } else { format!("<dl class=\"facts\">{lines}</dl>") }
}

/// How the downloads ended, with shares of the whole.
pub fn statuses(statuses: &[Status]) -> String {
    let whole: u64 = statuses.iter().map(|status| status.count).sum();
    let rows = join(statuses, |status| {
        let style = if status.status == "success" { "right" } else { "wrong" };
        format!(
            "<tr class=\"{style}\"><th scope=\"row\"><code>{}</code></th><td class=\"number\">{}</td>\
             <td class=\"wide\"><span class=\"track\"><i style=\"width:{}\"></i></span></td>\
             <td class=\"number\">{}</td><td class=\"meaning\">{}</td></tr>",
            escape(&status.status),
            human::thousands(status.count),
            width(status.count as f64 / whole as f64),
            human::percent(status.count, whole),
            escape(&status.meaning)
        )
    });
    format!(
        "<table><thead><tr><th scope=\"col\">status</th><th scope=\"col\" class=\"number\">URLs</th><td></td>\
         <th scope=\"col\" class=\"number\">share</th><th scope=\"col\">meaning</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    )
}

/// Top-1 and top-5 of each set, with blind guessing marked.
pub fn accuracies(accuracies: &[Accuracy]) -> String {
    let sets = join(accuracies, |accuracy| {
        let style = if accuracy.unseen { "accuracy unseen" } else { "accuracy" };
        format!(
            "<div class=\"{style}\"><h3>{}</h3><p>{} pictures</p>{}{}</div>",
            escape(&accuracy.label),
            human::thousands(accuracy.pictures),
            bar("top-1", accuracy.top1, accuracy.chance),
            bar("top-5", accuracy.top5, accuracy.chance * 5.0)
        )
    });
    format!("<div class=\"accuracies\">{sets}</div>")
}

fn bar(name: &str, share: f64, chance: f64) -> String {
    format!(
        "<div class=\"score\"><span>{name}</span><span class=\"track tall\"><i style=\"width:{}\"></i>\
         <u style=\"left:{}\" title=\"chance: {}\"></u></span><b>{}</b></div>",
        width(share),
        width(chance),
        percent(chance),
        percent(share)
    )
}

/// The most frequent mistakes in words.
pub fn mistakes(confusion: &Confusion) -> String {
    let rows = join(confusion.mistakes(12), |(right, guess, count)| {
        let (right, guess) = (escape(&right.name), escape(&guess.name));
        format!("<tr><td>{right}</td><td class=\"arrow\">→</td><td>{guess}</td><td class=\"number\">{count}</td></tr>")
    });
    if rows.is_empty() {
        return "<p>No picture was taken for another class.</p>".to_owned();
    }
    format!(
        "<table class=\"mistakes\"><thead><tr><th scope=\"col\">picture</th><td></td><th scope=\"col\">taken for</th>\
         <th scope=\"col\" class=\"number\">times</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

/// The lines to type.
pub fn commands(commands: &[Command]) -> String {
    let blocks: Vec<String> = commands.iter().map(command).collect();
    format!("<pre>{}</pre>", blocks.join("\n\n"))
}

fn command(command: &Command) -> String {
    let purpose = escape(&command.purpose);
    let purpose = if purpose.is_empty() { purpose } else { format!("<span># {purpose}</span>\n") };
    // Each word is a box of its own, so that a narrow page breaks lines between flags and not inside them.
    let words: Vec<String> = command.line.split(' ').map(|word| format!("<i>{}</i>", escape(word))).collect();
    format!("{purpose}{}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_show_their_share_of_all_urls() {
        let status =
            |status: &str, count| Status { status: status.to_owned(), count, meaning: "404 <Not Found>".to_owned() };
        let table = statuses(&[status("success", 3000), status("failed_to_download", 1000)]);
        assert!(table.contains("3,000") && table.contains("75.0%") && table.contains("404 &lt;Not Found&gt;"));
        assert!(!statuses(&[status("success", 0)]).contains("NaN"));
    }

    #[test]
    fn commands_keep_their_characters() {
        let command = Command { purpose: "a & b".to_owned(), line: "x 'a {}' > y".to_owned() };
        let shown = commands(&[command.clone(), Command { purpose: String::new(), ..command }]);
        let line = "<i>x</i> <i>&#39;a</i> <i>{}&#39;</i> <i>&gt;</i> <i>y</i>";
        assert_eq!(shown, format!("<pre><span># a &amp; b</span>\n{line}\n\n{line}</pre>"));
    }
}
