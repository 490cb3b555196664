//! The training loss over the steps: every step as a thin line, their running mean as a bold one.

use std::fmt::Write;

use super::content::LossPoint;
use super::scale::Scale;
use super::svg::Frame;
use crate::plot::chart::{running_mean, thin};

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
}
