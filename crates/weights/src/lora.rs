//! adapter_config.json and the names of an adapter's tensors, as PEFT writes them.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use crate::json::shown;

/// Most patterns of one kind; real configurations name each module at most once.
const PATTERNS: usize = 1_000;

/// Largest compiled pattern, bytes; a short one with nested counts grows without bound.
const PATTERN_BYTES: usize = 64 << 10;

/// The prefix PEFT puts before every module name.
pub const ADAPTER_PREFIX: &str = "base_model.model.";

/// What one adapter tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// `A` of a module; `embedding` when both factors belong to an embedding.
    Down { module: String, embedding: bool },
    /// `B` of a module.
    Up { module: String, embedding: bool },
    /// What is added to the bias of a module, scaled like `B·A`.
    Bias { module: String },
    /// A tensor stored whole, which replaces the base's.
    Whole { name: String },
    /// Something that changes the result and is not supported.
    Unknown,
}

/// Reads an adapter tensor's name.
pub(crate) fn part(name: &str) -> Part {
    let name = name.strip_prefix(ADAPTER_PREFIX).unwrap_or(name);
    let cut = |word: &str| {
        let (module, rest) = name.split_once(word)?;
        // `.weight`, `.default.weight`, or nothing after an embedding's factor.
        let fits = rest.is_empty() || (rest.starts_with('.') && !rest.ends_with(".bias"));
        fits.then(|| module.to_owned())
    };
    if let Some(module) = cut(".lora_embedding_A") {
        return Part::Down { module, embedding: true };
    }
    if let Some(module) = cut(".lora_embedding_B") {
        return Part::Up { module, embedding: true };
    }
    if let Some(module) = cut(".lora_A") {
        return Part::Down { module, embedding: false };
    }
    if let Some(module) = cut(".lora_B") {
        return Part::Up { module, embedding: false };
    }
    if let Some((module, rest)) = name.split_once(".lora_B")
        && rest.starts_with('.')
        && rest.ends_with(".bias")
    {
        return Part::Bias { module: module.to_owned() };
    }
    if name.contains("lora_") {
        return Part::Unknown;
    }
    let wrappers = [".modules_to_save.default.", ".modules_to_save.", ".base_layer."];
    Part::Whole { name: wrappers.iter().fold(name.to_owned(), |name, wrapper| name.replace(wrapper, ".")) }
}

/// The tensor of the base that a tensor of an adapter, by its name, changes or replaces.
pub fn changed_tensor(name: &str) -> Option<String> {
    match part(name) {
        Part::Down { module, .. } | Part::Up { module, .. } => Some(format!("{module}.weight")),
        Part::Bias { module } => Some(format!("{module}.bias")),
        Part::Whole { name } => Some(name),
        Part::Unknown => None,
    }
}

/// Why an adapter is none that can be applied, whatever its base; none where it can be, or where only its base decides.
pub fn unread_adapter<'n>(config: &Value, mut names: impl Iterator<Item = &'n str>) -> Option<String> {
    if let Err(faults) = Config::read(config) {
        return Some(faults.join("; "));
    }
    // kohya's tools write `lora_unet_…` and the like before the names of modules, which no base has.
    let unknown = names.find(|name| name.starts_with("lora_") || part(name) == Part::Unknown)?;
    Some(format!("its tensor `{}` is of a kind that is not read", shown(unknown)))
}

/// The part of adapter_config.json that decides the numbers.
#[derive(Debug)]
pub(crate) struct Config {
    rank: u64,
    alpha: f64,
    ranks: Vec<(Pattern, f64)>,
    alphas: Vec<(Pattern, f64)>,
    rslora: bool,
    /// Base weights are stored `[in, out]`.
    pub(crate) transposed: bool,
}

impl Config {
    /// Reads the document; every reason why it cannot be honoured.
    pub(crate) fn read(config: &Value) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        if !config.is_object() {
            return Err(vec!["it must be a JSON object".to_owned()]);
        }
        let kind = config.get("peft_type").and_then(Value::as_str).unwrap_or("LORA");
        if kind != "LORA" {
            faults.push(format!("peft_type is {kind}; only LORA can be applied"));
        }
        for key in ["use_dora", "use_qalora", "alora_invocation_tokens", "layer_replication"] {
            if !matches!(config.get(key), None | Some(Value::Null | Value::Bool(false))) {
                faults.push(format!("{key} is set; adapters with it are not supported"));
            }
        }
        if config.get("target_parameters").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            faults.push("target_parameters is set; only adapters of modules are supported".to_owned());
        }
        let start = config.get("init_lora_weights").and_then(Value::as_str).unwrap_or_default();
        if ["pissa", "olora", "corda", "loftq"].iter().any(|word| start.starts_with(word)) {
            faults.push(format!(
                "init_lora_weights is {start}, which also changes the base; convert it to plain LoRA"
            ));
        }
        let rank = match config.get("r") {
            None | Some(Value::Null) => 8,
            Some(value) => value.as_u64().filter(|&rank| rank > 0).unwrap_or_else(|| {
                faults.push(format!("r is {value}; it must be a whole number from 1"));
                1
            }),
        };
        let alpha = match config.get("lora_alpha") {
            None | Some(Value::Null) => 8.0,
            Some(value) => value.as_f64().unwrap_or_else(|| {
                faults.push(format!("lora_alpha is {value}; it must be a number"));
                1.0
            }),
        };
        let flag = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
        let ranks = patterns(config, "rank_pattern", &mut faults);
        let alphas = patterns(config, "alpha_pattern", &mut faults);
        let (rslora, transposed) = (flag("use_rslora"), flag("fan_in_fan_out"));
        if faults.is_empty() {
            Ok(Self { rank, alpha, ranks, alphas, rslora, transposed })
        } else {
            Err(faults)
        }
    }

    /// The rank `module` should have.
    pub(crate) fn rank(&self, module: &str) -> u64 {
        pick(&self.ranks, module).map_or(self.rank, |rank| rank as u64)
    }

    /// The factor before B·A for `module`.
    pub(crate) fn scale(&self, module: &str) -> f64 {
        let rank = self.rank(module) as f64;
        pick(&self.alphas, module).unwrap_or(self.alpha) / if self.rslora { rank.sqrt() } else { rank }
    }
}

/// A key of a pattern object: a regular expression for the end of a module's name.
#[derive(Debug)]
enum Pattern {
    /// Without any sign but `.`, which stands for one byte as in an expression.
    Name(String),
    Expression(Regex),
}

impl Pattern {
    fn read(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !text.is_empty() && text.bytes().all(plain) {
            return Ok(Self::Name(text.to_owned()));
        }
        // Tensor names are ASCII; Unicode classes alone would take most of the allowance.
        let built = RegexBuilder::new(&format!(r"^(?:.*\.)?(?:{text})$"))
            .unicode(false)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build();
        match built {
            Ok(regex) => Ok(Self::Expression(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err("which is too large an expression".to_owned()),
            Err(_) => Err("which is not a regular expression".to_owned()),
        }
    }

    fn matches(&self, module: &str) -> bool {
        match self {
            Self::Expression(regex) => regex.is_match(module.as_bytes()),
            Self::Name(name) => {
                let Some(start) = module.len().checked_sub(name.len()) else { return false };
                let (head, tail) = module.as_bytes().split_at(start);
                let same = |(&wanted, &byte): (&u8, &u8)| wanted == byte || wanted == b'.';
                head.last().is_none_or(|&byte| byte == b'.') && name.as_bytes().iter().zip(tail).all(same)
            }
        }
    }
}

/// A pattern object: keys are regular expressions for the end of a module's name.
fn patterns(config: &Value, key: &str, faults: &mut Vec<String>) -> Vec<(Pattern, f64)> {
    let map = match config.get(key) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            faults.push(format!("{key} must be an object of numbers"));
            return Vec::new();
        }
    };
    if map.len() > PATTERNS {
        faults.push(format!("{key} holds {} patterns; at most {PATTERNS} are accepted", map.len()));
        return Vec::new();
    }
    let mut read = Vec::new();
    for (pattern, value) in map {
        let number = value.as_f64().filter(|&n| n > 0.0 && (key != "rank_pattern" || n.fract() == 0.0));
        match (Pattern::read(pattern), number) {
            (Ok(read_pattern), Some(number)) => read.push((read_pattern, number)),
            (Err(reason), _) => faults.push(format!("{key} holds `{}`, {reason}", shown(pattern))),
            (_, None) => {
                faults.push(format!("{key} gives `{}` the value {value}; it must be above 0", shown(pattern)))
            }
        }
    }
    read
}

fn pick(patterns: &[(Pattern, f64)], module: &str) -> Option<f64> {
    patterns.iter().find(|(pattern, _)| pattern.matches(module)).map(|(_, value)| *value)
}
