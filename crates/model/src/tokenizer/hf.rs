//! Tokenizers of transformers: `tokenizer.json`, or RoBERTa's `vocab.json` and `merges.txt`, or XLM-RoBERTa's
//! `sentencepiece.bpe.model`. Owns the framing of texts; splitting and merging are those of the `tokenizers` crate.

use std::path::{Path, PathBuf};

use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{Precompiled, Replace, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer};

use super::{clean, sentencepiece};
use crate::error::{Error, Result};

/// What a folder may hold, in the order of preference.
const WHOLE: &str = "tokenizer.json";
const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const PIECES: &str = "sentencepiece.bpe.model";

/// All of them.
pub(crate) const FILES: [&str; 4] = [WHOLE, VOCAB, MERGES, PIECES];

/// A tokenizer of transformers, as open_clip calls it.
#[derive(Debug)]
pub struct HfTokenizer {
    tokenizer: Tokenizer,
    /// Ids before and behind every text.
    opening: Vec<u32>,
    closing: Vec<u32>,
    pad: u32,
}

impl HfTokenizer {
    /// Reads the tokenizer of a folder.
    ///
    /// # Errors
    /// When the folder has none of the files, or one is damaged.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let tokenizer = if let Some(path) = file(WHOLE) {
            Tokenizer::from_file(&path).map_err(|reason| unusable(&path, &reason.to_string()))?
        } else if let (Some(vocab), Some(merges)) = (file(VOCAB), file(MERGES)) {
            byte_level(&vocab, &merges)?
        } else if let Some(path) = file(PIECES) {
            unigram(&path)?
        } else {
            let expected = format!("expected {WHOLE}, or {VOCAB} and {MERGES}, or {PIECES}");
            return Err(unusable(folder, &expected));
        };
        Self::framed(tokenizer).map_err(|reason| unusable(folder, &reason))
    }

    /// Asks the tokenizer what it puts around an empty text.
    fn framed(mut tokenizer: Tokenizer) -> std::result::Result<Self, String> {
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        let around = tokenizer.encode_fast("", true).map_err(|error| error.to_string())?;
        let (opening, closing) = match around.get_ids() {
            [opening, closing] => (vec![*opening], vec![*closing]),
            [closing] => (Vec::new(), vec![*closing]),
            [] => (Vec::new(), Vec::new()),
            other => return Err(format!("expected at most two ids around a text, got {other:?}")),
        };
        // A vocabulary without an id for what it does not know would fail in the middle of a data set.
        tokenizer.encode_fast("\u{10fffd}", false).map_err(|error| error.to_string())?;
        let pad = ["<pad>", "[PAD]"].iter().find_map(|token| tokenizer.token_to_id(token));
        Ok(Self { pad: pad.ok_or("no token `<pad>` or `[PAD]`")?, tokenizer, opening, closing })
    }

    /// Token ids of `text`, exactly `context_length` of them; a text that is too long is cut and still closed.
    pub fn encode(&self, text: &str, context_length: usize) -> Vec<u32> {
        let cleaned = clean::clean_keeping_case(text);
        // What it does not know has an id, as was tried when it was read: nothing can fail.
        let inner = self.tokenizer.encode_fast(cleaned, false).map(|encoding| encoding.get_ids().to_vec());
        let room = context_length.saturating_sub(self.opening.len() + self.closing.len());
        let mut ids = self.opening.clone();
        ids.extend(inner.unwrap_or_default().into_iter().take(room));
        ids.extend(&self.closing);
        ids.resize(context_length, self.pad);
        ids
    }

    /// The text of ids, without special ones.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, true).unwrap_or_default()
    }

    /// Number of token ids, those of added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Tokenizer { reason: format!("tokenizer `{}`: {reason}", path.display()) }
}

/// RoBERTa: byte-level byte pairs between `<s>` and `</s>`.
fn byte_level(vocab: &Path, merges: &Path) -> Result<Tokenizer> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| unusable(path, "its path is not Unicode"));
    let bpe = BPE::from_file(&text(vocab)?, &text(merges)?).build();
    let mut tokenizer = Tokenizer::new(bpe.map_err(|reason| unusable(vocab, &reason.to_string()))?);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)));
    add_specials(&mut tokenizer, vocab)
}

/// XLM-RoBERTa: pieces of sentencepiece behind four specials, of which its own three are left out.
fn unigram(path: &Path) -> Result<Tokenizer> {
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    let model = sentencepiece::read(&bytes).map_err(|reason| unusable(path, &reason))?;
    let specials = ["<s>", "<pad>", "</s>", "<unk>"].map(|token| (token.to_owned(), 0.0));
    let mask = ("<mask>".to_owned(), 0.0);
    let vocab: Vec<_> = specials.into_iter().chain(model.pieces.into_iter().skip(3)).chain([mask]).collect();
    let unigram = Unigram::from(vocab, Some(3), false).map_err(|reason| unusable(path, &reason.to_string()))?;
    let mut tokenizer = Tokenizer::new(unigram);
    let failed = |reason: String| unusable(path, &reason);
    let spaces = Replace::new(tokenizers::normalizers::replace::ReplacePattern::Regex(" {2,}".to_owned()), " ");
    let mut steps = vec![NormalizerWrapper::Replace(spaces.map_err(|reason| failed(reason.to_string()))?)];
    if !model.charsmap.is_empty() {
        let table = Precompiled::from(&model.charsmap).map_err(|reason| failed(format!("{reason:?}")))?;
        steps.insert(0, NormalizerWrapper::Precompiled(table));
    }
    tokenizer.with_normalizer(Some(Sequence::new(steps))).map_err(|reason| failed(reason.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::Always, true)));
    add_specials(&mut tokenizer, path)
}

/// Makes `<s>`, `</s>` and their like tokens of their own, and frames texts with them.
fn add_specials(tokenizer: &mut Tokenizer, path: &Path) -> Result<Tokenizer> {
    let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| unusable(path, &format!("no token `{token}`")));
    let frame = RobertaProcessing::new(("</s>".to_owned(), id("</s>")?), ("<s>".to_owned(), id("<s>")?));
    let specials = ["<s>", "</s>", "<unk>", "<pad>"].map(|token| AddedToken::from(token, true));
    let mask = AddedToken::from("<mask>", true).lstrip(true);
    tokenizer.add_special_tokens(specials.into_iter().chain([mask])).map_err(|e| unusable(path, &e.to_string()))?;
    tokenizer.with_post_processor(Some(frame));
    Ok(tokenizer.clone())
}

/// Where the tokenizer of a name is: the folder itself, or the first of `roots` that has it.
pub fn find(name: &str, roots: &[PathBuf]) -> Option<PathBuf> {
    let candidates = std::iter::once(PathBuf::from(name)).chain(roots.iter().map(|root| root.join(name)));
    candidates.into_iter().find(|folder| [WHOLE, VOCAB, PIECES].iter().any(|file| folder.join(file).is_file()))
}

#[cfg(test)]
mod tests {
    use super::HfTokenizer;
    use crate::tokenizer::sentencepiece::written;

    #[test]
    fn pieces_of_sentencepiece_become_ids_behind_the_specials() {
        let folder = tempfile::tempdir().unwrap();
        let pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁a", -1.0), ("▁cat", -2.0), ("s", -3.0)];
        std::fs::write(folder.path().join("sentencepiece.bpe.model"), written(&pieces)).unwrap();
        let tokenizer = HfTokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("a  cats", 8), [0, 4, 5, 6, 2, 1, 1, 1]);
        assert_eq!(tokenizer.encode("a cats", 4), [0, 4, 5, 2]);
        assert_eq!(tokenizer.vocab_size(), 8);
    }

    #[test]
    fn folder_without_a_tokenizer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = HfTokenizer::from_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("expected tokenizer.json, or vocab.json and merges.txt"), "{message}");
    }
}
