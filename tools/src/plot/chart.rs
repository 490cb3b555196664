//! Charts: series over two axes, with grid, labels and a legend, as a figure.

use super::axis::{Axis, Placed};
use super::figure::{Anchor, Colour, Direction, Figure, INK, LINE, Mark, SERIES, SOFT};
use super::lettering;

/// How a series is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Points joined, their running mean bold above them.
    Curve,
    /// Points joined.
    Line,
    /// Each point with its name.
    Dots,
    /// A thin grey line behind the others, such as a baseline.
    Guide,
}

/// Values that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend; of guides, too.
    pub name: String,
    /// How it is shown.
    pub style: Style,
    /// Across and up, in order.
    pub points: Vec<[f64; 2]>,
    /// A word beside each point of [`Style::Dots`]; may be fewer.
    pub labels: Vec<String>,
}

/// A chart before it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// In the order of the legend.
    pub series: Vec<Series>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 68.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
const LABEL: f64 = 12.0;
const LEGEND_ROW: f64 = 16.0;
/// More points than this do not show.
const MOST_POINTS: usize = 1500;

impl Chart {
    /// Whether any series has a point that has a place.
    pub fn is_empty(&self) -> bool {
        let data = self.series.iter().filter(|series| series.style != Style::Guide);
        !data.flat_map(|series| &series.points).any(|point| self.takes(*point))
    }

    fn takes(&self, [x, y]: [f64; 2]) -> bool {
        self.x.takes(x) && self.y.takes(y)
    }

    /// The chart as a figure.
    pub fn figure(&self) -> Figure {
        let mut figure = Figure { width: WIDTH, height: HEIGHT, description: self.title.clone(), marks: Vec::new() };
        let points = || self.series.iter().flat_map(|series| &series.points).filter(|point| self.takes(**point));
        let names = self.names();
        let places = legend(&names);
        // One name needs no legend: it is the only thing there.
        let (shown, top) = match names.len() {
            0 | 1 => (0, TOP),
            count => (count, places.last().map_or(TOP, |place| place[1] + 14.0)),
        };
        let x = self.x.place(points().map(|point| point[0]), [LEFT, WIDTH - RIGHT]);
        let y = self.y.place(points().map(|point| point[1]), [HEIGHT - BOTTOM, top]);
        self.frame(&mut figure, &x, &y);
        for series in self.series.iter().filter(|series| series.style == Style::Guide) {
            figure.line(self.placed(series, &x, &y), SOFT, 1.2);
        }
        let drawn = self.series.iter().filter(|series| series.style != Style::Guide);
        for (series, (_, colour)) in drawn.zip(&names) {
            self.draw(&mut figure, series, *colour, &x, &y);
        }
        for ((name, colour), [x, y]) in names.iter().zip(places).take(shown) {
            figure.line(vec![[x, y - 4.0], [x + 14.0, y - 4.0]], *colour, 3.0);
            figure.text([x + 20.0, y], *name, LABEL, Anchor::Start, SOFT);
        }
        figure
    }

    /// The series' names and colours, guides last.
    fn names(&self) -> Vec<(&str, Colour)> {
        let is_guide = |series: &&Series| series.style == Style::Guide;
        let drawn = self.series.iter().filter(|series| !is_guide(series)).zip(SERIES.into_iter().cycle());
        let guides = self.series.iter().filter(is_guide).map(|series| (series.name.as_str(), SOFT));
        drawn.map(|(series, colour)| (series.name.as_str(), colour)).chain(guides).collect()
    }

    fn placed(&self, series: &Series, x: &Placed, y: &Placed) -> Vec<[f64; 2]> {
        let points = series.points.iter().filter(|point| self.takes(**point));
        points.map(|[a, b]| [x.at(*a), y.at(*b)]).collect()
    }

    fn draw(&self, figure: &mut Figure, series: &Series, colour: Colour, x: &Placed, y: &Placed) {
        let points = self.placed(series, x, y);
        match series.style {
            Style::Line | Style::Guide => {
                figure.line(thin(&points), colour, 2.2);
                let dots = points.iter().filter(|_| points.len() <= 40);
                figure.marks.extend(dots.map(|at| Mark::Dot { at: *at, radius: 3.2, colour }));
            }
            Style::Curve => {
                let (faint, width) = (thin(&points), 1.0);
                figure.marks.push(Mark::Line { points: faint, colour, width, opacity: 0.3 });
                figure.line(thin(&running_mean(&points, points.len().div_ceil(40))), colour, 2.4);
            }
            Style::Dots => {
                for (at, label) in points.iter().zip(series.labels.iter().map(Some).chain(std::iter::repeat(None))) {
                    figure.marks.push(Mark::Dot { at: *at, radius: 4.5, colour });
                    let Some(label) = label else { continue };
                    let is_right = at[0] > WIDTH * 0.72;
                    let (anchor, aside) = if is_right { (Anchor::End, -9.0) } else { (Anchor::Start, 9.0) };
                    figure.text([at[0] + aside, at[1] - 6.0], label, LABEL, anchor, INK);
                }
            }
        }
    }

    fn frame(&self, figure: &mut Figure, x: &Placed, y: &Placed) {
        let ([left, right], [bottom, top]) = (x.ends(), y.ends());
        figure.text([left, 24.0], self.title.clone(), 16.0, Anchor::Start, INK);
        for (value, label) in y.ticks() {
            let place = y.at(value);
            figure.line(vec![[left, place], [right, place]], LINE, 1.0);
            figure.text([left - 8.0, place + 4.0], label, LABEL, Anchor::End, SOFT);
        }
        for (value, label) in x.ticks() {
            let place = x.at(value);
            figure.line(vec![[place, bottom], [place, bottom + 4.0]], SOFT, 1.0);
            figure.text([place, bottom + 18.0], label, LABEL, Anchor::Middle, SOFT);
        }
        figure.line(vec![[left, bottom], [right, bottom]], SOFT, 1.0);
        figure.text([(left + right) / 2.0, HEIGHT - 10.0], self.x.name.clone(), LABEL, Anchor::Middle, SOFT);
        figure.marks.push(Mark::Text {
            at: [16.0, (top + bottom) / 2.0],
            text: self.y.name.clone(),
            size: LABEL,
            anchor: Anchor::Middle,
            direction: Direction::Up,
            colour: SOFT,
        });
    }
}

/// Names below the title, in as many rows as they need: where each stands.
fn legend(names: &[(&str, Colour)]) -> Vec<[f64; 2]> {
    let (mut x, mut row) = (LEFT, 0.0);
    let mut places = Vec::with_capacity(names.len());
    for (name, _) in names {
        let width = lettering::width(name, LABEL) + 40.0;
        if x > LEFT && x + width > WIDTH {
            (x, row) = (LEFT, row + 1.0);
        }
        places.push([x, 40.0 + LEGEND_ROW * row]);
        x += width;
    }
    places
}

/// The mean of each point and up to `reach` neighbours on either side, fewer near the ends.
pub fn running_mean(points: &[[f64; 2]], reach: usize) -> Vec<[f64; 2]> {
    let mean = |window: &[[f64; 2]]| window.iter().map(|[_, y]| y).sum::<f64>() / window.len() as f64;
    let smoothed = |i: usize| {
        let reach = reach.min(i).min(points.len() - 1 - i);
        [points[i][0], mean(&points[i - reach..=i + reach])]
    };
    let mut means: Vec<_> = (0..points.len()).map(smoothed).collect();
    // The window shrinks to the last point alone, which is noise: let the end be the mean of the tail.
    if let Some(end) = means.last_mut() {
        end[1] = mean(&points[points.len().saturating_sub(reach + 1)..]);
    }
    means
}

/// Every so many points, and always the last.
pub fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let mut kept: Vec<_> = points.iter().copied().step_by(step).collect();
    if points.len() > 1 && !(points.len() - 1).is_multiple_of(step) {
        kept.extend(points.last());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::axis::Spacing;
    use super::*;

    fn chart(style: Style, points: Vec<[f64; 2]>) -> Chart {
        let series = Series { name: "run".into(), style, points, labels: vec!["a".into()] };
        let axis = |name| Axis::new(name, Spacing::Linear);
        Chart { title: "loss".into(), x: axis("step"), y: axis("loss"), series: vec![series] }
    }

    #[test]
    fn points_without_a_place_are_left_out() {
        let figure = chart(Style::Line, vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, 3.0]]).figure();
        let lines = figure.marks.iter().filter_map(|mark| match mark {
            Mark::Line { points, width, .. } if *width > 2.0 => Some(points.len()),
            _ => None,
        });
        assert_eq!(lines.collect::<Vec<_>>(), [2]);
        assert!(chart(Style::Dots, vec![[f64::NAN, 1.0]]).is_empty());
    }

    #[test]
    fn everything_lies_within_the_figure() {
        for style in [Style::Curve, Style::Line, Style::Dots, Style::Guide] {
            let figure = chart(style, (0..50).map(|i| [f64::from(i), f64::from(i * i)]).collect()).figure();
            for mark in &figure.marks {
                let points = match mark {
                    Mark::Line { points, .. } => points.clone(),
                    Mark::Dot { at, .. } | Mark::Text { at, .. } => vec![*at],
                };
                assert!(
                    points.iter().all(|[x, y]| (0.0..=WIDTH).contains(x) && (0.0..=HEIGHT).contains(y)),
                    "{mark:?}"
                );
            }
        }
    }

    #[test]
    fn long_runs_are_thinned_and_keep_their_end() {
        let long: Vec<[f64; 2]> = (0..100_001).map(|i| [f64::from(i), 1.0]).collect();
        assert!(thin(&long).len() <= MOST_POINTS + 1 && thin(&long).last() == long.last());
        let line: Vec<[f64; 2]> = (0..9).map(|i| [f64::from(i), f64::from(i)]).collect();
        assert_eq!(running_mean(&line, 2)[..8], line[..8]);
    }
}
