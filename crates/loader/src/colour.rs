//! Random changes of colour: torchvision's `ColorJitter` and `Grayscale` with Pillow's arithmetic, in place.

use crate::seed::Draws;

/// How far colours may change, as torchvision's `ColorJitter` takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourJitter {
    /// Factors of brightness reach from 1 − this, not below 0, to 1 + this.
    pub brightness: f64,
    /// The same for contrast.
    pub contrast: f64,
    /// The same for saturation.
    pub saturation: f64,
    /// Shifts of hue reach from −this to this, in turns of the colour wheel; at most 0.5.
    pub hue: f64,
}

impl ColourJitter {
    pub(crate) fn is_sensible(&self) -> bool {
        let factors = [self.brightness, self.contrast, self.saturation];
        factors.iter().all(|factor| *factor >= 0.0 && factor.is_finite()) && (0.0..=0.5).contains(&self.hue)
    }

    /// The four changes in a random order, each by a random amount.
    fn apply(&self, draws: &mut Draws, pixels: &mut [u8]) {
        let mut order = [0, 1, 2, 3];
        draws.shuffle(&mut order);
        let mut factor = |reach: f64| draws.between((1.0 - reach).max(0.0), 1.0 + reach);
        let (brightness, contrast) = (factor(self.brightness), factor(self.contrast));
        let saturation = factor(self.saturation);
        let hue = draws.between(-self.hue, self.hue);
        for change in order {
            match change {
                0 if self.brightness > 0.0 => pixels.iter_mut().for_each(|value| *value = blend(0, *value, brightness)),
                1 if self.contrast > 0.0 => change_contrast(contrast, pixels),
                2 if self.saturation > 0.0 => change_saturation(saturation, pixels),
                3 if self.hue > 0.0 => shift_hue(hue, pixels),
                _ => {}
            }
        }
    }
}

/// Changes the colours of RGB pixels: a jitter with its probability, then, with its own, to grey.
pub(crate) fn change(jitter: Option<(ColourJitter, f64)>, grey: f64, draws: &mut Draws, pixels: &mut [u8]) {
    if let Some((jitter, probability)) = jitter
        && draws.unit() < probability
    {
        jitter.apply(draws, pixels);
    }
    if draws.unit() < grey {
        change_saturation(0.0, pixels);
    }
}

/// Pillow's `ImagingBlend` of one value: between two values the result is cut, beyond them also bounded.
fn blend(from: u8, to: u8, share: f64) -> u8 {
    let mixed = f32::from(from) + share as f32 * (f32::from(to) - f32::from(from));
    mixed.clamp(0.0, 255.0) as u8
}

/// Pillow's conversion to brightness.
fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
}

fn change_contrast(factor: f64, pixels: &mut [u8]) {
    let sum: u64 = pixels.chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum();
    let mean = (sum as f64 / (pixels.len() / 3).max(1) as f64 + 0.5) as u8;
    pixels.iter_mut().for_each(|value| *value = blend(mean, *value, factor));
}

fn change_saturation(factor: f64, pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(3) {
        let grey = luma(pixel);
        pixel.iter_mut().for_each(|value| *value = blend(grey, *value, factor));
    }
}

fn shift_hue(turns: f64, pixels: &mut [u8]) {
    // torchvision adds in 8 bits, wrapping.
    let shift = ((turns * 255.0) as i32) as u8;
    for pixel in pixels.chunks_exact_mut(3) {
        let [h, s, v] = to_hsv([pixel[0], pixel[1], pixel[2]]);
        pixel.copy_from_slice(&to_rgb([h.wrapping_add(shift), s, v]));
    }
}

/// Pillow's `rgb2hsv_row`.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let from_most = |value: u8| f32::from(most - value) / range;
    let (rc, gc, bc) = (from_most(r), from_most(g), from_most(b));
    let sixths = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = (f64::from(sixths) / 6.0 + 1.0) % 1.0;
    let saturation = f64::from(range / f32::from(most));
    [(hue as f32 as f64 * 255.0) as u8, (saturation * 255.0) as u8, most]
}

/// Pillow's `hsv2rgb_row`.
fn to_rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sixths = f64::from(f32::from(h)) * 6.0 / 255.0;
    let (sector, within) = (sixths.floor(), (sixths - sixths.floor()) as f32);
    let saturation = f64::from(f32::from(s) / 255.0);
    let scaled = |share: f64| (f64::from(v) * (1.0 - saturation * share)).round().clamp(0.0, 255.0) as u8;
    let within = f64::from(within);
    let (p, q, t) = (scaled(1.0), scaled(within), scaled(1.0 - within));
    match sector as u32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Domain;

    fn pixels() -> Vec<u8> {
        (0..300u32).map(|i| (i * 97 % 256) as u8).collect()
    }

    #[test]
    fn grey_has_three_equal_channels_and_probabilities_hold() {
        let greys = (0..1000).filter(|place| {
            let mut changed = pixels();
            change(None, 0.3, &mut Draws::new(1, Domain::Colour, &[*place]), &mut changed);
            let is_grey = changed.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
            assert!(is_grey || changed == pixels());
            is_grey
        });
        assert!((250..350).contains(&greys.count()));
    }

    #[test]
    fn a_jitter_without_reach_changes_nothing() {
        let jitter = ColourJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0 };
        let mut changed = pixels();
        change(Some((jitter, 1.0)), 0.0, &mut Draws::new(1, Domain::Colour, &[]), &mut changed);
        assert_eq!(changed, pixels());
    }

    /// By Pillow 13 and torchvision's `functional_pil`.
    #[test]
    fn values_are_those_of_pillow() {
        assert_eq!([blend(0, 200, 1.5), blend(0, 200, 0.33), blend(100, 20, 1.6)], [255, 66, 0]);
        assert_eq!(luma(&[200, 100, 50]), 124);
        assert_eq!(to_hsv([200, 100, 50]), [14, 191, 200]);
        assert_eq!(to_rgb([14, 191, 200]), [200, 100, 50]);
        assert_eq!(to_rgb([170, 100, 90]), [55, 55, 90]);
    }
}
