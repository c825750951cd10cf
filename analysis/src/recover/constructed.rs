//! Tensors that are alike in every model of a shape, because the architecture and not the training makes them.

use crate::kinship::Module;

/// Last telling components of tables that are computed, or begin the same whatever the seed.
const TABLES: &[&str] = &[
    "a_log",
    "alibi",
    "causal_mask",
    "freqs_cis",
    "inv_freq",
    "mask",
    "mel_filters",
    "pe",
    "pos_embed",
    "pos_embedding",
    "positional_embedding",
    "positional_encoding",
    "sinusoidal",
    "slopes",
    "time_decay",
    "time_first",
    "time_mix_g",
    "time_mix_k",
    "time_mix_r",
    "time_mix_v",
];

/// Whether the tensor called `name` says nothing of an origin: positions, which are sines in some architectures and begin
/// alike in others, and tables like the decays of a state-space model, which every model of a shape starts from.
pub(super) fn constructed(name: &str, module: Module) -> bool {
    let last = name.rsplit('.').find(|part| !matches!(*part, "weight" | "bias")).unwrap_or_default();
    module == Module::Position || TABLES.contains(&last.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_tables_are_told_from_what_is_learnt() {
        let is = |name: &str| constructed(name, Module::of(name));

        for name in [
            "model.encoder.embed_positions.weight",
            "backbone.layers.#.mixer.A_log",
            "layers.#.self_attn.rotary_emb.inv_freq",
            "encoder.pos_embed",
            "h.#.attn.causal_mask",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "embed_tokens.weight",
            "layers.#.mlp.up_proj.weight",
            "layers.#.mixer.x_proj.weight",
            "mask_head.fc",
        ] {
            assert!(!is(name), "{name}");
        }
    }
}
