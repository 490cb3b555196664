//! Scalar arithmetic written so that loops over it vectorise: exponential, error function, sums in fixed order.

/// Width of the partial sums; a multiple of every vector width in use.
const LANES: usize = 16;

/// `a * b + c`, fused where that is one instruction (elsewhere a call to the C library would stop vectorisation).
#[inline(always)]
pub fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `e^x` to about 1e-7 relative; the argument is held within the range of finite `f32` results.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -LN2_LOW, fma::<FMA>(n, -LN2_HIGH, x));
    // Taylor series: |r| <= ln(2)/2, so that the first term left out is below 6e-9.
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = fma::<FMA>(p, r, c);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// The error function to 3e-7 absolute: a (5, 5) rational least-squares fit in `x²`, saturated where `erf` rounds to 1.
#[expect(clippy::excessive_precision, clippy::approx_constant, reason = "coefficients of a fit, as they came out")]
#[inline(always)]
pub fn erf<const FMA: bool>(x: f32) -> f32 {
    const P: [f32; 6] = [2.044_661_4e-6, 2.858_692_9e-4, 3.802_903_4e-3, 5.285_951_6e-2, 1.912_556_8e-1, 1.128_379_1];
    const Q: [f32; 6] = [3.808_899_1e-5, 1.171_961_8e-3, 1.504_195_9e-2, 1.144_594_1e-1, 5.028_281_6e-1, 1.0];
    let x = x.clamp(-3.925, 3.925);
    let s = x * x;
    let (mut p, mut q) = (P[0], Q[0]);
    for i in 1..6 {
        p = fma::<FMA>(p, s, P[i]);
        q = fma::<FMA>(q, s, Q[i]);
    }
    x * p / q
}

/// Sum of `f` over slices of one length, value by value, in an order that depends on the length alone.
#[inline(always)]
pub fn sum<const N: usize>(inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let parts = inputs.map(|input| input.as_chunks::<LANES>());
    let blocks = parts.iter().map(|(blocks, _)| blocks.len()).min().unwrap_or(0);
    for block in 0..blocks {
        let values = parts.map(|(blocks, _)| blocks[block]);
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += f(std::array::from_fn(|n| values[n][lane]));
        }
    }
    let rest = parts.map(|(_, rest)| rest);
    let length = rest.iter().map(|rest| rest.len()).min().unwrap_or(0);
    for (i, total) in lanes.iter_mut().enumerate().take(length) {
        *total += f(rest.map(|rest| rest[i]));
    }
    let mut total = 0.0;
    for lane in lanes {
        total += lane;
    }
    total
}

/// Largest value; negative infinity for an empty slice.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (largest, value) in lanes.iter_mut().zip(chunk) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
    let mut largest = f32::NEG_INFINITY;
    for value in lanes {
        largest = if value > largest { value } else { largest };
    }
    for value in rest {
        largest = if *value > largest { *value } else { largest };
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::{erf, exp, max, sum};

    #[test]
    fn exponential_is_accurate_over_its_range() {
        for i in -8_700..8_800 {
            let x = i as f32 / 100.0;
            let expected = f64::from(x).exp();
            for got in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(got) / expected - 1.0).abs() < 3e-7, "exp({x}): {got} against {expected}");
            }
        }
        assert!(exp::<false>(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn error_function_is_odd_accurate_and_saturates() {
        let known = [(0.1, 0.112_462_916_018_284_9), (0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9)];
        let tail = [(2.0, 0.995_322_265_018_952_7), (3.0, 0.999_977_909_503_001_4), (9.0, 1.0)];
        for (x, expected) in known.into_iter().chain(tail) {
            for got in [erf::<true>(x), -erf::<false>(-x)] {
                assert!((f64::from(got) - expected).abs() < 4e-7, "erf({x}): {got} against {expected}");
            }
        }
    }

    #[test]
    fn sums_and_maxima_take_the_tail_in() {
        let values: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(sum([&values], |[x]| x), 666.0);
        assert_eq!(sum([&values, &values], |[a, b]| a * b), 16_206.0);
        assert_eq!(max(&values), 36.0);
    }
}
