//! Weights that others trained: open_clip's tags, repositories on the Hugging Face hub, and files.
//!
//! Downloads lie in the hub's own cache, in the layout that Python's huggingface_hub uses, so that neither fetches what the
//! other has. The client is the one HTTP stack of the tree; a hub library would bring a second one with its own TLS.

mod cache;
mod hub;
mod tags;

use std::path::{Path, PathBuf};

use model::config::{ClipConfig, ModelConfig, PreprocessConfig};
use model::weights::{CONFIG_FILE, MODEL_FILES};

pub use hub::{Hub, HubConfig, Progress};
pub use tags::{TAGS, Tag, tags_of};

use crate::error::{Error, Result};

/// What is written before the name of a repository.
const HUB: &str = "hf-hub:";
/// What open_clip writes before the name of a folder.
const LOCAL: &str = "local-dir:";
/// Files that a tokenizer of transformers may consist of; either the first or all others.
const TOKENIZER_FILES: [&str; 4] = ["tokenizer.json", "vocab.json", "merges.txt", "sentencepiece.bpe.model"];

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder or file.
    Path(PathBuf),
    /// A repository on the hub, with a configuration of its own.
    Repository(String),
    /// A tag of open_clip.
    Tag(String),
}

/// Whether the name of a model is one of weights, which say themselves what they are of: `hf-hub:…`, `local-dir:…`.
pub fn is_of_weights(model: &str) -> bool {
    model.starts_with(HUB) || model.starts_with(LOCAL)
}

impl Source {
    /// Reads `TAG|PATH|hf-hub:ORG/NAME`; what exists as a path is one, and so is what open_clip calls `local-dir:PATH`.
    pub fn parse(text: &str) -> Self {
        if let Some(path) = text.strip_prefix(LOCAL) {
            return Self::Path(PathBuf::from(path));
        }
        if let Some(repository) = text.strip_prefix(HUB) {
            return Self::Repository(repository.trim_end_matches('/').to_owned());
        }
        let path = Path::new(text);
        let is_path = path.exists() || text.contains(['/', '\\']) || path.extension().is_some();
        if is_path { Self::Path(path.to_owned()) } else { Self::Tag(text.to_owned()) }
    }
}

/// Weights on this machine, and the model that they are of.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The file.
    pub file: PathBuf,
    /// The model, with the preparation of pictures that the weights were trained with.
    pub config: ModelConfig,
}

/// The weights of a tag for a model, fetched where they are not here yet.
///
/// # Errors
/// For a tag that the model has not, for one that was trained with another activation, and when the download fails.
pub fn of_tag(name: &str, config: &ClipConfig, tag: &str, hub: &Hub) -> Result<Weights> {
    let found = tags::find(name, tag)?;
    found.check_activation(name, config)?;
    let preprocess_cfg = PreprocessConfig {
        mean: found.mean,
        std: found.std,
        resize_mode: found.resize_mode,
        ..PreprocessConfig::default()
    };
    let file = hub.first_of(found.repository, &MODEL_FILES)?;
    Ok(Weights { file, config: ModelConfig { model_cfg: config.clone(), preprocess_cfg } })
}

/// The weights and configuration of a repository, fetched where they are not here yet.
///
/// # Errors
/// When the repository has not both, and when the download fails.
pub fn of_repository(repository: &str, hub: &Hub) -> Result<Weights> {
    let config = ModelConfig::read(&hub.file(repository, CONFIG_FILE)?)?;
    Ok(Weights { file: hub.first_of(repository, &MODEL_FILES)?, config })
}

/// The folder with the files of a tokenizer of transformers, fetched where they are not here yet.
///
/// # Errors
/// When the repository has no tokenizer that is known, and when the download fails.
pub fn tokenizer_folder(repository: &str, hub: &Hub) -> Result<PathBuf> {
    let whole = hub.file(repository, TOKENIZER_FILES[0]);
    let file = match whole {
        Err(Error::NoSuchFile { .. }) => match hub.file(repository, TOKENIZER_FILES[3]) {
            Err(Error::NoSuchFile { .. }) => {
                hub.file(repository, TOKENIZER_FILES[2])?;
                hub.file(repository, TOKENIZER_FILES[1])?
            }
            other => other?,
        },
        other => other?,
    };
    Ok(file.parent().map(Path::to_owned).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn what_is_no_path_and_no_repository_is_a_tag() {
        assert_eq!(Source::parse("laion2b_s34b_b79k"), Source::Tag("laion2b_s34b_b79k".into()));
        assert_eq!(Source::parse("hf-hub:laion/CLIP-x/"), Source::Repository("laion/CLIP-x".into()));
        assert_eq!(Source::parse("local-dir:a/b"), Source::Path("a/b".into()));
        assert_eq!(Source::parse("weights.pt"), Source::Path("weights.pt".into()));
        assert_eq!(Source::parse("logs/run/epoch_1"), Source::Path("logs/run/epoch_1".into()));
    }
}
