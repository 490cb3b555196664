//! Seeded chance for the drawings: the same seed gives the same pictures on every machine.

/// A small generator (SplitMix64: Steele, Lea and Flood, 2014). Good enough to draw with, not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for one purpose: every pair of `seed` and `stream` rolls its own sequence.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed);
        let mixed = dice.roll() ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Self(mixed)
    }

    /// 64 random bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.roll()) * bound as u128;
        (wide >> 64) as usize
    }

    /// A number in `low..high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.roll() >> 40) as f32 / (1_u32 << 24) as f32;
        low + unit * (high - low)
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// One of `choices`.
    pub fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0, "there is something to pick from") };
        choices[self.below(N)]
    }

    /// Puts a slice into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, slice: &mut [T]) {
        for last in (1..slice.len()).rev() {
            slice.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_streams_differ() {
        let roll = |seed, stream| Dice::new(seed, stream).roll();
        assert_eq!(roll(7, 1), roll(7, 1));
        assert_ne!(roll(7, 1), roll(7, 2));
        assert_ne!(roll(7, 1), roll(8, 1));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut dice = Dice::new(1, 0);
        for _ in 0..1000 {
            assert!(dice.below(3) < 3);
            assert!((-2.0..5.0).contains(&dice.between(-2.0, 5.0)));
        }
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut numbers: Vec<u32> = (0..50).collect();
        Dice::new(3, 0).shuffle(&mut numbers);
        assert_ne!(numbers, (0..50).collect::<Vec<_>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }
}
