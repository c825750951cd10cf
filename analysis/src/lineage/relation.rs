//! The relation of a child to its parents when no source states one.

use domain::{Metadata, Relation, Source};

const QUANTISED_TAGS: [&str; 10] =
    ["4-bit", "8-bit", "gptq", "awq", "bitsandbytes", "fp8", "compressed-tensors", "gguf", "exl2", "onnx"];

/// What files, tags and config say, with the reason in words; the Hub's rules as far as they are known.
pub(super) fn infer(metadata: &Metadata, parents: usize) -> (Relation, String) {
    let tag = |wanted: &str| metadata.tags.iter().any(|tag| tag.eq_ignore_ascii_case(wanted));
    let recipe = metadata.parents.iter().any(|parent| parent.source == Source::MergeConfig);
    if (tag("merge") || recipe) && parents >= 2 {
        let why = if recipe { "its card holds a merge recipe" } else { "it carries the tag `merge`" };
        return (Relation::Merge, format!("merge: {why} and names {parents} parents"));
    }
    if let Some(why) = quantised(metadata, tag) {
        return (Relation::Quantized, format!("quantized: {why}"));
    }
    let adapter_file = metadata.files.iter().any(|file| file.ends_with("adapter_config.json"));
    match metadata.library.as_deref() {
        Some(library @ ("peft" | "adapter-transformers")) => {
            (Relation::Adapter, format!("adapter: its library is {library}"))
        }
        _ if adapter_file => (Relation::Adapter, "adapter: it holds an adapter_config.json".to_owned()),
        _ => (Relation::Finetune, "finetune: nothing in its files, tags or config says otherwise".to_owned()),
    }
}

fn quantised(metadata: &Metadata, tag: impl Fn(&str) -> bool) -> Option<String> {
    let config = metadata.config.as_ref();
    if config.and_then(|config| config.get("quantization_config")).is_some_and(|value| !value.is_null()) {
        return Some("its config has a quantization_config".to_owned());
    }
    if let Some(note) = metadata.notes.iter().find(|note| note.code == "quantised") {
        return Some(note.detail.clone());
    }
    // MLX writes `quantization: {bits, group_size}`.
    if let Some(bits) = config.and_then(|config| config.get("quantization")?.get("bits")?.as_u64()) {
        return Some(format!("its config has a quantization of {bits} bits"));
    }
    let packed = |file: &&String| {
        let file = file.to_ascii_lowercase();
        file.ends_with(".gguf") || file.ends_with(".onnx")
    };
    if let Some(file) = metadata.files.iter().find(packed) {
        return Some(format!("it holds {file}"));
    }
    if let Some(tag) = QUANTISED_TAGS.into_iter().find(|wanted| tag(wanted)) {
        return Some(format!("it carries the tag `{tag}`"));
    }
    (metadata.library.as_deref() == Some("mlx")).then(|| "its library is mlx".to_owned())
}
