//! Token ids of words already met, shared by all threads and bounded. Captions follow Zipf's law: the words met first
//! are the frequent ones, so a full shelf stops taking words instead of throwing some out.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

/// Shelves lock apart from each other, so that threads seldom meet.
const SHELVES: usize = 16;
/// Words a shelf holds: 16 shelves of 8,192 words with their ids are about 12 MB.
const WORDS_A_SHELF: usize = 8192;
/// Longer words are rarely met twice.
const LONGEST_WORD: usize = 64;

type Shelf = RwLock<HashMap<Box<str>, Box<[u32]>>>;

/// The bounded store.
#[derive(Debug, Default)]
pub(super) struct WordCache {
    hasher: RandomState,
    shelves: [Shelf; SHELVES],
}

impl WordCache {
    /// Appends the ids of `word` to `ids`, with `encode` where the word is new.
    pub(super) fn append(&self, word: &str, ids: &mut Vec<u32>, encode: impl FnOnce(&str) -> Vec<u32>) {
        if word.len() > LONGEST_WORD {
            return ids.extend(encode(word));
        }
        let shelf = &self.shelves[self.hasher.hash_one(word) as usize % SHELVES];
        // A thread that panicked while holding the lock leaves a whole map: inserts do not stop half-way.
        if let Some(known) = shelf.read().unwrap_or_else(PoisonError::into_inner).get(word) {
            return ids.extend_from_slice(known);
        }
        let encoded = encode(word);
        ids.extend_from_slice(&encoded);
        let mut words = shelf.write().unwrap_or_else(PoisonError::into_inner);
        if words.len() < WORDS_A_SHELF {
            words.insert(word.into(), encoded.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_word_is_not_encoded_again() {
        let cache = WordCache::default();
        let mut ids = Vec::new();
        cache.append("cat", &mut ids, |_| vec![1, 2]);
        cache.append("cat", &mut ids, |_| vec![9]);
        assert_eq!(ids, [1, 2, 1, 2]);
    }

    #[test]
    fn store_stays_bounded() {
        let cache = WordCache::default();
        let mut ids = Vec::new();
        for number in 0..SHELVES * WORDS_A_SHELF * 2 {
            cache.append(&number.to_string(), &mut ids, |_| Vec::new());
        }
        let held: usize = cache.shelves.iter().map(|shelf| shelf.read().unwrap().len()).sum();
        assert!(held <= SHELVES * WORDS_A_SHELF, "{held} words held");
    }
}
