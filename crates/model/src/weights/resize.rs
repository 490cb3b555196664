//! Position embeddings of another length: those of pictures as a grid, by PyTorch's cubic filter with antialiasing; those of
//! texts along the line, linearly. Both as open_clip resizes them.

/// Resizes `[1 + old², C]` to `[1 + new², C]`; the class token's row stays. `None` where the rows are no grid.
pub(super) fn grid(values: &[f32], width: usize, rows: usize) -> Option<Vec<f32>> {
    let (old, new) = (side(values.len() / width)?, side(rows)?);
    let (class, patches) = values.split_at(width);
    // Along columns first, then along rows, each as an image of `width` channels.
    let across = along_lines(patches, old, old, width, new);
    let turned = transpose(&across, old, new, width);
    let down = along_lines(&turned, new, old, width, new);
    let patches = transpose(&down, new, new, width);
    Some([class, &patches].concat())
}

/// Resizes `[old, C]` to `[rows, C]`.
pub(super) fn line(values: &[f32], width: usize, rows: usize) -> Vec<f32> {
    let old = values.len() / width;
    let scale = old as f32 / rows as f32;
    let mut to = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let at = ((row as f32 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(old - 1);
        let (second, share) = ((first + 1).min(old - 1), at - first as f32);
        let (a, b) = (&values[first * width..][..width], &values[second * width..][..width]);
        to.extend(a.iter().zip(b).map(|(a, b)| (1.0 - share) * a + share * b));
    }
    to
}

fn side(rows: usize) -> Option<usize> {
    let patches = rows.checked_sub(1)?;
    let side = patches.isqrt();
    (side > 0 && side * side == patches).then_some(side)
}

/// Each of `lines` lines of `old` pixels to `new` pixels.
fn along_lines(values: &[f32], lines: usize, old: usize, width: usize, new: usize) -> Vec<f32> {
    let mut to = vec![0f32; lines * new * width];
    for (pixel, (first, weights)) in (0..new).map(|pixel| filter(pixel, old, new)).enumerate() {
        for line in 0..lines {
            let target = &mut to[(line * new + pixel) * width..][..width];
            for (i, weight) in weights.iter().enumerate() {
                let source = &values[(line * old + first + i) * width..][..width];
                target.iter_mut().zip(source).for_each(|(to, from)| *to += weight * from);
            }
        }
    }
    to
}

fn transpose(values: &[f32], lines: usize, pixels: usize, width: usize) -> Vec<f32> {
    let mut to = Vec::with_capacity(values.len());
    for pixel in 0..pixels {
        for line in 0..lines {
            to.extend_from_slice(&values[(line * pixels + pixel) * width..][..width]);
        }
    }
    to
}

/// First pixel and weights that an output pixel is made of.
fn filter(pixel: usize, old: usize, new: usize) -> (usize, Vec<f32>) {
    let scale = old as f64 / new as f64;
    let stretch = scale.max(1.0);
    let (centre, support) = (scale * (pixel as f64 + 0.5), 2.0 * stretch);
    let first = ((centre - support + 0.5) as isize).max(0) as usize;
    let end = ((centre + support + 0.5) as usize).min(old);
    let weights: Vec<f64> = (first..end).map(|i| cubic((i as f64 - centre + 0.5) / stretch)).collect();
    let total: f64 = weights.iter().sum();
    (first, weights.into_iter().map(|weight| (weight / total) as f32).collect())
}

/// The cubic kernel with `a = -0.5`.
fn cubic(x: f64) -> f64 {
    let (x, a) = (x.abs(), -0.5);
    match x {
        x if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::{grid, line};

    #[test]
    fn constant_positions_stay_constant() {
        let values = vec![2.0f32; (1 + 49) * 3];
        for side in [3usize, 7, 12] {
            let resized = grid(&values, 3, 1 + side * side).unwrap();
            assert_eq!(resized.len(), (1 + side * side) * 3);
            assert!(resized.iter().all(|value| (value - 2.0).abs() < 1e-6));
        }
        assert!(grid(&values, 3, 12).is_none());
    }

    #[test]
    fn line_keeps_its_ends() {
        let longer = line(&[0.0, 1.0, 2.0, 3.0], 1, 8);
        assert_eq!((longer[0], longer[7]), (0.0, 3.0));
        assert_eq!(longer[3], 1.25);
    }
}
