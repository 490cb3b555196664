//! Which tensors of a file a model's parameters come from: open_clip's names with whatever was put before them, and those of
//! CLIP in transformers.

use std::collections::{BTreeMap, HashMap};

/// Tensors that files carry and that are no weights; dropped by their last name, as open_clip does.
const NO_WEIGHTS: [&str; 6] =
    ["position_ids", "input_resolution", "context_length", "vocab_size", "attn_mask", "_mask_for_traced_text"];
/// What wrappers put before names: data-parallel training, compilation.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];
/// Names of the text tower where it is spread over the root.
const TEXT: [&str; 5] = ["text_projection", "positional_embedding", "token_embedding", "transformer", "ln_final"];

/// Where the value of a parameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the tensor of that name.
    Plain(String),
    /// In the transposed tensor of that name.
    Transposed(String),
    /// In tensors one below the other.
    Stacked([String; 3]),
}

/// Where a file's tensors belong, by the names that open_clip's model has for them. `named_text` is whether the model's
/// text tower carries the prefix `text.`.
pub(super) fn origins<'a>(names: impl Iterator<Item = &'a str>, named_text: bool) -> BTreeMap<String, Origin> {
    let names: Vec<&str> = names.collect();
    let stripped: HashMap<&str, &str> = names.iter().map(|name| (unwrapped(name), *name)).collect();
    if stripped.contains_key("text_model.final_layer_norm.weight") {
        return with_text_named(of_transformers(&stripped), named_text);
    }
    let weights = stripped.into_iter().filter(|(bare, _)| !is_no_weight(bare));
    with_text_named(weights.map(|(bare, full)| (bare.to_owned(), Origin::Plain(full.to_owned()))), named_text)
}

fn unwrapped(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    name
}

fn is_no_weight(name: &str) -> bool {
    NO_WEIGHTS.contains(&name.rsplit('.').next().unwrap_or(name))
}

/// A text tower that is spread over the root moves under `text.` where the model has it there.
fn with_text_named(origins: impl IntoIterator<Item = (String, Origin)>, named_text: bool) -> BTreeMap<String, Origin> {
    let origins: BTreeMap<String, Origin> = origins.into_iter().collect();
    if !named_text || !origins.contains_key("text_projection") {
        return origins;
    }
    let moved =
        |name: String| if TEXT.iter().any(|start| name.starts_with(start)) { format!("text.{name}") } else { name };
    origins.into_iter().map(|(name, origin)| (moved(name), origin)).collect()
}

/// CLIP as transformers names it.
fn of_transformers(stripped: &HashMap<&str, &str>) -> BTreeMap<String, Origin> {
    let mut origins = BTreeMap::new();
    for (bare, full) in stripped.iter().filter(|(bare, _)| !is_no_weight(bare)) {
        let full = (*full).to_owned();
        let (name, origin) = match *bare {
            "visual_projection.weight" => ("visual.proj".to_owned(), Origin::Transposed(full)),
            "text_projection.weight" => ("text_projection".to_owned(), Origin::Transposed(full)),
            bare => match bare.split_once(".self_attn.q_proj.") {
                Some((block, part)) => {
                    let parts = ["q", "k", "v"].map(|which| full.replace("q_proj", &format!("{which}_proj")));
                    (format!("{}.attn.in_proj_{part}", module(block)), Origin::Stacked(parts))
                }
                None if bare.contains(".self_attn.k_proj.") || bare.contains(".self_attn.v_proj.") => continue,
                None => (module(bare), Origin::Plain(full)),
            },
        };
        origins.insert(name, origin);
    }
    origins
}

/// A name of transformers' CLIP in open_clip's words.
fn module(name: &str) -> String {
    let words = [
        ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
        ("vision_model.embeddings.patch_embedding", "visual.conv1"),
        ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
        ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
        ("text_model.embeddings.token_embedding", "token_embedding"),
        ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
        ("text_model.final_layer_norm", "ln_final"),
        ("text_model.encoder.layers.", "transformer.resblocks."),
        (".self_attn.out_proj.", ".attn.out_proj."),
        (".layer_norm1.", ".ln_1."),
        (".layer_norm2.", ".ln_2."),
        (".mlp.fc1.", ".mlp.c_fc."),
        (".mlp.fc2.", ".mlp.c_proj."),
    ];
    words.iter().fold(name.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
}

#[cfg(test)]
mod tests {
    use super::{Origin, origins};

    fn plain(name: &str) -> Origin {
        Origin::Plain(name.to_owned())
    }

    #[test]
    fn wrappers_and_what_is_no_weight_are_left_out() {
        let names = ["module._orig_mod.visual.proj", "module.input_resolution", "module.logit_scale"];
        let origins = origins(names.into_iter(), false);
        assert_eq!(origins.keys().collect::<Vec<_>>(), ["logit_scale", "visual.proj"]);
        assert_eq!(origins["visual.proj"], plain("module._orig_mod.visual.proj"));
    }

    #[test]
    fn spread_text_tower_moves_under_its_name() {
        let names = ["text_projection", "transformer.resblocks.0.ln_1.weight", "visual.transformer.x", "logit_scale"];
        let moved = origins(names.into_iter(), true);
        assert_eq!(moved["text.transformer.resblocks.0.ln_1.weight"], plain("transformer.resblocks.0.ln_1.weight"));
        assert!(moved.contains_key("visual.transformer.x") && moved.contains_key("text.text_projection"));
        assert!(origins(names.into_iter(), false).contains_key("text_projection"));
    }

    #[test]
    fn names_of_transformers_are_translated() {
        let block = "text_model.encoder.layers.3";
        let names = [
            "text_model.final_layer_norm.weight".to_owned(),
            format!("{block}.self_attn.q_proj.bias"),
            format!("{block}.self_attn.k_proj.bias"),
            format!("{block}.self_attn.v_proj.bias"),
            format!("{block}.mlp.fc1.weight"),
            "visual_projection.weight".to_owned(),
            "vision_model.embeddings.patch_embedding.weight".to_owned(),
        ];
        let origins = origins(names.iter().map(String::as_str), false);
        let stacked = ["q", "k", "v"].map(|which| format!("{block}.self_attn.{which}_proj.bias"));
        assert_eq!(origins["transformer.resblocks.3.attn.in_proj_bias"], Origin::Stacked(stacked));
        assert_eq!(origins["transformer.resblocks.3.mlp.c_fc.weight"], plain(&names[4]));
        assert_eq!(origins["visual.proj"], Origin::Transposed("visual_projection.weight".into()));
        assert_eq!(origins["visual.conv1.weight"], plain(&names[6]));
        assert_eq!(origins.len(), 5);
    }
}
