//! Models as the binaries open them: the hub as the environment describes it, and downloads shown on the terminal.

use std::path::{Path, PathBuf};

use model::config::Overrides;
use trainer::pretrained::{Hub, HubConfig, Progress, Source, is_of_weights};
use trainer::zoo::{Name, Wanted};

use crate::{human, terminal};

/// Where the hub is, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// The hub as `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE` and `HF_TOKEN` describe it, with downloads shown.
pub fn hub() -> Hub {
    hub_in(None)
}

/// The same with another folder for what is downloaded.
pub fn hub_in(cache: Option<&Path>) -> Hub {
    let mut config = config(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    if let Some(cache) = cache {
        config.cache = cache.to_path_buf();
    }
    let mut line = None;
    Hub::new(config, move |progress: Progress| {
        line.get_or_insert_with(terminal::live_line).set_message(told(&progress));
        if progress.total == Some(progress.received)
            && let Some(line) = line.take()
        {
            line.finish_and_clear();
        }
    })
}

fn told(progress: &Progress) -> String {
    let received = human::bytes(progress.received);
    match progress.total {
        Some(total) => format!("{}: {received} of {}", progress.file, human::bytes(total)),
        None => format!("{}: {received}", progress.file),
    }
}

fn config(variable: impl Fn(&str) -> Option<String>) -> HubConfig {
    let cache = variable("HF_HUB_CACHE").map(PathBuf::from);
    let home = variable("HF_HOME").map(|home| PathBuf::from(home).join("hub"));
    let xdg = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let user = xdg.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let default = user.map(|cache| cache.join("huggingface/hub"));
    let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().filter_map(&variable);
    HubConfig {
        endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
        cache: cache.or(home).or(default).unwrap_or_else(|| std::env::temp_dir().join("huggingface-hub")),
        offline: offline.into_iter().any(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())),
        token: variable("HF_TOKEN"),
    }
}

/// A model as flags name it.
pub fn wanted(model: Name, pretrained: Option<&str>, overrides: Overrides, seed: u64) -> Wanted {
    let (model, pretrained) = match model {
        // As open_clip has it, such a model comes with its weights.
        Name::Given(name) if pretrained.is_none() && is_of_weights(&name) => {
            let source = Source::parse(&name);
            (Name::Assumed(name), Some(source))
        }
        model => (model, pretrained.map(Source::parse)),
    };
    Wanted { model, pretrained, overrides, seed, tokenizers: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::config;

    #[test]
    fn the_variables_of_the_hub_are_heard() {
        let of = |set: &[(&str, &str)]| {
            config(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let plain = of(&[("HOME", "/home/a")]);
        assert_eq!(plain.cache, std::path::Path::new("/home/a/.cache/huggingface/hub"));
        assert_eq!((plain.endpoint.as_str(), plain.offline, plain.token), ("https://huggingface.co", false, None));
        let set = of(&[("HF_HOME", "/data"), ("HF_ENDPOINT", "http://mirror"), ("HF_HUB_OFFLINE", "1")]);
        assert_eq!(
            (set.cache.to_str(), set.endpoint.as_str(), set.offline),
            (Some("/data/hub"), "http://mirror", true)
        );
        assert!(of(&[]).cache.ends_with("huggingface-hub"));
    }
}
