//! How the samples of a global batch are shared by ranks: by lanes, a fixed number of them for the life of a run.
//!
//! Sample `q` of the global stream belongs to lane `q mod lanes`, and lane `l` to rank `l mod world_size`. A global batch
//! is a run of consecutive samples, so it holds the same ones for any number of ranks that divides the lanes. Lanes do
//! not read for themselves: `streams` sequences of shards feed `lanes / streams` lanes each in turn, which bounds how many
//! shards are open.

use crate::split::Replica;

/// Shards that are read side by side, over all ranks, unless the settings say otherwise: enough to mix and to keep many
/// connections busy; 1, 2, 3, 4, 6, 8, 12 and 24 ranks share them without reading anything twice.
const STREAMS: usize = 24;

/// A stream with fewer shards than this in a pass would weigh more than its fellows, or share too many with them.
const SHARDS_PER_STREAM: usize = 4;

/// The two fixed numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// Lanes of the run.
    pub(crate) lanes: usize,
    /// Streams that feed them; divides the lanes.
    pub(crate) streams: usize,
}

impl Lanes {
    /// As many streams as `wanted`, or as are good for `shards` shards, rounded down to what divides the lanes.
    pub(crate) fn new(lanes: usize, wanted: Option<usize>, shards: usize) -> Self {
        let most = wanted.unwrap_or_else(|| STREAMS.min(shards / SHARDS_PER_STREAM)).clamp(1, lanes);
        let streams = (1..=most).rev().find(|streams| lanes.is_multiple_of(*streams)).unwrap_or(1);
        Self { lanes, streams }
    }

    /// The lane of sample `slot` of the global stream.
    pub(crate) fn of_slot(self, slot: u64) -> usize {
        (slot % self.lanes as u64) as usize
    }

    /// The stream that feeds `lane`.
    pub(crate) fn stream_of(self, lane: usize) -> usize {
        lane % self.streams
    }

    /// Lanes that one stream feeds.
    pub(crate) fn per_stream(self) -> u64 {
        (self.lanes / self.streams) as u64
    }

    /// The lane that takes candidate `index` of `stream`.
    pub(crate) fn of_candidate(self, stream: usize, index: u64) -> usize {
        stream + self.streams * (index % self.per_stream()) as usize
    }

    /// Which candidate of its lane is candidate `index` of a stream, from 0.
    pub(crate) fn turn_of_candidate(self, index: u64) -> u64 {
        index / self.per_stream()
    }

    /// The index within its stream of candidate `turn` of `lane`.
    pub(crate) fn candidate(self, lane: usize, turn: u64) -> u64 {
        turn * self.per_stream() + (lane / self.streams) as u64
    }

    /// Whether `replica` trains on the samples of `lane`.
    pub(crate) fn is_own(self, lane: usize, replica: Replica) -> bool {
        lane % replica.world_size == replica.rank
    }

    /// The first slot from `slot` on that is `replica`'s; the next one is a world size further.
    pub(crate) fn first_own(slot: u64, replica: Replica) -> u64 {
        let (rank, world_size) = (replica.rank as u64, replica.world_size as u64);
        slot + (rank + world_size - slot % world_size) % world_size
    }

    /// How many of the `count` slots from `first` on a stream serves: what its pass should have.
    #[cfg(test)]
    pub(crate) fn share(self, stream: usize, first: u64, count: u64) -> u64 {
        (first..first + count).filter(|slot| self.stream_of(self.of_slot(*slot)) == stream).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_divide_the_lanes_and_suit_the_shards() {
        let streams = |wanted, shards| Lanes::new(240, wanted, shards).streams;
        assert_eq!((streams(None, 1), streams(None, 7), streams(None, 30), streams(None, 41_000)), (1, 1, 6, 24));
        assert_eq!((streams(Some(16), 3), streams(Some(50), 3), streams(Some(9), 99)), (16, 48, 8));
    }

    #[test]
    fn a_stream_without_losses_fills_its_slots_in_order() {
        let lanes = Lanes { lanes: 12, streams: 3 };
        let mut next = [0; 3];
        for slot in 0..100 {
            let lane = lanes.of_slot(slot);
            let stream = lanes.stream_of(lane);
            assert_eq!(lanes.of_candidate(stream, next[stream]), lane);
            assert_eq!(lanes.candidate(lane, lanes.turn_of_candidate(next[stream])), next[stream]);
            next[stream] += 1;
        }
    }

    #[test]
    fn ranks_share_all_slots_from_any_start() {
        for (start, world_size) in [(0, 1), (7, 2), (10, 4), (5, 3)] {
            let mut slots: Vec<u64> = (0..world_size)
                .flat_map(|rank| {
                    let first = Lanes::first_own(start, Replica { rank, world_size });
                    (0..4).map(move |turn| first + turn * world_size as u64)
                })
                .collect();
            slots.sort_unstable();
            assert_eq!(slots, (start..start + 4 * world_size as u64).collect::<Vec<_>>());
        }
    }
}
