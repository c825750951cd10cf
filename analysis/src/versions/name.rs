//! The segments of a model's name. A name is a hint: no edge and no version rests on it.

use serde::Serialize;

/// What a part of a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    BaseModel,
    Identifier,
    Size,
    Version,
    /// How the weights are stored: `gguf`, `4bit`.
    Variant,
    /// How they were trained: `sft`, `instruct`.
    Mechanism,
    Task,
    Language,
    Date,
}

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::BaseModel,
        Self::Identifier,
        Self::Size,
        Self::Version,
        Self::Variant,
        Self::Mechanism,
        Self::Task,
        Self::Language,
        Self::Date,
    ];

    /// The word as JSON, CSV and patterns have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BaseModel => "base_model",
            Self::Identifier => "identifier",
            Self::Size => "size",
            Self::Version => "version",
            Self::Variant => "variant",
            Self::Mechanism => "mechanism",
            Self::Task => "task",
            Self::Language => "language",
            Self::Date => "date",
        }
    }
}

/// A part of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Segment {
    pub kind: Kind,
    pub text: String,
}

/// Most parts of one name; what is longer says nothing.
const PARTS: usize = 64;

#[rustfmt::skip]
const FAMILIES: &[&str] = &[
    "albert", "aya", "bart", "bert", "bge", "bloom", "bloomz", "camembert", "clip", "codegen", "codellama",
    "cogito", "command", "deberta", "deepseek", "deit", "dinov2", "distilbert", "distilgpt2",
    "distilroberta", "electra", "ernie", "esm", "exaone", "falcon", "flan", "flux", "gemma", "glm", "gpt",
    "gpt2", "gptj", "gptneo", "granite", "hubert", "internlm", "jamba", "layoutlm", "llama", "llava",
    "longformer", "mamba", "marian", "mbart", "minicpm", "minilm", "mistral", "mixtral", "mobilebert",
    "mpnet", "mpt", "mt5", "nemo", "nemotron", "olmo", "opt", "orca", "pegasus", "phi", "pythia", "qwen",
    "qwq", "redpajama", "resnet", "roberta", "rwkv", "sdxl", "smollm", "solar", "stablelm", "starcoder",
    "t5", "tinyllama", "vicuna", "vit", "wav2vec2", "whisper", "wizardlm", "xlm", "xlnet", "yi", "zephyr",
];

#[rustfmt::skip]
const SIZES: &[&str] =
    &["base", "big", "huge", "large", "medium", "micro", "mini", "nano", "small", "tiny", "xl", "xs", "xxl"];

#[rustfmt::skip]
const VARIANTS: &[&str] = &[
    "awq", "bf16", "bnb", "exl2", "exl3", "fp16", "fp32", "fp8", "ggml", "gguf", "gptq", "int4", "int8",
    "mlx", "nf4", "onnx",
];

#[rustfmt::skip]
const MECHANISMS: &[&str] = &[
    "abliterated", "adapter", "chat", "cpo", "cpt", "dare", "dedup", "deduped", "distill", "distilled",
    "dpo", "finetune", "finetuned", "ft", "grpo", "instruct", "it", "kto", "lora", "merge", "merged",
    "orpo", "ppo", "pt", "qlora", "reasoning", "reward", "rlhf", "rm", "sft", "simpo", "slerp", "ties",
    "uncensored",
];

#[rustfmt::skip]
const TASKS: &[&str] = &[
    "asr", "captioning", "classification", "classifier", "code", "coder", "coding", "detection",
    "embedding", "embeddings", "emotion", "math", "mnli", "mt", "ner", "nli", "pos", "qa", "rerank",
    "reranker", "retrieval", "segmentation", "sentiment", "similarity", "squad", "sst2", "summarization",
    "summarizer", "summary", "toxicity", "translation", "tts", "vision", "vl",
];

#[rustfmt::skip]
const LANGUAGES: &[&str] = &[
    "ar", "arabic", "bengali", "bn", "cantonese", "chinese", "cs", "czech", "da", "danish", "de", "dutch",
    "en", "english", "es", "fa", "fi", "finnish", "fr", "french", "german", "greek", "he", "hebrew", "hi",
    "hindi", "id", "indonesian", "italian", "ja", "japanese", "ko", "korean", "multilingual", "nl",
    "persian", "pl", "polish", "portuguese", "ptbr", "ro", "romanian", "ru", "russian", "spanish", "sv",
    "swedish", "ta", "tamil", "th", "thai", "tr", "turkish", "uk", "ukrainian", "ur", "urdu", "vi",
    "vietnamese", "zh",
];

/// The segments of a model's name, without its owner, in order.
pub fn parse(id: &str) -> Vec<Segment> {
    let name = id.rsplit('/').next().unwrap_or(id);
    let mut segments: Vec<Segment> = Vec::new();
    for token in name.split(['-', '_', ' ', '+']).filter(|token| !token.is_empty()).take(PARTS) {
        // `Q4_K_M` is one quantisation in three parts.
        if let Some(last) = segments.last_mut()
            && last.kind == Kind::Variant
            && last.text.to_ascii_lowercase().starts_with('q')
            && matches!(token.to_ascii_lowercase().as_str(), "0" | "1" | "k" | "s" | "m" | "l" | "xs" | "xxs")
        {
            last.text = format!("{}_{token}", last.text);
            continue;
        }
        read(token, &mut segments);
    }
    segments
}

fn read(token: &str, segments: &mut Vec<Segment>) {
    let lower = token.to_ascii_lowercase();
    let mut push = |kind: Kind, text: &str| match segments.last_mut() {
        Some(last) if last.kind == kind && kind == Kind::Identifier => {
            last.text = format!("{}-{text}", last.text)
        }
        _ => segments.push(Segment { kind, text: text.to_owned() }),
    };
    if let Some(kind) = whole(&lower) {
        return push(kind, token);
    }
    // `Llama3`, `Qwen2.5`: a family with the version behind it.
    let family =
        FAMILIES.iter().filter(|family| lower.starts_with(**family)).max_by_key(|family| family.len());
    if let Some(family) = family {
        let (head, rest) = token.split_at(family.len());
        let kind = whole(&lower[family.len()..]).filter(|kind| matches!(kind, Kind::Size | Kind::Version));
        let number = rest.chars().all(|c| c.is_ascii_digit() || c == '.')
            && rest.starts_with(|c: char| c.is_ascii_digit());
        if let Some(kind) = kind.or(number.then_some(Kind::Version)) {
            push(Kind::BaseModel, head);
            return push(kind, rest);
        }
    }
    push(Kind::Identifier, token);
}

/// The kind of a whole token in lower case; none for what no list knows.
fn whole(token: &str) -> Option<Kind> {
    let known = |list: &[&str]| list.binary_search(&token).is_ok();
    if is_size(token) || known(SIZES) {
        Some(Kind::Size)
    } else if is_date(token) {
        Some(Kind::Date)
    } else if is_version(token) {
        Some(Kind::Version)
    } else if known(VARIANTS) || is_bits(token) {
        Some(Kind::Variant)
    } else if known(MECHANISMS) {
        Some(Kind::Mechanism)
    } else if known(FAMILIES) {
        Some(Kind::BaseModel)
    } else if known(TASKS) {
        Some(Kind::Task)
    } else if known(LANGUAGES) {
        Some(Kind::Language)
    } else {
        None
    }
}

fn is_number(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() <= 2 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// `7b`, `0.5b`, `8x7b`, `125m`, `100k`.
fn is_size(token: &str) -> bool {
    token.strip_suffix(['b', 'm', 'k']).is_some_and(|number| number.split('x').all(is_number))
}

/// `v2`, `v0.1`, `1.5`, `3.1.2`.
fn is_version(token: &str) -> bool {
    let bare = token.strip_prefix('v');
    let digits =
        |text: &str| text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    bare.is_some_and(digits) || (token.contains('.') && digits(token))
}

/// `2024`, `202403`, `20240301`.
fn is_date(token: &str) -> bool {
    matches!(token.len(), 4 | 6 | 8) && token.starts_with("20") && token.bytes().all(|b| b.is_ascii_digit())
}

/// `4bit`, `q4`, `q8`, `w4a16`.
fn is_bits(token: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    token.strip_suffix("bit").or_else(|| token.strip_suffix("bits")).is_some_and(digits)
        || token.strip_prefix('q').or_else(|| token.strip_prefix("iq")).is_some_and(digits)
        || token
            .strip_prefix('w')
            .and_then(|rest| rest.split_once('a'))
            .is_some_and(|(w, a)| digits(w) && digits(a))
}

/// The kinds in order, `{base_model}{version}{size}`.
pub fn pattern(segments: &[Segment]) -> String {
    let mut kinds: Vec<Kind> = segments.iter().map(|segment| segment.kind).collect();
    kinds.dedup();
    kinds.iter().map(|kind| format!("{{{}}}", kind.as_str())).collect()
}

/// The version that the name states: its last one, for the first is often the base model's.
pub fn stated_version(segments: &[Segment]) -> Option<&str> {
    segments.iter().rev().find(|segment| segment.kind == Kind::Version).map(|segment| segment.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> String {
        parse(name)
            .iter()
            .map(|segment| format!("{}={}", segment.kind.as_str(), segment.text))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn names_fall_into_their_segments() {
        for (name, expected) in [
            ("meta-llama/Llama-3.1-8B-Instruct", "base_model=Llama version=3.1 size=8B mechanism=Instruct"),
            ("Qwen/Qwen2.5-0.5B", "base_model=Qwen version=2.5 size=0.5B"),
            ("mistralai/Mixtral-8x7B-v0.1", "base_model=Mixtral size=8x7B version=v0.1"),
            ("TheBloke/Llama-2-7B-GGUF", "base_model=Llama identifier=2 size=7B variant=GGUF"),
            ("x/model-Q4_K_M", "identifier=model variant=Q4_K_M"),
            ("gpt2", "base_model=gpt2"),
            ("a/my-own-thing-20240301", "identifier=my-own-thing date=20240301"),
            ("b/bert-base-german-ner", "base_model=bert size=base language=german task=ner"),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
    }

    #[test]
    fn the_lists_are_sorted() {
        for list in [FAMILIES, SIZES, VARIANTS, MECHANISMS, TASKS, LANGUAGES] {
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            assert_eq!(list, sorted);
        }
    }

    #[test]
    fn a_pattern_counts_neighbours_of_one_kind_once() {
        assert_eq!(pattern(&parse("x/bert-base-de-fr")), "{base_model}{size}{language}");
        assert_eq!(stated_version(&parse("x/Qwen2.5-mine-v3")), Some("v3"));
        assert!(parse(&"x-".repeat(10_000)).len() <= PARTS);
    }
}
