//! The shapes, as signed distances: negative inside, zero on the outline, positive outside. A distance makes
//! smooth edges and soft shadows a matter of one multiplication.

/// A place relative to a shape's centre, in units of its half size; y points down.
pub type Point = [f32; 2];

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A filled circle.
    Circle,
    /// A square on its side, with lightly rounded corners.
    Square,
    /// A triangle on its base.
    Triangle,
    /// A star of five points.
    Star,
    /// An upright cross with equal arms.
    Cross,
    /// A circle with a wide hole.
    Ring,
}

impl Shape {
    /// Every shape, in the order of the classes.
    pub const ALL: [Self; 6] = [Self::Circle, Self::Square, Self::Triangle, Self::Star, Self::Cross, Self::Ring];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Ring => "ring",
        }
    }

    /// The signed distance from `point` to the outline, in units of the half size.
    pub fn distance(self, point: Point) -> f32 {
        match self {
            Self::Circle => length(point) - 0.98,
            Self::Square => rectangle(point, [0.76, 0.76]) - 0.08,
            Self::Triangle => polygon(&TRIANGLE, point) - 0.06,
            Self::Star => polygon(&STAR, point) - 0.04,
            Self::Cross => rectangle(point, [0.92, 0.27]).min(rectangle(point, [0.27, 0.92])) - 0.05,
            Self::Ring => (length(point) - 0.74).abs() - 0.24,
        }
    }
}

/// Corners of the triangle, before its edges are rounded.
const TRIANGLE: [Point; 3] = [[0.0, -0.92], [0.94, 0.78], [-0.94, 0.78]];

/// Corners of the star: the five outer ones on a circle of 0.98, the five inner ones on one of 0.42.
const STAR: [Point; 10] = [
    [0.0, -0.98],
    [0.2469, -0.3398],
    [0.932, -0.3028],
    [0.3994, 0.1298],
    [0.576, 0.7928],
    [0.0, 0.42],
    [-0.576, 0.7928],
    [-0.3994, 0.1298],
    [-0.932, -0.3028],
    [-0.2469, -0.3398],
];

fn length([x, y]: Point) -> f32 {
    x.hypot(y)
}

fn rectangle([x, y]: Point, [half_width, half_height]: Point) -> f32 {
    let (dx, dy) = (x.abs() - half_width, y.abs() - half_height);
    dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0)
}

/// The nearest edge gives the distance; the parity of the edges left of the point gives the sign.
fn polygon<const N: usize>(corners: &[Point; N], [x, y]: Point) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    for (i, &[ax, ay]) in corners.iter().enumerate() {
        let [bx, by] = corners[(i + 1) % N];
        let (edge_x, edge_y) = (bx - ax, by - ay);
        let along = ((x - ax) * edge_x + (y - ay) * edge_y) / (edge_x * edge_x + edge_y * edge_y);
        let along = along.clamp(0.0, 1.0);
        nearest = nearest.min((x - ax - along * edge_x).hypot(y - ay - along * edge_y));
        let crosses = (ay > y) != (by > y);
        if crosses && x < ax + (y - ay) / edge_y * edge_x {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_inside_all_but_the_ring() {
        for shape in Shape::ALL {
            assert_eq!(shape.distance([0.0, 0.0]) < 0.0, shape != Shape::Ring, "{}", shape.name());
        }
    }

    #[test]
    fn no_shape_leaves_its_box() {
        for shape in Shape::ALL {
            for step in -20..=20 {
                let along = step as f32 / 10.0;
                for outside in [[along, 1.05], [along, -1.05], [1.05, along], [-1.05, along]] {
                    assert!(shape.distance(outside) > 0.0, "{} at {outside:?}", shape.name());
                }
            }
        }
    }

    #[test]
    fn distances_of_straight_edges_are_exact() {
        assert!((Shape::Circle.distance([1.98, 0.0]) - 1.0).abs() < 1e-6);
        assert!((Shape::Square.distance([0.0, 1.84]) - 1.0).abs() < 1e-6);
        assert!((Shape::Triangle.distance([0.0, 1.84]) - 1.0).abs() < 1e-6);
    }
}
