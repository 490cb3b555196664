//! Mixes a stream through a buffer: each output is a random one of those held back.

use crate::error::Result;
use crate::seed::Draws;

/// Emission begins with a part of the buffer filled, so that the first batch need not wait for
/// all of it; from then on two come in for each that goes out, until the buffer is full.
const INITIAL_SHARE: usize = 5;

/// A stream in mixed order. Errors overtake what is held back.
pub(crate) struct Shuffle<I, T> {
    source: Option<I>,
    held: Vec<T>,
    capacity: usize,
    draws: Draws,
}

impl<I: Iterator<Item = Result<T>>, T> Shuffle<I, T> {
    pub(crate) fn new(source: I, capacity: usize, draws: Draws) -> Self {
        Self { source: Some(source), held: Vec::new(), capacity: capacity.max(1), draws }
    }

    /// Takes in until `wanted` are held or the source ends.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        while self.held.len() < wanted {
            match self.source.as_mut().and_then(Iterator::next) {
                Some(Ok(sample)) => self.held.push(sample),
                Some(Err(error)) => return Err(error),
                None => {
                    self.source = None;
                    break;
                }
            }
        }
        Ok(())
    }
}

impl<I: Iterator<Item = Result<T>>, T> Iterator for Shuffle<I, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let initial = self.capacity.div_ceil(INITIAL_SHARE);
        let wanted = (self.held.len() + 2).clamp(initial, self.capacity);
        if let Err(error) = self.fill(wanted) {
            return Some(Err(error));
        }
        if self.held.is_empty() {
            return None;
        }
        let chosen = self.draws.below(self.held.len());
        Some(Ok(self.held.swap_remove(chosen)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Domain;

    fn shuffled(count: u32, capacity: usize, seed: u64) -> Vec<u32> {
        let draws = Draws::new(seed, Domain::SampleOrder, &[]);
        Shuffle::new((0..count).map(Ok), capacity, draws).map(|number| number.unwrap()).collect()
    }

    #[test]
    fn everything_comes_out_once_in_an_order_that_the_seed_decides() {
        let order = shuffled(1000, 100, 1);
        assert_eq!(order, shuffled(1000, 100, 1));
        assert_ne!(order, shuffled(1000, 100, 2));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert!(
            order.iter().zip(0i64..).filter(|(number, place)| (i64::from(**number) - place).abs() > 20).count() > 300
        );
    }

    #[test]
    fn without_a_buffer_the_order_stays() {
        for capacity in [0, 1] {
            assert_eq!(shuffled(50, capacity, 1), (0..50).collect::<Vec<_>>());
        }
        assert!(shuffled(0, 10, 1).is_empty());
    }
}
