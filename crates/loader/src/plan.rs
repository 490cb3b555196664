//! Which shards a stream visits, in which order: a pure function of the seed, the pass and the stream.

use std::sync::Arc;

use crate::config::Sampling;
use crate::lanes::Lanes;
use crate::seed::{Domain, Draws};
use crate::split::{Portion, Share, bounds, split};

/// The part of an order that is the same for all streams of all ranks.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) sampling: Sampling,
    pub(crate) lanes: Lanes,
    /// How many shards, or rows of a table, there are.
    pub(crate) count: usize,
    /// Samples of each shard, where all are known.
    pub(crate) sizes: Option<Arc<[u64]>>,
    /// Whether shards come while they are read: the first pass takes them in the order in which they come.
    pub(crate) arriving: bool,
    /// Sums of the shards' weights, where they are drawn by weight.
    pub(crate) cumulative_weights: Option<Arc<[f64]>>,
}

/// One shard to be read, and what the draws of its samples depend on.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) portion: Portion,
    pub(crate) place: [u64; 4],
}

/// A pass of an epoch. Where order does not depend on epochs, all passes are of epoch 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) epoch: u64,
    pub(crate) pass: u64,
}

impl Plan {
    /// The shards that `stream` visits in a pass, in order.
    pub(crate) fn visits(&self, at: Pass, stream: usize) -> Vec<Visit> {
        match self.sampling {
            Sampling::Once | Sampling::Epochless => self.permuted(at, stream),
            Sampling::Resampled => self.drawn(at, stream),
        }
    }

    /// The rows of a table that `stream` takes in a pass, in order.
    pub(crate) fn rows(&self, at: Pass, stream: usize) -> Vec<u32> {
        let part = self.part(at, stream, self.count as u64);
        let own = bounds(self.count as u64, part, self.lanes.streams as u64);
        self.order(at)[own.start as usize..own.end as usize].to_vec()
    }

    fn order(&self, at: Pass) -> Vec<u32> {
        if self.arriving && at == (Pass { epoch: 0, pass: 0 }) {
            return (0..self.count as u32).collect();
        }
        Draws::new(self.seed, Domain::ShardOrder, &[at.epoch, at.pass]).permutation(self.count)
    }

    fn permuted(&self, at: Pass, stream: usize) -> Vec<Visit> {
        let total = self.sizes.as_deref().map_or(0, |sizes| sizes.iter().sum());
        let part = self.part(at, stream, total) as usize;
        let portions = split(&self.order(at), self.sizes.as_deref(), part, self.lanes.streams);
        let visit = |portion: Portion| Visit { place: [at.epoch, at.pass, portion.shard as u64, 0], portion };
        portions.into_iter().map(visit).collect()
    }

    /// Which part of the pass is the stream's. Where passes follow one another without end, a pass begins at whatever
    /// stream the one before it ended with, so that each takes just the slots that the pass has for it.
    fn part(&self, at: Pass, stream: usize, total: u64) -> u64 {
        let streams = self.lanes.streams as u64;
        let start = (u128::from(at.pass) * u128::from(total) % u128::from(streams)) as u64;
        (stream as u64 + streams - start) % streams
    }

    /// With replacement: as many draws in a pass as make one of all streams, each stream for itself.
    fn drawn(&self, at: Pass, stream: usize) -> Vec<Visit> {
        let mut draws = Draws::new(self.seed, Domain::ShardDraw, &[at.epoch, at.pass, stream as u64]);
        let visit = |turn| {
            let portion = Portion { shard: self.draw(&mut draws), share: Share::all() };
            Visit { portion, place: [at.epoch, at.pass, turn, 1 + stream as u64] }
        };
        (0..self.count.div_ceil(self.lanes.streams) as u64).map(visit).collect()
    }

    fn draw(&self, draws: &mut Draws) -> usize {
        let Some(sums) = &self.cumulative_weights else { return draws.below(self.count) };
        let target = draws.unit() * sums.last().copied().unwrap_or(0.0);
        sums.partition_point(|sum| *sum <= target).min(self.count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sampling: Sampling, streams: usize, count: usize) -> Plan {
        let lanes = Lanes { lanes: 240, streams };
        Plan { seed: 7, sampling, lanes, count, sizes: None, arriving: false, cumulative_weights: None }
    }

    fn pass(pass: u64) -> Pass {
        Pass { epoch: 0, pass }
    }

    /// open_clip's own acceptance: of 10,000 draws, those of a source are within a fifth of its weight.
    #[test]
    fn draws_follow_the_weights_of_sources() {
        for (weights, expected) in [([1.0, 1.0], 0.5), ([1.0, 2.0], 2.0 / 3.0)] {
            let mut plan = plan(Sampling::Resampled, 1, 20);
            let sums = (0..20).scan(0.0, |sum, shard| {
                *sum += weights[usize::from(shard >= 10)];
                Some(*sum)
            });
            plan.cumulative_weights = Some(sums.collect());
            let shards: Vec<_> = (0..500).flat_map(|p| plan.visits(pass(p), 0)).map(|v| v.portion.shard).collect();
            assert_eq!(shards.len(), 10_000);
            let share = shards.iter().filter(|shard| **shard >= 10).count() as f64 / 10_000.0;
            assert!((share / expected - 1.0).abs() < 0.2, "{weights:?}: {share}");
            assert!((0..20).all(|shard| shards.contains(&shard)));
        }
    }

    #[test]
    fn streams_take_the_slots_that_a_pass_has_for_them() {
        let mut plan = plan(Sampling::Epochless, 5, 4);
        let sizes = [7, 3, 9, 4];
        plan.sizes = Some(sizes.into());
        for p in 0..7 {
            for stream in 0..5 {
                let size = |visit: &Visit| {
                    (0..sizes[visit.portion.shard]).filter(|i| visit.portion.share.contains(*i)).count() as u64
                };
                let own: u64 = plan.visits(pass(p), stream).iter().map(size).sum();
                assert_eq!(own, plan.lanes.share(stream, p * 23, 23), "pass {p}, stream {stream}");
            }
        }
    }

    #[test]
    fn shards_that_come_are_read_as_they_come_and_then_in_any_order() {
        let plan = Plan { arriving: true, ..plan(Sampling::Once, 1, 9) };
        let shards = |at| plan.visits(at, 0).into_iter().map(|visit| visit.portion.shard).collect::<Vec<_>>();
        assert_eq!(shards(pass(0)), (0..9).collect::<Vec<_>>());
        assert_ne!(shards(pass(1)), shards(pass(0)));
        assert_ne!(shards(Pass { epoch: 1, pass: 0 }), shards(pass(0)));
    }

    #[test]
    fn rows_are_each_in_one_stream() {
        let plan = plan(Sampling::Once, 6, 100);
        let mut rows: Vec<_> = (0..6).flat_map(|stream| plan.rows(pass(3), stream)).collect();
        assert_ne!(rows[..20], plan.rows(pass(4), 0)[..16]);
        rows.sort_unstable();
        assert_eq!(rows, (0..100).collect::<Vec<_>>());
    }
}
