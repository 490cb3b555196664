//! Keys of open_clip that ask for architectures which are not built: accepted at their defaults, refused by name otherwise.

use serde_json::{Map, Value, json};

use super::config;
use crate::error::Result;

/// Takes the keys that say nothing out of a `model_cfg`.
///
/// # Errors
/// [`crate::Error::Config`] naming the key that asks for something that is not built.
pub(super) fn settle(model: &mut Value) -> Result<()> {
    let Some(model) = model.as_object_mut() else {
        return Err(config("expected an object with embed_dim, vision_cfg and text_cfg".to_owned()));
    };
    drop_defaults(model, "", &[("nonscalar_logit_scale", json!(false))])?;
    let attention = [
        ("block_type", Value::Null),
        ("qk_norm", json!(false)),
        ("scaled_cosine_attn", json!(false)),
        ("scale_heads", json!(false)),
        ("scale_attn_inner", json!(false)),
        ("scale_attn", json!(false)),
        ("scale_fc", json!(false)),
        ("act_kwargs", Value::Null),
        ("norm_kwargs", Value::Null),
        ("output_tokens", json!(false)),
        ("final_ln_after_pool", json!(false)),
    ];
    let vision = [
        ("timm_model_name", Value::Null),
        ("attentional_pool", json!(false)),
        ("no_ln_pre", json!(false)),
        ("pos_embed_type", json!("learnable")),
    ];
    let text = [
        ("embed_cls", json!(false)),
        ("no_causal_mask", json!(false)),
        ("pool_type", json!("argmax")),
        ("proj_type", json!("linear")),
        ("proj_bias", json!(false)),
        ("pad_id", json!(0)),
        ("tokenizer_mode", Value::Null),
        ("tokenizer_kwargs", Value::Null),
    ];
    // Without what they belong to, these say nothing whatever they hold.
    let idle_vision = [
        "attn_pooler_queries",
        "attn_pooler_heads",
        "timm_model_pretrained",
        "timm_pool",
        "timm_proj",
        "timm_proj_bias",
    ];
    for (tower, own, idle) in [("vision_cfg", &vision[..], &idle_vision[..]), ("text_cfg", &text[..], &["eos_id"][..])]
    {
        if let Some(keys) = model.get_mut(tower).and_then(Value::as_object_mut) {
            drop_defaults(keys, tower, own)?;
            drop_defaults(keys, tower, &attention)?;
            idle.iter().chain(&["timm_drop", "timm_drop_path"]).for_each(|key| drop(keys.remove(*key)));
        }
    }
    Ok(())
}

fn drop_defaults(keys: &mut Map<String, Value>, tower: &str, known: &[(&str, Value)]) -> Result<()> {
    for (key, default) in known {
        match keys.remove(*key) {
            Some(value) if value != *default && !value.is_null() => {
                let dot = if tower.is_empty() { "" } else { "." };
                let only = if default.is_null() { "absence".to_owned() } else { default.to_string() };
                return Err(config(format!("{tower}{dot}{key}: {value} is not supported, only {only} is")));
            }
            _ => {}
        }
    }
    Ok(())
}
