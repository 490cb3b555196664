//! The frame that the charts share: size, axes, grid and their labels. Colours come from the page's style sheet.

use super::html::{escape, join};
use super::scale::Scale;

/// The plot's place within the picture, in its own units.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Width of the whole picture.
    pub width: f64,
    /// Height of the whole picture.
    pub height: f64,
    /// What the horizontal axis shows.
    pub x: Scale,
    /// What the vertical axis shows.
    pub y: Scale,
}

/// Room for the labels: left, top, right, bottom.
const MARGIN: [f64; 4] = [52.0, 14.0, 18.0, 44.0];

impl Frame {
    /// A frame for values within `x` and `y`.
    pub fn new(width: f64, height: f64, x: [f64; 2], y: [f64; 2]) -> Self {
        let [left, top, right, bottom] = MARGIN;
        let x = Scale { domain: x, range: [left, width - right] };
        let y = Scale { domain: y, range: [height - bottom, top] };
        Self { width, height, x, y }
    }

    /// Horizontal grid lines with their values, and the axis's name.
    pub fn y_axis(&self, name: &str) -> String {
        let [left, right] = self.x.range;
        let middle = (self.y.range[0] + self.y.range[1]) / 2.0;
        let lines = join(self.y.ticks(5), |(value, label)| {
            let y = self.y.at(value);
            format!(
                "<line class=\"grid\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 8.0,
                y + 4.0
            )
        });
        let name = escape(name);
        format!(
            "{lines}<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(14 {middle:.1}) rotate(-90)\">{name}</text>"
        )
    }

    /// The bottom line with these marks, and the axis's name.
    pub fn x_axis(&self, name: &str, ticks: &[(f64, String)]) -> String {
        let ([left, right], bottom) = (self.x.range, self.y.range[0]);
        let marks = join(ticks, |(value, label)| {
            let x = self.x.at(*value);
            format!(
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                bottom + 4.0,
                bottom + 18.0
            )
        });
        format!(
            "<line class=\"tick\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>{marks}\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            self.height - 6.0,
            escape(name)
        )
    }

    /// The whole picture; `description` is for those who do not see it.
    pub fn picture(&self, description: &str, content: &str) -> String {
        picture(self.width, self.height, description, content)
    }
}

/// An SVG picture that is as wide as the page lets it be.
pub fn picture(width: f64, height: f64, description: &str, content: &str) -> String {
    format!(
        "<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {width:.0} {height:.0}\">{content}</svg>",
        escape(description)
    )
}
