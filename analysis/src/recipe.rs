//! A derived model as a canonical document: its inputs pinned by digest, its own digest the name of the result.

use std::collections::{BTreeMap, BTreeSet};

use domain::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    transfer::{AlignedRows, Options as TransferOptions},
    transplant::Options as TransplantOptions,
};

/// One input, pinned to its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub id: String,
    /// `sha256:…` of the content.
    pub digest: String,
    /// The member of a difference that several models share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// What an adapter is applied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Box<Pinned>>,
    /// The canonical recipe of an input that is computed itself; its digest is that of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Box<Value>>,
}

impl Pinned {
    /// What pins the content: the digest, the member, and the digest of what an adapter is applied to.
    pub fn content(&self) -> String {
        let mut content = self.digest.clone();
        if let Some(member) = &self.member {
            content.push_str(&format!("#{member}"));
        }
        match &self.base {
            Some(base) => format!("{content}+{}", base.content()),
            None => content,
        }
    }

    /// [`Self::content`] with what is computed itself by its address.
    fn address(&self) -> String {
        let made =
            self.recipe.as_deref().and_then(|recipe| serde_json::from_value::<Recipe>(recipe.clone()).ok());
        match (made, &self.base) {
            (Some(recipe), _) => recipe.address().to_string(),
            (None, Some(base)) => {
                let own = Self { base: None, ..self.clone() };
                format!("{}+{}", own.content(), base.address())
            }
            (None, None) => self.content(),
        }
    }

    /// The model's own name, without a revision: of `base+adapter` that of the adapter.
    pub fn name(&self) -> &str {
        let pair = self.base.as_deref().zip(self.id.split_once('+'));
        match pair {
            Some((base, (first, own))) if first == base.id || bare(first) == base.id => bare(own),
            _ => &self.id,
        }
    }
}

/// The name of a model without its revision.
fn bare(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

/// How a model is computed from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recipe {
    /// A merge; `config` is [`crate::merge::MergeConfig::canonical`], its model names are the keys of `inputs`.
    Merge { config: Value, inputs: BTreeMap<String, Pinned> },
    /// `target_base + lambda·(source_tuned − source_base)`.
    Transfer {
        target_base: Pinned,
        source_base: Pinned,
        source_tuned: Pinned,
        #[serde(flatten)]
        options: TransferOptions,
        /// Embeddings and heads whose rows were matched by token.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rows: Vec<AlignedRows>,
    },
    /// `tuned − base`.
    Diff { tuned: Pinned, base: Pinned },
    /// `base + lambda·diff` with a stored difference.
    ApplyDiff { base: Pinned, diff: Pinned, lambda: f64 },
    /// `target_base + lambda·diff` with a stored difference, in the tensors that the options select.
    TransferDiff {
        target_base: Pinned,
        diff: Pinned,
        #[serde(flatten)]
        options: TransferOptions,
    },
    /// A LoRA adapter made of `tuned − base`; `options` are rank or energy, patterns and number format.
    ExtractAdapter { base: Pinned, tuned: Pinned, options: Value },
    /// `base` with `scale` of `adapter` applied.
    BakeAdapter { base: Pinned, adapter: Pinned, scale: f64 },
    /// The weights of `recipient` with the tokenizer of `donor`.
    TransplantTokenizer { recipient: Pinned, donor: Pinned, options: TransplantOptions },
}

impl Recipe {
    /// The document with all keys sorted.
    pub fn canonical(&self) -> Value {
        sorted(serde_json::to_value(self).unwrap_or_default())
    }

    /// What the model is computed from, by role or by the name the recipe gives it.
    pub fn inputs(&self) -> Vec<(&str, &Pinned)> {
        match self {
            Self::Merge { inputs, .. } => {
                inputs.iter().map(|(name, pinned)| (name.as_str(), pinned)).collect()
            }
            Self::Transfer { target_base, source_base, source_tuned, .. } => vec![
                ("target_base", target_base),
                ("source_base", source_base),
                ("source_tuned", source_tuned),
            ],
            Self::Diff { tuned, base } | Self::ExtractAdapter { base, tuned, .. } => {
                vec![("base", base), ("tuned", tuned)]
            }
            Self::ApplyDiff { base, diff, .. } => vec![("base", base), ("diff", diff)],
            Self::TransferDiff { target_base, diff, .. } => {
                vec![("target_base", target_base), ("diff", diff)]
            }
            Self::BakeAdapter { base, adapter, .. } => vec![("base", base), ("adapter", adapter)],
            Self::TransplantTokenizer { recipient, donor, .. } => {
                vec![("recipient", recipient), ("donor", donor)]
            }
        }
    }

    /// Digest of the canonical document: same recipe and inputs, same digest.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().to_string().as_bytes())
    }

    /// Digest of the canonical document with every model named by its content: the address of what the recipe makes, the same on
    /// any machine and whatever the models are called there.
    pub fn address(&self) -> Digest {
        let mut document = self.canonical();
        match self {
            Self::Merge { config, inputs } => {
                let contents: BTreeMap<&str, String> =
                    inputs.iter().map(|(name, pinned)| (name.as_str(), pinned.address())).collect();
                let named = contents.iter().map(|(name, content)| (*name, content.as_str())).collect();
                document["config"] = called(config.clone(), &named);
                document["inputs"] =
                    contents.values().collect::<BTreeSet<_>>().into_iter().cloned().collect();
            }
            _ => {
                self.inputs().into_iter().for_each(|(role, pinned)| document[role] = pinned.address().into())
            }
        }
        Digest::of(sorted(document).to_string().as_bytes())
    }
}

/// A document with the names of models replaced by their contents, so that it is the same whatever they are called.
pub fn called(document: Value, contents: &BTreeMap<&str, &str>) -> Value {
    match document {
        Value::String(text) => {
            let content = contents.get(text.as_str()).map(|content| (*content).to_owned());
            Value::String(content.unwrap_or(text))
        }
        Value::Array(items) => items.into_iter().map(|item| called(item, contents)).collect(),
        Value::Object(fields) => {
            // A folder may be called like a method.
            let inside = |(key, value): (String, Value)| {
                let value = if key == "merge_method" { value } else { called(value, contents) };
                (key, value)
            };
            fields.into_iter().map(inside).collect()
        }
        other => other,
    }
}

/// `value` with the keys of every object in byte order.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let ordered: BTreeMap<String, Value> = fields.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(ordered.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_called_by_its_own_name_and_a_folder_by_all_of_its_path() {
        let bare = |id: &str| Pinned {
            id: id.to_owned(),
            digest: String::new(),
            member: None,
            base: None,
            recipe: None,
        };
        let pin = |id: &str, base: Option<&str>| Pinned {
            id: id.to_owned(),
            digest: String::new(),
            member: None,
            base: base.map(|id| Box::new(bare(id))),
            recipe: None,
        };

        assert_eq!(pin("o/base@sha256:12+o/low@sha256:34", Some("o/base")).name(), "o/low");
        assert_eq!(pin("/models/a+b/low", Some("o/base")).name(), "/models/a+b/low");
        assert_eq!(pin("o/base", None).name(), "o/base");
    }

    #[test]
    fn the_digest_depends_on_content_and_not_on_key_order() {
        let pin = |digest: &str| {
            BTreeMap::from([(
                "a".to_owned(),
                Pinned { id: "o/a".into(), digest: digest.into(), member: None, base: None, recipe: None },
            )])
        };
        let merge = |text: &str, digest| Recipe::Merge {
            config: serde_json::from_str(text).unwrap(),
            inputs: pin(digest),
        };

        let one = merge(r#"{"merge_method":"linear","models":[]}"#, "x");
        let other = merge(r#"{"models":[],"merge_method":"linear"}"#, "x");

        assert_eq!(one.digest(), other.digest());
        assert_ne!(one.digest(), merge(r#"{"models":[],"merge_method":"linear"}"#, "y").digest());
    }

    #[test]
    fn the_address_depends_on_contents_and_not_on_what_they_are_called() {
        let pinned = |id: &str, digest: &str| Pinned {
            id: id.to_owned(),
            digest: digest.to_owned(),
            member: None,
            base: None,
            recipe: None,
        };
        let merge = |[one, two]: [&str; 2], method: &str| Recipe::Merge {
            config: serde_json::json!({ "merge_method": method, "models": [{ "model": one }, { "model": two }] }),
            inputs: [(one, "x"), (two, "y")]
                .into_iter()
                .map(|(name, digest)| (name.to_owned(), pinned(name, digest)))
                .collect(),
        };
        let below = |recipe: &Recipe, id: &str| {
            let digest = recipe.digest().to_string();
            let made = Pinned { recipe: Some(Box::new(recipe.canonical())), ..pinned(id, &digest) };
            Recipe::Diff { tuned: made, base: pinned("base", "z") }
        };
        let (here, there) = (merge(["a", "linear"], "linear"), merge(["/models/b", "o/a"], "linear"));

        assert_eq!(here.address(), there.address());
        assert_ne!(here.digest(), there.digest());
        assert_ne!(here.address(), merge(["a", "linear"], "slerp").address());
        assert_eq!(below(&here, "one").address(), below(&there, "two").address());
    }
}
