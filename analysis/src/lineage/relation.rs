//! The relation of a child to its parents when no source states one.

use domain::{Metadata, Relation, Source};

const QUANTISED_TAGS: [&str; 9] =
    ["4-bit", "8-bit", "gptq", "awq", "bitsandbytes", "fp8", "compressed-tensors", "exl2", "exl3"];

/// Parts of a name, between `-`, `_` and `.`, that tell of a quantisation.
const QUANTISED_NAMES: [&str; 18] = [
    "int4",
    "int8",
    "uint8",
    "uint4",
    "4bit",
    "5bit",
    "6bit",
    "8bit",
    "3bit",
    "2bit",
    "quantized",
    "quantised",
    "bnb4",
    "fp8",
    "nf4",
    "mxfp4",
    "gptq",
    "awq",
];

/// Formats that models are converted to.
const CONVERTED: [&str; 2] = ["gguf", "onnx"];

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
    if let Some(why) = converted(metadata, tag) {
        return (Relation::Conversion, format!("conversion: {why}"));
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
    if let Some(tag) = QUANTISED_TAGS.into_iter().find(|wanted| tag(wanted)) {
        return Some(format!("it carries the tag `{tag}`"));
    }
    if metadata.library.as_deref() == Some("mlx") || CONVERTED.into_iter().any(&tag) {
        let name = Some(metadata.id.name()).filter(|name| tells_of_bits(name));
        if let Some(name) = name {
            return Some(format!("it is called {name}"));
        }
    }
    let packed: Vec<&String> = metadata.files.iter().filter(|file| is_converted(file)).collect();
    if let Some(file) = packed.iter().find(|file| tells_of_bits(file)) {
        return Some(format!("it holds {file}"));
    }
    // What is published so is quantised, unless files say otherwise.
    (packed.is_empty() && tag("gguf")).then(|| "it carries the tag `gguf`".to_owned())
}

/// Why a model is another one in another file format; none where it holds weights of its own too.
fn converted(metadata: &Metadata, tag: impl Fn(&str) -> bool) -> Option<String> {
    if metadata.library.as_deref() == Some("mlx") {
        return Some("its library is mlx, and nothing says that it is quantised".to_owned());
    }
    let own = |file: &String| {
        let weights = [".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack"];
        weights.iter().any(|ending| file.to_ascii_lowercase().ends_with(ending))
    };
    if metadata.files.iter().any(own) {
        return None;
    }
    let file = metadata.files.iter().find(|file| is_converted(file));
    let sign = file.map(|file| format!("it holds {file}"));
    let sign = sign.or_else(|| tag("onnx").then(|| "it carries the tag `onnx`".to_owned()))?;
    Some(format!("{sign}, and nothing says that it is quantised"))
}

fn is_converted(file: &str) -> bool {
    file.rsplit_once('.')
        .is_some_and(|(_, end)| CONVERTED.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// Whether the name of a model or of a file has a part like `Q4`, `iq2` or `int8`.
fn tells_of_bits(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split(['-', '_', '.', '/', ' ']).any(|part| {
        let bits =
            part.strip_prefix("iq").or_else(|| part.strip_prefix("tq")).or_else(|| part.strip_prefix('q'));
        let digit = bits.is_some_and(|bits| bits.len() == 1 && matches!(bits.as_bytes(), [b'1'..=b'8']));
        let fused = bits.is_some_and(|bits| {
            bits.len() <= 4 && bits.contains('f') && bits.starts_with(|c: char| c.is_ascii_digit())
        });
        digit || fused || QUANTISED_NAMES.contains(&part)
    })
}

#[cfg(test)]
mod tests {
    use domain::RepoId;

    use super::*;

    fn told(tags: &[&str], files: &[&str]) -> Relation {
        let mut metadata = Metadata::named(RepoId::parse("me/m-GGUF").unwrap());
        metadata.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        metadata.files = files.iter().map(|file| (*file).to_owned()).collect();
        infer(&metadata, 1).0
    }

    #[test]
    fn a_copy_in_another_format_is_a_conversion_unless_something_says_that_it_is_quantised() {
        assert_eq!(told(&["gguf"], &["m-F16.gguf"]), Relation::Conversion);
        assert_eq!(told(&["gguf"], &["m-F16.gguf", "m-Q4_K_M.gguf"]), Relation::Quantized);
        assert_eq!(told(&[], &["m.i1-IQ2_XS.gguf"]), Relation::Quantized);
        assert_eq!(told(&["gguf"], &[]), Relation::Quantized, "most are, and no file is known");
        assert_eq!(told(&["onnx"], &["onnx/model.onnx"]), Relation::Conversion);
        assert_eq!(told(&["onnx"], &["onnx/model_int8.onnx"]), Relation::Quantized);
        assert_eq!(told(&["onnx", "8-bit"], &["onnx/model.onnx"]), Relation::Quantized);
        let beside = ["model.safetensors", "onnx/model.onnx"];
        assert_eq!(told(&["onnx"], &beside), Relation::Finetune, "it has weights of its own");
    }

    #[test]
    fn a_copy_for_mlx_is_quantised_where_its_name_or_its_configuration_says_so() {
        let mut metadata = Metadata::named(RepoId::parse("mlx-community/m-bf16").unwrap());
        metadata.library = Some("mlx".to_owned());
        let (relation, why) = infer(&metadata, 1);

        assert_eq!(relation, Relation::Conversion);
        assert_eq!(why, "conversion: its library is mlx, and nothing says that it is quantised");
        metadata.id = RepoId::parse("mlx-community/m-4bit").unwrap();
        assert_eq!(infer(&metadata, 1).0, Relation::Quantized);
    }
}
