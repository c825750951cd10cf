//! What a recipe does with tensors that its models do not have alike, and what became of them.

use std::collections::BTreeMap;

use domain::Item;
use serde::Serialize;
use serde_json::{Map, Value};

/// Names of tensors that a warning spells out.
const SPELLED: usize = 5;
/// Names of tensors that are kept for the record.
const NAMED: usize = 100;

/// What is done where the models do not have the same tensors. Defaults stay out of the canonical recipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Policies {
    /// For tensors that some of the models lack.
    #[serde(skip_serializing_if = "is_default")]
    pub missing: Missing,
    /// For tensors of several shapes; tables of tokens with other rows are no case of it.
    #[serde(skip_serializing_if = "is_default")]
    pub on_mismatch: Mismatch,
}

/// What becomes of a tensor that some of the models lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The recipe is refused.
    #[default]
    Error,
    /// It is copied from the base, without one from the model listed first.
    Base,
    /// The result does not have it.
    Skip,
    /// It is merged among the models that have it, or copied where these are too few.
    Union,
}

/// What becomes of a tensor that has not one shape in all models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// The recipe is refused.
    #[default]
    Error,
    /// It is copied from the base, without one from the model listed first.
    Base,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Policies {
    /// The keys at the top of a recipe; what they cannot hold goes to `faults`.
    pub(super) fn read(top: &Map<String, Value>, faults: &mut Vec<Item>) -> Self {
        Self {
            missing: word(
                (top, "missing"),
                &[
                    ("error", Missing::Error),
                    ("base", Missing::Base),
                    ("skip", Missing::Skip),
                    ("union", Missing::Union),
                ],
                faults,
            ),
            on_mismatch: word(
                (top, "on_mismatch"),
                &[("error", Mismatch::Error), ("base", Mismatch::Base)],
                faults,
            ),
        }
    }
}

fn word<T: Copy + Default>(
    (top, key): (&Map<String, Value>, &str),
    known: &[(&str, T)],
    faults: &mut Vec<Item>,
) -> T {
    let Some(value) = top.get(key).filter(|value| !value.is_null()) else { return T::default() };
    if let Some((_, chosen)) = known.iter().find(|(word, _)| value == word) {
        return *chosen;
    }
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let found: String = value.to_string().chars().take(60).collect();
    let message = format!("expected one of {}, found {found}", words.join(", "));
    faults.push(Item { pointer: format!("/{key}"), message });
    T::default()
}

/// The key of a recipe that decided about a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    Missing,
    OnMismatch,
}

impl Policy {
    /// As recipes write it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::OnMismatch => "on_mismatch",
        }
    }

    /// What it decides about.
    const fn about(self) -> &'static str {
        match self {
            Self::Missing => "tensors that not all models have",
            Self::OnMismatch => "tensors that have several shapes",
        }
    }
}

/// What a policy made of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "outcome", content = "model", rename_all = "snake_case")]
pub enum Outcome {
    /// Taken from this model as it is.
    Copied(String),
    /// Merged among the models that have it.
    Merged,
    /// Not in the result.
    LeftOut,
}

impl Outcome {
    /// `copied`, `merged` or `left_out`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Copied(_) => "copied",
            Self::Merged => "merged",
            Self::LeftOut => "left_out",
        }
    }

    /// The model that tensors are copied from.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Copied(model) => Some(model),
            Self::Merged | Self::LeftOut => None,
        }
    }
}

/// Tensors that a policy decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// JSON Pointer of the key in the recipe, e.g. `/missing`.
    pub pointer: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How many there are.
    pub tensors: u64,
    /// Names of the first of them, sorted; at most 100.
    pub names: Vec<String>,
    #[serde(skip)]
    about: &'static str,
}

impl Touched {
    /// Of the document at `pointer`.
    #[must_use]
    pub fn under(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }

    /// The same as a warning.
    pub fn warning(&self) -> Item {
        let some: Vec<String> =
            self.names.iter().take(SPELLED).map(|name| format!("`{}`", clipped(name))).collect();
        let more = match self.tensors - some.len() as u64 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = match &self.outcome {
            Outcome::Copied(model) => format!("are copied from `{model}`"),
            Outcome::Merged => "are merged among the models that have them".to_owned(),
            Outcome::LeftOut => "are left out".to_owned(),
        };
        let message = format!("{} {what}, {} in all: {}{more}", self.about, self.tensors, some.join(", "));
        Item { pointer: self.pointer.clone(), message }
    }
}

fn clipped(name: &str) -> String {
    name.chars().take(200).collect()
}

/// Counts what policies decide.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(Policy, Outcome), (u64, Vec<String>)>);

impl Tally {
    pub fn add(&mut self, policy: Policy, outcome: Outcome, name: &str) {
        let (count, names) = self.0.entry((policy, outcome)).or_default();
        *count += 1;
        if names.len() < NAMED {
            names.push(name.to_owned());
        }
    }

    pub fn touched(self) -> Vec<Touched> {
        let touched = |((policy, outcome), (tensors, names)): ((Policy, Outcome), (u64, Vec<String>))| {
            let pointer = format!("/{}", policy.key());
            Touched { pointer, outcome, tensors, names, about: policy.about() }
        };
        self.0.into_iter().map(touched).collect()
    }
}
