//! Random numbers that are addressed, not drawn: a value depends on the seed, a name and a position alone, so that it is the
//! same on every rank, device and number of threads. Owns no distribution of parameters.

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
    pub fn uniform_pair(&self, i: u64) -> [f64; 2] {
        [2 * i, 2 * i + 1].map(|i| ((self.bits(i) >> 11) as f64 + 0.5) / (1u64 << 53) as f64)
    }

    /// Two values of the standard normal distribution, by Box and Muller.
    pub fn normal_pair(&self, i: u64) -> [f64; 2] {
        let [u, v] = self.uniform_pair(i);
        let (radius, angle) = ((-2.0 * u.ln()).sqrt(), std::f64::consts::TAU * v);
        [radius * angle.cos(), radius * angle.sin()]
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
    use super::{Noise, Stream};

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
