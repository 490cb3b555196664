//! Random draws that depend on what they are for, not on when they are made: each stream is
//! keyed by the seed, a domain and the numbers that name its place (epoch, shard, sample), and
//! its n-th draw is a hash of key and n.

/// What a stream of draws is for; equal places in different domains are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain {
    /// The order of shards; the same on all replicas.
    ShardOrder = 1,
    /// Shards drawn with replacement.
    ShardDraw = 2,
    /// The shuffle buffer.
    SampleOrder = 3,
    /// Crops.
    Crop = 4,
    /// Which of several captions.
    Caption = 5,
    /// Changes of colour.
    Colour = 6,
}

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Draws {
    key: u64,
    count: u64,
}

/// Odd, and its multiples are spread evenly: 2^64 over the golden ratio.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    pub(crate) fn new(seed: u64, domain: Domain, place: &[u64]) -> Self {
        let words = [seed, domain as u64].into_iter().chain(place.iter().copied());
        let key = words.fold(0, |key, word| scramble(scramble(key ^ word).wrapping_add(STRIDE)));
        Self { key, count: 0 }
    }

    /// The next 64 random bits.
    fn bits(&mut self) -> u64 {
        self.count += 1;
        scramble(self.key.wrapping_add(self.count.wrapping_mul(STRIDE)))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..bound`, and 0 where the bound is 0; the bias is below 2^-32 for bounds
    /// that count things in memory.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A random order of `0..count`.
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<_> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        self.shuffle(&mut order);
        order
    }

    /// Brings `items` into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// A hash of texts, to tell whether two lists are the same; nobody tries to make two that are not look so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Digest([u64; 2]);

impl Digest {
    /// With one more text.
    pub(crate) fn with(self, text: &[u8]) -> Self {
        let words = text.chunks(8).map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        let mut halves = self.0;
        for word in words.chain([text.len() as u64]) {
            halves =
                [scramble(halves[0] ^ word).wrapping_add(STRIDE), scramble(halves[1].wrapping_add(word)) ^ halves[0]];
        }
        Self(halves)
    }

    pub(crate) fn hex(self) -> String {
        format!("{:016x}{:016x}", self.0[0], self.0[1])
    }
}

/// A bijection of 64-bit words in which every input bit moves every output bit (the finalizer
/// of SplitMix64, Steele et al. 2014).
fn scramble(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_domain_and_place() {
        let first = |seed, domain, place: &[u64]| Draws::new(seed, domain, place).bits();
        let reference = first(1, Domain::Crop, &[2, 3]);
        assert_eq!(reference, first(1, Domain::Crop, &[2, 3]));
        for other in [
            first(2, Domain::Crop, &[2, 3]),
            first(1, Domain::ShardOrder, &[2, 3]),
            first(1, Domain::Crop, &[3, 2]),
            first(1, Domain::Crop, &[2, 3, 0]),
        ] {
            assert_ne!(reference, other);
        }
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut draws = Draws::new(7, Domain::SampleOrder, &[]);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            counts[draws.below(10)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        let mean: f64 = (0..10_000).map(|_| draws.between(-1.0, 1.0)).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
    }

    #[test]
    fn a_permutation_has_every_number_once() {
        let mut order = Draws::new(7, Domain::ShardOrder, &[0]).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
