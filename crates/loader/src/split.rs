//! Who reads what in a pass: one order of shards, cut into parts that together hold every sample once.

use std::ops::Range;

/// One of the processes that train together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Which one, from 0.
    pub rank: usize,
    /// How many there are.
    pub world_size: usize,
}

impl Replica {
    /// The only one.
    pub fn single() -> Self {
        Self { rank: 0, world_size: 1 }
    }
}

/// Samples of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    /// Index into the list of shards.
    pub(crate) shard: usize,
    pub(crate) share: Share,
}

/// Which samples of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Those whose index is in the range; a range that reaches the shard's known size has no
    /// end, in case that there are more.
    Range(Range<u64>),
    /// Those whose index leaves this remainder.
    Every { remainder: u64, modulus: u64 },
}

impl Share {
    pub(crate) fn all() -> Self {
        Self::Range(0..u64::MAX)
    }

    pub(crate) fn contains(&self, index: u64) -> bool {
        match self {
            Self::Range(range) => range.contains(&index),
            Self::Every { remainder, modulus } => index % modulus == *remainder,
        }
    }

    /// The first index that is in the share.
    pub(crate) fn start(&self) -> u64 {
        match self {
            Self::Range(range) => range.start,
            Self::Every { remainder, .. } => *remainder,
        }
    }

    /// Whether no sample from `index` on is in the share.
    pub(crate) fn ends_before(&self, index: u64) -> bool {
        matches!(self, Self::Range(range) if index >= range.end)
    }
}

/// Part `part` of `parts` of a pass over the shards in `order`.
///
/// Where the sizes of all shards are known, parts are consecutive and equal, but for one sample more in the first ones;
/// two of them share a shard where they meet. Otherwise whole shards are dealt out as far as that goes evenly, and the
/// samples of the rest of them.
pub(crate) fn split(order: &[u32], sizes: Option<&[u64]>, part: usize, parts: usize) -> Vec<Portion> {
    if let Some(sizes) = sizes {
        let total = order.iter().map(|shard| sizes[*shard as usize]).sum();
        return split_by_size(order, sizes, bounds(total, part as u64, parts as u64));
    }
    let (dealt, shared) = order.split_at(order.len() - order.len() % parts);
    let own = dealt.iter().skip(part).step_by(parts).map(|shard| (*shard, Share::all()));
    let every = Share::Every { remainder: part as u64, modulus: parts as u64 };
    let own = own.chain(shared.iter().map(|shard| (*shard, every.clone())));
    own.map(|(shard, share)| Portion { shard: shard as usize, share }).collect()
}

/// The numbers from 0 to `total` that part `part` of `parts` has.
pub(crate) fn bounds(total: u64, part: u64, parts: u64) -> Range<u64> {
    let border = |part: u64| part * (total / parts) + part.min(total % parts);
    border(part)..border(part + 1)
}

fn split_by_size(order: &[u32], sizes: &[u64], own: Range<u64>) -> Vec<Portion> {
    let (mut portions, mut first) = (Vec::new(), 0);
    for shard in order.iter().map(|shard| *shard as usize) {
        let size = sizes[shard];
        let start = own.start.clamp(first, first + size) - first;
        let end = own.end.clamp(first, first + size) - first;
        first += size;
        if start < end {
            let end = if end == size { u64::MAX } else { end };
            portions.push(Portion { shard, share: Share::Range(start..end) });
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Domain, Draws};

    /// How often the parts together have each sample, and how many each has.
    fn read(order: &[u32], sizes: &[u64], known: bool, parts: usize) -> (Vec<Vec<u32>>, Vec<u64>) {
        let mut times: Vec<_> = sizes.iter().map(|size| vec![0; *size as usize]).collect();
        let mut counts = vec![0; parts];
        for (part, count) in counts.iter_mut().enumerate() {
            for portion in split(order, known.then_some(sizes), part, parts) {
                for index in (0..sizes[portion.shard]).filter(|index| portion.share.contains(*index)) {
                    times[portion.shard][index as usize] += 1;
                    *count += 1;
                }
            }
        }
        (times, counts)
    }

    #[test]
    fn parts_together_have_every_sample_once() {
        let sizes = [5, 1, 0, 9, 4, 4, 13];
        let order = [3, 0, 6, 2, 5, 1, 4];
        for known in [true, false] {
            for parts in [1, 2, 3, 5, 8, 40] {
                let (times, counts) = read(&order, &sizes, known, parts);
                assert!(times.iter().flatten().all(|count| *count == 1), "{known} {parts} {times:?}");
                if known {
                    assert!(counts.is_sorted_by(|a, b| a >= b) && counts[0] - counts[parts - 1] <= 1, "{counts:?}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_parts_together_have_every_sample_once(
            sizes in proptest::collection::vec(0u64..20, 1..12),
            parts in 1usize..50,
            known: bool,
            seed: u64,
        ) {
            let order = Draws::new(seed, Domain::ShardOrder, &[]).permutation(sizes.len());
            let (times, counts) = read(&order, &sizes, known, parts);
            proptest::prop_assert!(times.iter().flatten().all(|count| *count == 1), "{:?}", times);
            if known {
                proptest::prop_assert!(counts.iter().max().zip(counts.iter().min()).is_some_and(|(a, b)| a - b <= 1));
            }
        }
    }

    #[test]
    fn a_range_up_to_the_known_size_takes_what_is_beyond() {
        let portions = split(&[0, 1], Some(&[4, 4]), 0, 2);
        assert_eq!(portions, [Portion { shard: 0, share: Share::all() }]);
        assert!(Share::Range(0..3).ends_before(3) && !Share::Range(0..3).ends_before(2));
    }
}
