//! How many captions have how many words.

use super::html::join;
use super::svg::Frame;
use crate::human;

/// Bars as SVG, one a number of words; nothing when all counts are zero.
pub fn draw(counts: &[u64]) -> Option<String> {
    let first = counts.iter().position(|count| *count > 0)?;
    let last = counts.iter().rposition(|count| *count > 0)?;
    let highest = *counts.iter().max()?;
    let frame = Frame::new(520.0, 250.0, [first as f64 - 0.6, last as f64 + 0.6], [0.0, highest as f64 * 1.08]);
    // Labels for all bars would touch each other in wide histograms.
    let every = (last - first + 1).div_ceil(16);
    let ticks: Vec<_> = (first..=last).step_by(every).map(|words| (words as f64, words.to_string())).collect();
    let bars = join(first..=last, |words| bar(&frame, words, counts[words]));
    let content = format!("{}{bars}{}", frame.y_axis("captions"), frame.x_axis("words in the caption", &ticks));
    Some(frame.picture("histogram of caption lengths", &content))
}

fn bar(frame: &Frame, words: usize, count: u64) -> String {
    let (left, right) = (frame.x.at(words as f64 - 0.4), frame.x.at(words as f64 + 0.4));
    let (top, bottom) = (frame.y.at(count as f64), frame.y.range[0]);
    format!(
        "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\">\
         <title>{words} words: {} captions</title></rect>",
        right - left,
        bottom - top,
        human::thousands(count)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_span_the_lengths_that_occur() {
        let histogram = draw(&[0, 0, 5, 0, 1200, 0]).unwrap();
        assert_eq!(histogram.matches("<rect").count(), 3);
        assert!(histogram.contains("4 words: 1,200 captions"));
        assert!(draw(&[0, 0]).is_none() && draw(&[]).is_none());
    }
}
