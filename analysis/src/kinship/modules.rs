//! What a tensor does in its layer, told from its name over the architectures there are.

use std::fmt;

use serde::{Serialize, Serializer};

/// A kind of module. Fused matrices have kinds of their own: their parts cannot be told apart without a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    Embed,
    /// Positions and token types: embeddings, but not of tokens.
    Position,
    Q,
    K,
    V,
    /// Keys and values in one matrix, or their common low-rank factor.
    Kv,
    Qkv,
    O,
    Gate,
    Up,
    GateUp,
    Down,
    Router,
    Expert,
    Norm,
    Head,
    Other,
}

/// The last telling component of a name where it alone decides.
const BY_NAME: &[(Module, &[&str])] = &[
    (Module::Q, &["q_proj", "q", "wq", "q_lin", "query", "q_a_proj", "q_b_proj", "to_q"]),
    (Module::K, &["k_proj", "k", "wk", "k_lin", "key", "to_k"]),
    (Module::V, &["v_proj", "v", "wv", "v_lin", "value", "to_v"]),
    (Module::Kv, &["kv_proj", "kv_a_proj_with_mqa", "kv_b_proj"]),
    (Module::Qkv, &["qkv_proj", "c_attn", "query_key_value", "wqkv", "qkv", "in_proj", "in_proj_weight"]),
    (Module::O, &["o_proj", "o", "out_lin", "to_out"]),
    (Module::Gate, &["gate_proj", "wi_0"]),
    (
        Module::Up,
        &["up_proj", "fc1", "c_fc", "fc_in", "dense_h_to_4h", "wi", "wi_1", "lin1", "linear_1", "linear1"],
    ),
    (Module::GateUp, &["gate_up_proj"]),
    (Module::Down, &["down_proj", "fc2", "fc_out", "dense_4h_to_h", "lin2", "linear_2", "linear2"]),
    (Module::Embed, weights::EMBEDDINGS),
    (Module::Embed, &["word_embedding"]),
    (
        Module::Position,
        &["wpe", "embed_positions", "position_embeddings", "position_embedding", "token_type_embeddings"],
    ),
    (
        Module::Head,
        &[
            "lm_head",
            "embed_out",
            "output_layer",
            "classifier",
            "score",
            "vocab_projector",
            "final_logits_bias",
        ],
    ),
];

impl Module {
    /// The kind of the tensor called `name`.
    pub fn of(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        let mut parts = lower.split('.').rev().filter(|part| !is_leaf(part));
        let [last, parent, above] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let anywhere = |wanted: &[&str]| lower.split('.').any(|part| wanted.contains(&part));
        if anywhere(&["router", "shared_expert_gate"]) || (last == "gate" && is_mlp(parent)) {
            return Self::Router;
        }
        if anywhere(&["experts", "shared_expert", "shared_experts"]) {
            return Self::Expert;
        }
        if is_norm(last) {
            return if anywhere(&["cls"]) { Self::Head } else { Self::Norm };
        }
        if anywhere(&["cls"]) {
            return Self::Head;
        }
        match (last, parent) {
            ("dense", "output") if is_attention(above) => Self::O,
            ("dense", "output") => Self::Down,
            ("dense", "intermediate") => Self::Up,
            ("dense" | "c_proj" | "out_proj" | "wo" | "proj", parent) if is_attention(parent) => Self::O,
            ("c_proj" | "wo", _) => Self::Down,
            // Llama's own names, and the first Qwen's, which gates with `w2`.
            ("w1", "mlp") => Self::Up,
            ("w2", "mlp") => Self::Gate,
            ("w1", _) => Self::Gate,
            ("w2", _) => Self::Down,
            ("w3", _) => Self::Up,
            ("output", "") => Self::Head,
            ("in_proj" | "k" | "v" | "q" | "o", parent) if !is_attention(parent) => Self::Other,
            _ => {
                BY_NAME.iter().find(|(_, names)| names.contains(&last)).map_or(Self::Other, |(kind, _)| *kind)
            }
        }
    }

    /// Whether the first axis of the tensor called `name` is the vocabulary: one row a token.
    pub fn is_vocabulary(name: &str) -> bool {
        let labels = ["classifier", "score", "cls.seq_relationship", "cls.predictions.transform"];
        match Self::of(name) {
            Self::Embed => true,
            Self::Head => !labels.iter().any(|part| name.contains(part)),
            _ => false,
        }
    }

    /// As reports write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Position => "position",
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::Kv => "kv",
            Self::Qkv => "qkv",
            Self::O => "o",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::GateUp => "gate_up",
            Self::Down => "down",
            Self::Router => "router",
            Self::Expert => "expert",
            Self::Norm => "norm",
            Self::Head => "head",
            Self::Other => "other",
        }
    }
}

impl Serialize for Module {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The part of a name that says which parameter of a module it is, not which module.
fn is_leaf(part: &str) -> bool {
    let words = ["weight", "bias", "gamma", "beta", "lora_a", "lora_b", "default", "e_score_correction_bias"];
    words.contains(&part) || part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_attention(part: &str) -> bool {
    part.contains("attn") || part.contains("attention")
}

fn is_mlp(part: &str) -> bool {
    part.contains("mlp") || part.contains("moe") || part.contains("feed_forward") || part == "ffn"
}

fn is_norm(part: &str) -> bool {
    part.contains("norm") || part == "ln" || part.starts_with("ln_") || part.ends_with("_ln")
}

#[cfg(test)]
mod tests {
    use super::Module;

    #[test]
    fn every_architecture_names_its_modules_in_its_own_way() {
        for (kind, names) in [
            (
                "q",
                "model.layers.3.self_attn.q_proj.weight base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight \
                 bert.encoder.layer.0.attention.self.query.bias encoder.block.0.layer.0.SelfAttention.q.weight \
                 layers.0.attention.wq.weight distilbert.transformer.layer.0.attention.q_lin.weight \
                 model.layers.1.self_attn.q_a_proj.weight",
            ),
            (
                "k",
                "model.decoder.layers.0.self_attn.k_proj.bias decoder.block.0.layer.1.EncDecAttention.k.weight \
                 transformer.h.0.attn.k_proj.weight",
            ),
            ("v", "model.layers.3.self_attn.v_proj.weight bert.encoder.layer.0.attention.self.value.weight"),
            (
                "kv",
                "model.layers.1.self_attn.kv_b_proj.weight model.layers.1.self_attn.kv_a_proj_with_mqa.weight",
            ),
            (
                "qkv",
                "model.layers.0.self_attn.qkv_proj.weight transformer.h.0.attn.c_attn.weight \
                 gpt_neox.layers.0.attention.query_key_value.weight transformer.blocks.0.attn.Wqkv.weight \
                 transformer.h.0.self_attention.query_key_value.weight model.layers.0.attention.wqkv.weight",
            ),
            (
                "o",
                "model.layers.3.self_attn.o_proj.weight transformer.h.0.attn.c_proj.weight \
                 gpt_neox.layers.0.attention.dense.weight bert.encoder.layer.0.attention.output.dense.weight \
                 transformer.h.0.self_attention.dense.weight model.decoder.layers.0.self_attn.out_proj.weight \
                 transformer.blocks.0.attn.out_proj.weight encoder.block.0.layer.0.SelfAttention.o.weight \
                 model.layers.0.self_attn.dense.weight layers.0.attention.wo.weight",
            ),
            (
                "gate",
                "model.layers.3.mlp.gate_proj.weight encoder.block.0.layer.1.DenseReluDense.wi_0.weight \
                 layers.0.feed_forward.w1.weight transformer.h.0.mlp.w2.weight",
            ),
            (
                "up",
                "model.layers.3.mlp.up_proj.weight transformer.h.0.mlp.c_fc.weight model.layers.0.mlp.fc1.weight \
                 gpt_neox.layers.0.mlp.dense_h_to_4h.weight bert.encoder.layer.0.intermediate.dense.weight \
                 model.decoder.layers.0.fc1.weight transformer.blocks.0.ffn.up_proj.weight \
                 encoder.block.0.layer.1.DenseReluDense.wi.weight layers.0.feed_forward.w3.weight",
            ),
            ("gate_up", "model.layers.0.mlp.gate_up_proj.weight"),
            (
                "down",
                "model.layers.3.mlp.down_proj.weight transformer.h.0.mlp.c_proj.weight \
                 gpt_neox.layers.0.mlp.dense_4h_to_h.weight bert.encoder.layer.0.output.dense.weight \
                 model.decoder.layers.0.fc2.weight encoder.block.0.layer.1.DenseReluDense.wo.weight \
                 layers.0.feed_forward.w2.weight transformer.blocks.0.ffn.down_proj.weight",
            ),
            (
                "router",
                "model.layers.0.block_sparse_moe.gate.weight model.layers.0.mlp.gate.weight \
                 model.layers.0.mlp.shared_expert_gate.weight model.layers.0.mlp.router.weight \
                 model.layers.3.mlp.gate.e_score_correction_bias",
            ),
            (
                "expert",
                "model.layers.0.block_sparse_moe.experts.7.w1.weight model.layers.0.mlp.experts.3.gate_proj.weight \
                 model.layers.0.mlp.experts.gate_up_proj model.layers.0.mlp.shared_expert.down_proj.weight",
            ),
            (
                "norm",
                "model.norm.weight model.layers.0.input_layernorm.weight model.layers.0.self_attn.q_norm.weight \
                 transformer.ln_f.bias transformer.h.0.ln_1.weight bert.encoder.layer.0.output.LayerNorm.gamma \
                 model.decoder.layers.0.self_attn_layer_norm.weight transformer.blocks.0.norm_1.weight \
                 transformer.h.0.ln_attn.weight transformer.word_embeddings_layernorm.weight",
            ),
            (
                "embed",
                "model.embed_tokens.weight transformer.wte.weight gpt_neox.embed_in.weight shared.weight \
                 bert.embeddings.word_embeddings.weight model.decoder.embed_tokens.weight tok_embeddings.weight \
                 backbone.embeddings.weight rwkv.embeddings.weight text_model.embeddings.token_embedding.weight",
            ),
            ("position", "transformer.wpe.weight bert.embeddings.token_type_embeddings.weight"),
            (
                "head",
                "lm_head.weight embed_out.weight output.weight cls.predictions.decoder.weight score.weight",
            ),
            ("other", "model.steps bert.pooler.dense.weight model.layers.0.mixer.in_proj.weight v"),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(Module::of(name).label(), kind, "{name}");
            }
        }
    }

    #[test]
    fn only_rows_of_tokens_are_a_vocabulary() {
        for name in ["model.embed_tokens.weight", "lm_head.weight", "lm_head.bias", "cls.predictions.bias"] {
            assert!(Module::is_vocabulary(name), "{name}");
        }
        for name in ["transformer.wpe.weight", "score.weight", "model.norm.weight", "classifier.bias"] {
            assert!(!Module::is_vocabulary(name), "{name}");
        }
    }
}
