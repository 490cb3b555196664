//! Random numbers that are addressed, not drawn: a value depends on the seed, a name and a position alone, so that it is the
//! same on every rank, device and number of threads. Owns no distribution of parameters.

use crate::kernel::isa::multiversion;

/// A random stream that is addressed by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream of a name.
    pub fn new(seed: u64, name: &str) -> Self {
        let key = name.bytes().fold(scramble(seed), |key, byte| scramble(key ^ u64::from(byte)));
        Self { key }
    }

    /// Sixty-four random bits.
    #[inline(always)]
    pub fn bits(&self, i: u64) -> u64 {
        scramble(self.key ^ scramble(i))
    }

    /// Two values, each uniform over the open interval from 0 to 1.
    #[inline(always)]
    pub fn uniform_pair(&self, i: u64) -> [f64; 2] {
        [2 * i, 2 * i + 1].map(|i| ((self.bits(i) >> 11) as f64 + 0.5) / (1u64 << 53) as f64)
    }

    /// Two values of the standard normal distribution, by Box and Muller.
    #[inline(always)]
    pub fn normal_pair(&self, i: u64) -> [f64; 2] {
        let [u, v] = self.uniform_pair(i);
        let radius = (-2.0 * logarithm(u)).sqrt();
        on_circle(v).map(|place| radius * place)
    }
}

/// The natural logarithm of a positive normal number, to 1e-13. The system's is several times slower, and so is its sine: with
/// them, drawing weights is most of a run's start.
#[inline(always)]
fn logarithm(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    // Below the square root of two or above its inverse, so that the series is short.
    let shifted = x.to_bits().wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits() & MANTISSA);
    let exponent = (shifted >> 52) as i64 - 1022;
    let mantissa = f64::from_bits(x.to_bits().wrapping_sub((exponent << 52) as u64));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    // 2 artanh s = ln((1 + s) / (1 - s)).
    let series =
        [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0].into_iter().fold(0.0, |sum, n| sum * square + 1.0 / n);
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

/// Cosine and sine of `turns` (0 to 1) of a circle, to 1e-13.
#[inline(always)]
fn on_circle(turns: f64) -> [f64; 2] {
    let quarters = (4.0 * turns + 0.5).floor();
    // Within an eighth of a turn of an axis.
    let x = (4.0 * turns - quarters) * std::f64::consts::FRAC_PI_2;
    let square = x * x;
    let series = |last: u32| {
        // Each factorial by the one two below it: 1 - x^2 / (n (n - 1)) (1 - ...).
        (1..=last / 2)
            .rev()
            .map(|k| f64::from(2 * k + last % 2))
            .fold(1.0, |sum, n| 1.0 - square * (1.0 / (n * (n - 1.0))) * sum)
    };
    let (cosine, sine) = (series(16), x * series(17));
    // Choices instead of branches, so that loops over it vectorise.
    let quarter = quarters as i64 & 3;
    let (x, y) = (if quarter & 1 == 0 { cosine } else { sine }, if quarter & 1 == 0 { sine } else { cosine });
    [if (quarter + 1) & 2 == 0 { x } else { -x }, if quarter & 2 == 0 { y } else { -y }]
}

multiversion! {
    /// Fills `values` with normal values times `std`: pairs from the `first` of the stream on. The same on every machine, since
    /// nothing is fused.
    pub fn fill_normal(values: &mut [f32], stream: Stream, first: u64, std: f64) = fill_normal_body
}

#[inline(always)]
fn fill_normal_body<const FMA: bool>(values: &mut [f32], stream: Stream, first: u64, std: f64) {
    const PAIRS: usize = 16;
    for (block, values) in values.chunks_mut(2 * PAIRS).enumerate() {
        let first = first + (block * PAIRS) as u64;
        let (mut evens, mut odds) = ([0f32; PAIRS], [0f32; PAIRS]);
        for lane in 0..PAIRS {
            let pair = stream.normal_pair(first + lane as u64);
            (evens[lane], odds[lane]) = ((pair[0] * std) as f32, (pair[1] * std) as f32);
        }
        for (place, value) in values.iter_mut().enumerate() {
            *value = if place % 2 == 0 { evens[place / 2] } else { odds[place / 2] };
        }
    }
}

/// A bijection of 64 bits that spreads every input bit over all output bits (the finaliser of SplitMix64).
#[inline(always)]
fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What is drawn anew in every training step: dropped values and dropped patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    seed: u64,
    step: u64,
}

impl Noise {
    /// The noise of one pass; ranks that must differ take different seeds.
    pub fn new(seed: u64, step: u64) -> Self {
        Self { seed, step }
    }

    /// The stream of one layer.
    pub fn stream(&self, layer: &str) -> Stream {
        Stream::new(scramble(self.seed) ^ self.step, layer)
    }
}

/// How a forward pass treats what differs between training and evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics, nothing dropped.
    Evaluation,
    /// Statistics of the batch; values and patches dropped at random.
    Training(Noise),
}

#[cfg(test)]
mod tests {
    use super::{Noise, Stream, logarithm, on_circle};

    #[test]
    fn logarithm_and_circle_are_those_of_the_library() {
        let stream = Stream::new(3, "a");
        let edges = [f64::EPSILON / 4.0, 0.5, std::f64::consts::FRAC_1_SQRT_2, 0.999_999, 1.0 - f64::EPSILON / 2.0];
        for u in (0..10_000).flat_map(|i| stream.uniform_pair(i)).chain(edges) {
            let expected = u.ln();
            assert!((logarithm(u) - expected).abs() < 1e-13 * expected.abs().max(1e-2), "ln {u}");
            let (sine, cosine) = (std::f64::consts::TAU * u).sin_cos();
            let [x, y] = on_circle(u);
            assert!((x - cosine).abs() < 1e-13 && (y - sine).abs() < 1e-13, "{u} turns");
        }
    }

    #[test]
    fn streams_differ_by_seed_step_and_name() {
        let bits = |noise: Noise, name: &str| noise.stream(name).bits(7);
        let base = bits(Noise::new(1, 2), "a");
        assert_eq!(base, bits(Noise::new(1, 2), "a"));
        for other in [bits(Noise::new(2, 2), "a"), bits(Noise::new(1, 3), "a"), bits(Noise::new(1, 2), "b")] {
            assert_ne!(base, other);
        }
        assert_ne!(Stream::new(0, "a").bits(0), Stream::new(0, "a").bits(1));
    }
}
