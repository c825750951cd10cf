//! adapter_config.json and the names of an adapter's tensors, as PEFT writes them.

use regex::Regex;
use serde_json::Value;

/// The prefix PEFT puts before every module name.
const PREFIX: &str = "base_model.model.";

/// What one adapter tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// `A` of a module; `embedding` when both factors belong to an embedding.
    Down { module: String, embedding: bool },
    /// `B` of a module.
    Up { module: String, embedding: bool },
    /// A tensor stored whole, which replaces the base's.
    Whole { name: String },
    /// Something that changes the result and is not supported.
    Unknown,
}

/// Reads an adapter tensor's name.
pub(crate) fn part(name: &str) -> Part {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
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
    if name.contains("lora_") {
        return Part::Unknown;
    }
    Part::Whole { name: name.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".") }
}

/// The part of adapter_config.json that decides the numbers.
#[derive(Debug)]
pub(crate) struct Config {
    rank: u64,
    alpha: f64,
    ranks: Vec<(Regex, f64)>,
    alphas: Vec<(Regex, f64)>,
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
        for key in ["use_dora", "use_qalora", "lora_bias", "alora_invocation_tokens", "layer_replication"] {
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

/// A pattern object: keys are regular expressions for the end of a module's name.
fn patterns(config: &Value, key: &str, faults: &mut Vec<String>) -> Vec<(Regex, f64)> {
    let map = match config.get(key) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            faults.push(format!("{key} must be an object of numbers"));
            return Vec::new();
        }
    };
    let mut read = Vec::new();
    for (pattern, value) in map {
        let number = value.as_f64().filter(|&n| n > 0.0 && (key != "rank_pattern" || n.fract() == 0.0));
        match (Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")), number) {
            (Ok(regex), Some(number)) => read.push((regex, number)),
            (Err(_), _) => faults.push(format!("{key} holds `{pattern}`, which is not a regular expression")),
            (_, None) => {
                faults.push(format!("{key} gives `{pattern}` the value {value}; it must be above 0"))
            }
        }
    }
    read
}

fn pick(patterns: &[(Regex, f64)], module: &str) -> Option<f64> {
    patterns.iter().find(|(regex, _)| regex.is_match(module)).map(|(_, value)| *value)
}
