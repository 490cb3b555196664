//! The confusion matrix as a picture: right classes down, guessed classes across.

use super::content::{ClassLabel, Confusion};
use super::html::{escape, join, percent};
use super::svg;

/// Side of a cell.
const CELL: f64 = 13.0;
/// Room for the class names, to the left and above.
const LABELS: f64 = 96.0;

/// The matrix as SVG; nothing when there are no classes.
pub fn draw(confusion: &Confusion) -> Option<String> {
    let classes = &confusion.classes;
    if classes.is_empty() {
        return None;
    }
    let side = classes.len() as f64 * CELL;
    let whole = LABELS + side + 2.0;
    let names = join(classes.iter().enumerate(), |(i, class)| label(i, class));
    let cells = join(confusion.cells(), |(row, column, count)| cell(confusion, row, column, count));
    let ground = format!("<rect class=\"ground\" x=\"{LABELS}\" y=\"{LABELS}\" width=\"{side}\" height=\"{side}\"/>");
    let content = format!("{ground}{}{names}{cells}", group_lines(classes));
    Some(svg::picture(whole, whole, "confusion matrix: right classes down, guessed classes across", &content))
}

fn label(i: usize, class: &ClassLabel) -> String {
    let middle = LABELS + (i as f64 + 0.5) * CELL;
    let end = LABELS - 5.0;
    let (style, name) = (if class.unseen { "unseen" } else { "seen" }, escape(&class.name));
    let across = format!("translate({:.1} {end:.1}) rotate(-90)", middle + 3.0);
    format!(
        "<text class=\"{style}\" x=\"{end:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
         <text class=\"{style}\" transform=\"{across}\">{name}</text>",
        middle + 3.0
    )
}

fn cell(confusion: &Confusion, row: usize, column: usize, count: u64) -> String {
    let whole: u64 = confusion.counts[row].iter().sum();
    let share = count as f64 / whole as f64;
    let place = |i: usize| LABELS + i as f64 * CELL + 0.5;
    let (style, title) = title(&confusion.classes[row], &confusion.classes[column], row == column);
    format!(
        "<rect class=\"{style}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"1.5\" fill-opacity=\"{:.2}\">\
         <title>{title}: {count} of {whole} ({})</title></rect>",
        place(column),
        place(row),
        CELL - 1.0,
        CELL - 1.0,
        0.18 + 0.82 * share,
        percent(share),
    )
}

fn title(class: &ClassLabel, guess: &ClassLabel, same: bool) -> (&'static str, String) {
    let name = escape(&class.name);
    match same {
        true => ("right", format!("{name} recognised")),
        false => ("wrong", format!("{name} taken for {}", escape(&guess.name))),
    }
}

/// Lines between classes that do not share their first word.
fn group_lines(classes: &[ClassLabel]) -> String {
    let group = |class: &ClassLabel| class.name.split(' ').next().map(str::to_owned);
    let end = LABELS + classes.len() as f64 * CELL;
    let borders = (1..classes.len()).filter(|i| group(&classes[i - 1]) != group(&classes[*i]));
    join(borders, |i| {
        let at = LABELS + i as f64 * CELL;
        format!(
            "<line class=\"grid\" x1=\"{LABELS}\" x2=\"{end}\" y1=\"{at}\" y2=\"{at}\"/>\
             <line class=\"grid\" x1=\"{at}\" x2=\"{at}\" y1=\"{LABELS}\" y2=\"{end}\"/>"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_was_taken_for_what() {
        let classes = ["red <a>", "red b"].map(|name| ClassLabel { name: name.to_owned(), unseen: false }).to_vec();
        let map = draw(&Confusion { classes, counts: vec![vec![3, 1], vec![0, 0]] }).unwrap();
        assert!(map.contains("red &lt;a&gt; taken for red b: 1 of 4 (25.0%)"), "{map}");
        assert!(map.contains("red &lt;a&gt; recognised: 3 of 4 (75.0%)"), "{map}");
        assert!(!map.contains("NaN"));
        assert!(draw(&Confusion::default()).is_none());
    }
}
