//! Counts of values by their order of magnitude: a histogram whose bars are equally wide on a logarithmic axis, in the
//! same memory for any number of values.

use super::html::join;
use super::svg::Frame;
use crate::human;

/// Bars for each doubling of the value.
const BY_DOUBLING: f64 = 2.0;

/// Bars for all values of 64 bits.
const BARS: usize = 128;

/// How often values of each size were seen.
#[derive(Clone, Debug)]
pub struct Buckets([u64; BARS]);

impl Default for Buckets {
    fn default() -> Self {
        Self([0; BARS])
    }
}

impl Buckets {
    /// Counts a value; 0 as 1.
    pub fn add(&mut self, value: u64) {
        let place = ((value.max(1) as f64).log2() * BY_DOUBLING) as usize;
        self.0[place.min(BARS - 1)] += 1;
    }

    /// Bars as SVG, nothing where there are no values; `axis` names them and `label` writes them.
    pub fn draw(&self, axis: &str, label: impl Fn(u64) -> String) -> Option<String> {
        let first = self.0.iter().position(|count| *count > 0)?;
        let last = self.0.iter().rposition(|count| *count > 0)?;
        // A single bar as wide as the chart looks like a mistake.
        let (first, end) = (first.saturating_sub(2), last + 3);
        let highest = *self.0.iter().max()?;
        let frame = Frame::new(520.0, 230.0, [first as f64, end as f64], [0.0, highest as f64 * 1.08]);
        let every = (end - first).div_ceil(7);
        let ticks: Vec<_> =
            (first..=end).step_by(every).map(|place| (place as f64, label(lower_edge(place)))).collect();
        let bars = (first..=last).filter(|place| self.0[*place] > 0);
        let bars = join(bars, |place| bar(&frame, place, self.0[place], &label));
        let content = format!("{}{bars}{}", frame.y_axis(""), frame.x_axis(axis, &ticks));
        Some(frame.picture(&format!("histogram: {axis}"), &content))
    }
}

/// The smallest value of a bar.
fn lower_edge(place: usize) -> u64 {
    2_f64.powf(place as f64 / BY_DOUBLING).ceil() as u64
}

fn bar(frame: &Frame, place: usize, count: u64, label: &impl Fn(u64) -> String) -> String {
    let (left, right) = (frame.x.at(place as f64) + 1.0, frame.x.at(place as f64 + 1.0) - 1.0);
    let (top, bottom) = (frame.y.at(count as f64), frame.y.range[0]);
    format!(
        "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\">\
         <title>{} to {}: {}</title></rect>",
        right - left,
        bottom - top,
        label(lower_edge(place)),
        label(lower_edge(place + 1)),
        human::counted(count, "row")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_size_find_a_bar() {
        let mut buckets = Buckets::default();
        for value in [0, 1, 300, 300, u64::MAX] {
            buckets.add(value);
        }
        assert_eq!((buckets.0[0], buckets.0[16], buckets.0[BARS - 1]), (2, 2, 1));
        let svg = buckets.draw("pixels", human::thousands).unwrap();
        assert!(svg.contains("<title>256 to 363: 2 rows</title>"), "{svg}");
        assert!(Buckets::default().draw("pixels", human::thousands).is_none());
    }
}
