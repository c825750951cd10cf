//! What the configurations of models say of merging them: their architectures, and numbers that no tensor shows.

use std::collections::BTreeMap;

use domain::Item;
use serde_json::Value;

use super::check::Job;
use crate::transfer::differing;

/// Numbers that decide what the same tensors compute.
const MEANING: [&str; 9] = [
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rms_norm_eps",
    "sliding_window",
];

/// What an architecture is called without what its head is for: `Llama` of `LlamaForCausalLM`.
fn family(architecture: &str) -> String {
    let ends =
        ["For", "LMHead", "Model"].iter().filter_map(|word| architecture.find(word)).filter(|at| *at > 0);
    architecture[..ends.min().unwrap_or(architecture.len())].to_lowercase()
}

fn architecture(config: &Value) -> Option<&str> {
    config.get("architectures")?.as_array()?.first()?.as_str()
}

impl Job<'_> {
    fn configuration(&self, label: &str) -> Option<&Value> {
        self.inputs.get(label)?.config.as_deref()
    }

    /// That models are of different architectures by their configurations; none where they are not, or say nothing.
    pub fn architectures(&self, labels: &[&str]) -> Option<String> {
        let mut families: Vec<(String, &str, &str)> = Vec::new();
        for label in labels {
            let Some(architecture) = self.configuration(label).and_then(architecture) else { continue };
            let family = family(architecture);
            if families.iter().all(|(known, ..)| *known != family) {
                families.push((family, label, architecture));
            }
        }
        let models: Vec<String> = families.iter().map(|(_, label, _)| format!("`{label}`")).collect();
        let called: Vec<&str> = families.iter().map(|(.., architecture)| *architecture).collect();
        (families.len() > 1)
            .then(|| format!("{} are of different architectures: {}", listed(&models), listed(&called)))
    }

    /// Warns of models whose configurations give the same tensors another meaning than the heir's.
    pub fn meanings(&mut self) {
        let config = self.config;
        let Some(heir) = config.heir() else { return };
        let inputs = self.inputs;
        let Some(ours) = inputs.get(&heir).and_then(|input| input.config.as_deref()) else { return };
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for label in config.weight_refs().into_iter().filter(|label| *label != heir) {
            let Some(theirs) = inputs.get(&label).and_then(|input| input.config.as_deref()) else { continue };
            for (field, own, other) in differing((ours, theirs), &MEANING) {
                told.entry(label.clone()).or_default().push(format!("`{field}` is {other} instead of {own}"));
            }
        }
        for (label, differences) in told {
            let message = format!(
                "the configuration of `{label}` differs from that of `{heir}`, which the result gets: {}",
                differences.join(", ")
            );
            self.outline.warnings.push(Item { pointer: config.place_of(&label), message });
        }
    }
}

fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::family;

    #[test]
    fn what_a_head_is_for_is_no_part_of_an_architecture() {
        for (architecture, expected) in [
            ("LlamaForCausalLM", "llama"),
            ("LLaMAForCausalLM", "llama"),
            ("LlamaForSequenceClassification", "llama"),
            ("GPT2LMHeadModel", "gpt2"),
            ("BertModel", "bert"),
            ("Qwen2VLForConditionalGeneration", "qwen2vl"),
        ] {
            assert_eq!(family(architecture), expected);
        }
    }
}
