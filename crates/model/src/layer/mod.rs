//! Layers: each one's forward, and beside it the backward that accumulates parameter gradients and returns the input's.
//!
//! A layer holds parameter ids, never values. Backward takes what forward saved and computes a parameter's gradient only
//! where the registry says that it is trainable.

pub mod attention;
pub mod attention_pool;
pub mod batch_norm;
pub mod bias_free;
pub mod block;
pub mod bottleneck;
pub mod convolution;
pub mod dropout;
pub mod embedding;
pub mod hf_pooler;
pub mod layer_norm;
pub mod layer_scale;
pub mod linear;
pub mod mlp;
pub mod normalize;
pub mod patch_dropout;
pub mod patch_embed;
pub mod pooling;
pub mod post_norm_block;
pub mod projection;
pub mod roberta_embedding;
