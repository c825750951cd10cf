//! Keys a mergekit YAML may hold, and the nearest one to a misspelt word.

/// Top-level keys.
pub const TOP: &[&str] = &[
    "merge_method",
    "models",
    "slices",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "modules",
    "name",
    "seed",
    "random_seed",
    "trust_remote_code",
    "missing",
    "on_mismatch",
    "truncate_prefix",
    "allow_crimes",
    "allow_nonfinite",
    "lora_merge_dtype",
    "post_t",
    "exclude",
];
/// Keys of an entry of `models`, and of `sources` in a slice.
pub const ENTRY: &[&str] = &["model", "parameters", "layer_range"];
/// Keys of a slice.
pub const SLICE: &[&str] = &["sources", "base_model", "parameters", "residual_weight"];
/// Keys of a module.
pub const MODULE: &[&str] = &["models", "slices", "parameters"];
/// Keys of a tokenizer.
pub const TOKENIZER: &[&str] = &["source", "tokens", "pad_to_multiple_of"];
/// Keys of one token of a tokenizer, and of where its row comes from.
pub const TOKEN: &[&str] = &["source", "force"];
pub const TOKEN_SOURCE: &[&str] = &["kind", "model", "token", "token_id"];
/// Keys of a filtered value.
pub const FILTERED: &[&str] = &["filter", "value"];
/// Parameters accepted everywhere without effect.
pub const IGNORED: &[&str] = &["int8_mask", "embed_slerp"];
/// Parameters of mergekit's methods, those of today and of before: mergekit reads past those that the chosen method has not,
/// and so do we, with a warning.
pub const ELSEWHERE: &[&str] = &[
    "weight",
    "density",
    "normalize",
    "rescale",
    "lambda",
    "gamma",
    "epsilon",
    "t",
    "scale",
    "select_topk",
    "normalize_weights",
    "eps",
    "max_iter",
    "tol",
    "filter_wise",
    "smooth",
    "allow_negative_weights",
    "nuslerp_flatten",
    "nuslerp_row_wise",
];
/// Keys of a reference to a model, and of the model in it.
pub const REFERENCE: &[&str] = &["model", "lora", "override_architecture"];
pub const MODEL: &[&str] = &["path", "revision"];

/// "`wieght` is not known here; did you mean `weight`?"
pub fn unknown(word: &str, known: &[&str]) -> String {
    let clipped: String = word.chars().take(60).collect();
    match domain::nearest(&clipped, known) {
        None if known.is_empty() => {
            format!("`{clipped}` is not known here, and nothing else is; leave it out")
        }
        Some(near) => format!("`{clipped}` is not known here; did you mean `{near}`?"),
        None => format!("`{clipped}` is not known here; expected one of {}", known.join(", ")),
    }
}
