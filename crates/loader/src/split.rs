//! Who reads what: one order of shards, the same on all replicas, cut into parts that together
//! hold every sample once.

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

    /// Whether no sample from `index` on is in the share.
    pub(crate) fn ends_before(&self, index: u64) -> bool {
        matches!(self, Self::Range(range) if index >= range.end)
    }
}

/// The part of `replica` in a pass over the shards in `order`.
///
/// Where the sizes of all shards are known, the parts are equal to within one sample; two
/// replicas then share a shard where their parts meet. Otherwise whole shards are dealt out, or,
/// with fewer shards than replicas, the samples of each shard.
pub(crate) fn split(order: &[usize], sizes: Option<&[u64]>, replica: Replica) -> Vec<Portion> {
    let Replica { rank, world_size } = replica;
    if let Some(sizes) = sizes {
        return split_by_size(order, sizes, replica);
    }
    if order.len() >= world_size {
        let own = order.iter().skip(rank).step_by(world_size);
        return own.map(|shard| Portion { shard: *shard, share: Share::all() }).collect();
    }
    let share = Share::Every { remainder: rank as u64, modulus: world_size as u64 };
    order.iter().map(|shard| Portion { shard: *shard, share: share.clone() }).collect()
}

fn split_by_size(order: &[usize], sizes: &[u64], replica: Replica) -> Vec<Portion> {
    let total: u64 = order.iter().map(|shard| sizes[*shard]).sum();
    let border = |rank: usize| (u128::from(total) * rank as u128 / replica.world_size as u128) as u64;
    let own = border(replica.rank)..border(replica.rank + 1);
    let (mut portions, mut first) = (Vec::new(), 0);
    for shard in order {
        let size = sizes[*shard];
        let start = own.start.clamp(first, first + size) - first;
        let end = own.end.clamp(first, first + size) - first;
        first += size;
        if start < end {
            let end = if end == size { u64::MAX } else { end };
            portions.push(Portion { shard: *shard, share: Share::Range(start..end) });
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the replicas together read each sample, and how many each reads.
    fn read(order: &[usize], sizes: &[u64], known: bool, world_size: usize) -> (Vec<Vec<u32>>, Vec<u64>) {
        let mut times: Vec<_> = sizes.iter().map(|size| vec![0; *size as usize]).collect();
        let mut counts = vec![0; world_size];
        for (rank, count) in counts.iter_mut().enumerate() {
            for portion in split(order, known.then_some(sizes), Replica { rank, world_size }) {
                for index in (0..sizes[portion.shard]).filter(|index| portion.share.contains(*index)) {
                    times[portion.shard][index as usize] += 1;
                    *count += 1;
                }
            }
        }
        (times, counts)
    }

    #[test]
    fn replicas_together_read_every_sample_once() {
        let sizes = [5, 1, 0, 9, 4, 4, 13];
        let order = [3, 0, 6, 2, 5, 1, 4];
        for known in [true, false] {
            for world_size in [1, 2, 3, 5, 8, 40] {
                let (times, counts) = read(&order, &sizes, known, world_size);
                assert!(times.iter().flatten().all(|count| *count == 1), "{known} {world_size} {times:?}");
                if known {
                    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                    assert!(most - least <= 1, "{world_size} {counts:?}");
                }
            }
        }
    }

    #[test]
    fn a_range_up_to_the_known_size_takes_what_is_beyond() {
        let portions = split(&[0, 1], Some(&[4, 4]), Replica { rank: 0, world_size: 2 });
        assert_eq!(portions, [Portion { shard: 0, share: Share::all() }]);
        assert!(Share::Range(0..3).ends_before(3) && !Share::Range(0..3).ends_before(2));
    }
}
