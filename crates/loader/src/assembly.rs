//! A batch that is being put together: one buffer, cut into the places of its samples, which come back filled in any order
//! and are joined again without copying.

use bytes::BytesMut;
use crossbeam_channel::Sender;
use shards::SampleKey;

use crate::batch::{Batch, Pixels};

/// The places of a batch.
pub(crate) struct Assembly {
    places: Vec<Option<BytesMut>>,
    /// Samples in their places, from the first on.
    keys: Vec<SampleKey>,
    input_ids: Vec<u32>,
}

impl Assembly {
    /// Cuts `buffer`, which is exactly as long as `samples` pictures of `picture_bytes` bytes.
    pub(crate) fn new(mut buffer: BytesMut, samples: usize, picture_bytes: usize, context_length: usize) -> Self {
        let places = (0..samples).map(|_| Some(buffer.split_to(picture_bytes))).collect();
        let (keys, input_ids) = (Vec::with_capacity(samples), Vec::with_capacity(samples * context_length));
        Self { places, keys, input_ids }
    }

    /// Lends a place.
    pub(crate) fn lend(&mut self, place: usize) -> Option<BytesMut> {
        self.places[place].take()
    }

    /// Takes a place back.
    pub(crate) fn give_back(&mut self, place: usize, pixels: BytesMut) {
        self.places[place] = Some(pixels);
    }

    /// How many samples are in their places.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether all are.
    pub(crate) fn is_full(&self) -> bool {
        self.keys.len() == self.places.len()
    }

    /// The next sample, whose pixels are in its place.
    pub(crate) fn push(&mut self, key: SampleKey, input_ids: &[u32]) {
        self.keys.push(key);
        self.input_ids.extend_from_slice(input_ids);
    }

    /// Copies pixels that were written elsewhere to the place of the next sample; false where that is lent.
    pub(crate) fn copy(&mut self, pixels: &[u8]) -> bool {
        let place = self.places[self.keys.len()].as_mut();
        place.is_some_and(|place| {
            place.copy_from_slice(pixels);
            true
        })
    }

    /// The batch; a place that is lent would leave a hole, and gives none.
    pub(crate) fn finish(self, epoch: u64, home: Sender<BytesMut>) -> Option<Batch> {
        let mut pixels = BytesMut::new();
        for place in self.places {
            pixels.unsplit(place?);
        }
        let (keys, input_ids) = (self.keys, self.input_ids);
        Some(Batch { epoch, keys, pixels: Pixels::new(pixels, home), input_ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    #[test]
    fn places_are_joined_where_they_were_cut() {
        let (home, returned) = unbounded();
        let mut buffer = BytesMut::zeroed(12);
        for turn in 0..3 {
            let address = buffer.as_ptr();
            let mut assembly = Assembly::new(buffer, 4, 3, 1);
            let mut lent: Vec<_> = (0..4).map(|place| assembly.lend(place).unwrap()).collect();
            for (value, place) in (0..4).rev().enumerate() {
                lent[place].fill(value as u8 + turn);
            }
            lent.into_iter().enumerate().rev().for_each(|(place, pixels)| assembly.give_back(place, pixels));
            (0..4).for_each(|i| assembly.push(SampleKey::new(i.to_string()), &[i]));
            assert!(assembly.is_full());
            let batch = assembly.finish(0, home.clone()).unwrap();
            let expected: Vec<u8> = [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0].map(|value| value + turn).to_vec();
            assert_eq!((&batch.pixels[..], &batch.input_ids[..]), (&expected[..], &[0, 1, 2, 3][..]));
            drop(batch);
            buffer = returned.recv().unwrap();
            assert_eq!((buffer.as_ptr(), buffer.len()), (address, 12), "the buffer is not used again");
        }
    }
}
