//! The training loss over the steps: every step as a thin line, their running mean as a bold one.

use std::fmt::Write;

use super::content::LossPoint;
use super::scale::Scale;
use super::svg::Frame;

/// More points than this do not show.
const MOST_POINTS: usize = 1200;

/// The curve as SVG; nothing when there are fewer than two finite losses.
pub fn draw(points: &[LossPoint]) -> Option<String> {
    let points: Vec<[f64; 2]> =
        points.iter().filter(|point| point.loss.is_finite()).map(|point| [point.step as f64, point.loss]).collect();
    let (first, last) = (points.first()?[0], points.last()?[0]);
    if last <= first {
        return None;
    }
    let smooth = running_mean(&points, points.len().div_ceil(40));
    let [lowest, highest] = bounds(&points);
    let frame = Frame::new(760.0, 300.0, [first.min(0.0), last], [lowest.min(0.0), highest * 1.04]);
    let [x, y] = *smooth.last()?;
    let content = format!(
        "{}{}<path class=\"raw\" d=\"{}\"/><path class=\"smooth\" d=\"{}\"/>\
         <circle class=\"end\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>\
         <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{y:.3}</text>",
        frame.y_axis("contrastive loss"),
        frame.x_axis("step", &frame.x.ticks(8)),
        path(&thin(&points), &frame.x, &frame.y),
        path(&thin(&smooth), &frame.x, &frame.y),
        frame.x.at(x),
        frame.y.at(y),
        frame.x.at(x),
        frame.y.at(y) - 12.0,
    );
    Some(frame.picture(&format!("training loss, falling to {y:.3} at step {x}"), &content))
}

fn bounds(points: &[[f64; 2]]) -> [f64; 2] {
    points.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], [_, y]| [low.min(*y), high.max(*y)])
}

/// The mean of each point and up to `reach` neighbours on either side, fewer near the ends.
fn running_mean(points: &[[f64; 2]], reach: usize) -> Vec<[f64; 2]> {
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
fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let mut kept: Vec<_> = points.iter().copied().step_by(step).collect();
    if !(points.len() - 1).is_multiple_of(step) {
        kept.extend(points.last());
    }
    kept
}

fn path(points: &[[f64; 2]], x: &Scale, y: &Scale) -> String {
    let mut path = String::with_capacity(points.len() * 12);
    for (i, [step, loss]) in points.iter().enumerate() {
        let verb = if i == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{verb}{:.1} {:.1}", x.at(*step), y.at(*loss));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(losses: &[f64]) -> Vec<LossPoint> {
        losses.iter().enumerate().map(|(i, loss)| LossPoint { step: i as u64 + 1, loss: *loss }).collect()
    }

    #[test]
    fn losses_that_are_not_finite_are_left_out() {
        let curve = draw(&points(&[3.0, f64::NAN, 2.0, f64::INFINITY, 1.0])).unwrap();
        assert!(!curve.contains("NaN") && !curve.contains("inf"), "{curve}");
    }

    #[test]
    fn too_few_points_draw_nothing() {
        assert!(draw(&[]).is_none());
        assert!(draw(&points(&[1.0])).is_none());
        assert!(draw(&points(&[f64::NAN, f64::NAN])).is_none());
    }

    #[test]
    fn long_runs_are_thinned_and_keep_their_end() {
        let long: Vec<[f64; 2]> = (0..100_001).map(|i| [f64::from(i), 1.0]).collect();
        let thinned = thin(&long);
        assert!(thinned.len() <= MOST_POINTS + 1);
        assert_eq!(thinned.last(), long.last());
    }

    #[test]
    fn the_running_mean_of_a_line_is_the_line() {
        let line: Vec<[f64; 2]> = (0..9).map(|i| [f64::from(i), f64::from(i)]).collect();
        assert_eq!(running_mean(&line, 2)[..8], line[..8]);
    }
}
