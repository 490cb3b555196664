//! A figure as an SVG picture that needs no style sheet.

use std::fmt::Write;

use super::figure::{Anchor, Colour, Direction, Figure, Mark};
use crate::report::html::escape;

/// The picture, fit for a file and for a page.
pub fn render(figure: &Figure) -> String {
    let (width, height) = (figure.width, figure.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"system-ui, sans-serif\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escape(&figure.description)
    );
    for mark in &figure.marks {
        svg.push_str(&element(mark));
        svg.push('\n');
    }
    svg.push_str("</svg>\n");
    svg
}

fn element(mark: &Mark) -> String {
    match mark {
        Mark::Line { points, colour, width, opacity } => format!(
            "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"/>",
            path(points),
            hex(*colour)
        ),
        Mark::Dot { at: [x, y], radius, colour } => {
            format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\" stroke=\"#ffffff\"/>", hex(*colour))
        }
        Mark::Text { at: [x, y], text, size, anchor, direction, colour } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let place = match direction {
                Direction::Across => format!("x=\"{x:.1}\" y=\"{y:.1}\""),
                Direction::Up => format!("transform=\"translate({x:.1} {y:.1}) rotate(-90)\""),
            };
            // As attributes and as style: a page's style sheet would win over attributes.
            let colour = hex(*colour);
            format!(
                "<text {place} text-anchor=\"{anchor}\" style=\"font-size:{size}px;fill:{colour}\">{}</text>",
                escape(text)
            )
        }
    }
}

fn path(points: &[[f64; 2]]) -> String {
    let mut path = String::with_capacity(points.len() * 12);
    for (i, [x, y]) in points.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    path
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::super::figure::INK;
    use super::*;

    #[test]
    fn texts_are_escaped_and_lines_are_paths() {
        let mut figure = Figure { width: 40.0, height: 20.0, description: "a < b".into(), marks: Vec::new() };
        figure.line(vec![[0.0, 1.0], [2.5, 3.0]], INK, 2.0);
        figure.text([1.0, 2.0], "R@1 & <more>", 12.0, Anchor::End, INK);
        let svg = render(&figure);
        assert!(svg.contains("aria-label=\"a &lt; b\"") && svg.contains("d=\"M0.0 1.0L2.5 3.0\""), "{svg}");
        assert!(svg.contains("R@1 &amp; &lt;more&gt;") && svg.contains("text-anchor=\"end\""), "{svg}");
    }
}
