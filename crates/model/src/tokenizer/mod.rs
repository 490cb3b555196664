//! Tokenizers: a caption becomes a fixed number of token ids. CLIP's own is here; those of transformers are in [`hf`].
//!
//! For CLIP's, this file owns the order of the stages (clean, split, merge, frame); what each stage does is in its own file.
//! The ids are those of OpenCLIP's `SimpleTokenizer`.

mod byte_pair;
pub mod clean;
mod entity;
pub mod hf;
mod repair;
mod sentencepiece;
mod word_cache;

use std::path::PathBuf;
use std::sync::OnceLock;

use regex::Regex;

use crate::config::TextConfig;
use crate::error::{Error, Result};
use byte_pair::BytePairs;
pub use hf::HfTokenizer;
use word_cache::WordCache;

/// Number of token ids.
pub const VOCAB_SIZE: usize = 49408;
/// The id that opens every text.
pub const START_OF_TEXT: u32 = 49406;
/// The id that closes every text, also a truncated one. It is the largest id, by which the text tower finds it.
pub const END_OF_TEXT: u32 = 49407;
/// The id that fills up to the context length.
pub const PAD: u32 = 0;

/// The two specials, English clitics, runs of letters, single digits, and runs of anything else.
const WORDS: &str = r"(?i)<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+";

/// The tokenizer of a model, whichever kind its text tower asks for.
#[derive(Debug)]
pub enum Tokenizer {
    /// CLIP's own.
    Clip(&'static ClipTokenizer),
    /// One of transformers.
    Hf(Box<HfTokenizer>),
}

impl Tokenizer {
    /// CLIP's own.
    ///
    /// # Errors
    /// As [`ClipTokenizer::new`].
    pub fn clip() -> Result<Self> {
        Ok(Self::Clip(ClipTokenizer::shared()?))
    }

    /// The tokenizer that a text tower's configuration names; one of transformers is looked for under its name as a path and
    /// within `roots`.
    ///
    /// # Errors
    /// When its files are nowhere, or damaged, and when it has more ids than the tower.
    pub fn of(text: &TextConfig, roots: &[PathBuf]) -> Result<Self> {
        let (ids, rows) = match text.hf_tokenizer_name.as_deref().or(text.hf_model_name.as_deref()) {
            None => (VOCAB_SIZE, Self::clip()?),
            Some(name) => {
                let beside = text.tokenizer_folder.0.clone();
                let folder = beside.or_else(|| hf::find(name, roots)).ok_or_else(|| Error::Tokenizer {
                    reason: format!("tokenizer `{name}`: no folder of that name with its files"),
                })?;
                let tokenizer = HfTokenizer::from_folder(&folder)?;
                (tokenizer.vocab_size(), Self::Hf(Box::new(tokenizer)))
            }
        };
        let room = text.token_ids()?;
        if room < ids {
            let reason = format!("the tokenizer has {ids} token ids, the text tower only {room}");
            return Err(Error::Tokenizer { reason });
        }
        Ok(rows)
    }

    /// Token ids of `text`, exactly `context_length` of them; a text that is too long is cut and still closed.
    pub fn encode(&self, text: &str, context_length: usize) -> Vec<u32> {
        match self {
            Self::Clip(tokenizer) => tokenizer.encode(text, context_length),
            Self::Hf(tokenizer) => tokenizer.encode(text, context_length),
        }
    }

    /// The text that ids stand for, as the model knows it: cleaned, cut, with spaces between words.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            // Padding is the id of an exclamation mark.
            Self::Clip(tokenizer) => {
                tokenizer.pairs.decode(ids.split(|id| *id == END_OF_TEXT).next().unwrap_or_default())
            }
            Self::Hf(tokenizer) => tokenizer.decode(ids),
        }
    }
}

/// Turns text into CLIP token ids. Share one among threads: `encode` takes `&self`.
#[derive(Debug)]
pub struct ClipTokenizer {
    words: Regex,
    pairs: BytePairs,
    cache: WordCache,
}

impl ClipTokenizer {
    /// Builds the tokenizer from the merges within this library (about 50 ms).
    ///
    /// # Errors
    /// When the merges within this library are damaged.
    pub fn new() -> Result<Self> {
        let words = Regex::new(WORDS).map_err(|source| Error::Tokenizer { reason: source.to_string() })?;
        Ok(Self { words, pairs: BytePairs::embedded()?, cache: WordCache::default() })
    }

    /// The tokenizer of the whole process, built at the first call.
    ///
    /// # Errors
    /// As [`ClipTokenizer::new`].
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<ClipTokenizer> = OnceLock::new();
        if let Some(tokenizer) = SHARED.get() {
            return Ok(tokenizer);
        }
        let tokenizer = Self::new()?;
        Ok(SHARED.get_or_init(|| tokenizer))
    }

    /// Token ids of `text`, exactly `context_length` of them: start, the text's tokens, end, padding. A text that is too
    /// long is cut and its last id is [`END_OF_TEXT`].
    pub fn encode(&self, text: &str, context_length: usize) -> Vec<u32> {
        let mut ids = Vec::with_capacity(context_length.max(1) + 16);
        ids.push(START_OF_TEXT);
        self.push_words(&clean::clean(text), context_length, &mut ids);
        ids.push(END_OF_TEXT);
        frame(ids, context_length)
    }

    /// Appends the tokens of cleaned text, and stops once there are more than `enough` ids.
    fn push_words(&self, cleaned: &str, enough: usize, ids: &mut Vec<u32>) {
        for word in self.words.find_iter(cleaned) {
            if ids.len() > enough {
                return;
            }
            match special(word.as_str()) {
                Some(id) => ids.push(id),
                None => self.cache.append(word.as_str(), ids, |word| self.pairs.encode(word)),
            }
        }
    }
}

/// The id of a special that is spelled out in the text.
fn special(word: &str) -> Option<u32> {
    match word {
        "<start_of_text>" => Some(START_OF_TEXT),
        "<end_of_text>" => Some(END_OF_TEXT),
        _ => None,
    }
}

/// Cuts or pads to the context length.
fn frame(mut ids: Vec<u32>, context_length: usize) -> Vec<u32> {
    let cut = ids.len() > context_length;
    ids.resize(context_length, PAD);
    if let (true, Some(last)) = (cut, ids.last_mut()) {
        *last = END_OF_TEXT;
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str, context_length: usize) -> Vec<u32> {
        ClipTokenizer::shared().expect("the embedded merges are whole").encode(text, context_length)
    }

    #[test]
    fn caption_is_framed_and_padded() {
        assert_eq!(ids("A Photo  of\na cat", 9), [49406, 320, 1125, 539, 320, 2368, 49407, 0, 0]);
    }

    #[test]
    fn truncated_caption_ends_with_end_of_text() {
        assert_eq!(ids("a photo of a cat", 4), [49406, 320, 1125, 49407]);
        assert_eq!(ids("a photo", 4), [49406, 320, 1125, 49407]);
    }

    #[test]
    fn shortest_contexts_do_not_fail() {
        assert_eq!(ids("a", 0), [0u32; 0]);
        assert_eq!(ids("a", 1), [END_OF_TEXT]);
        assert_eq!(ids("", 2), [START_OF_TEXT, END_OF_TEXT]);
    }

    #[test]
    fn ids_are_text_again() {
        let text = |text: &str| Tokenizer::clip().unwrap().decode(&ids(text, 12));
        assert_eq!(text("A Photo  of\na caf\u{e9}!"), "a photo of a caf\u{e9} !");
        assert_eq!((text(""), text("one two")), (String::new(), "one two".to_owned()));
    }

    #[test]
    fn specials_in_the_text_become_their_ids() {
        assert_eq!(ids("<START_OF_TEXT> a <end_of_text>", 6), [49406, 49406, 320, 49407, 49407, 0]);
    }

    #[test]
    fn digits_are_single_words_and_clitics_are_split() {
        assert_eq!(ids("12", 5), ids("1 2", 5));
        assert_eq!(ids("it's", 5), ids("it 's", 5));
    }

    #[test]
    fn threads_share_one_tokenizer() {
        let expected = ids("many threads, one vocabulary", 16);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(ids("many threads, one vocabulary", 16), expected));
            }
        });
    }

    #[test]
    fn hostile_lengths_are_encoded() {
        for text in ["a".repeat(200_000), "字".repeat(50_000), "Ã¶ ".repeat(20_000), "&".repeat(100_000)] {
            assert_eq!(ids(&text, 77)[76], END_OF_TEXT);
        }
    }
}
