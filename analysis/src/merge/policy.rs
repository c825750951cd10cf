//! What a recipe does with tensors that its models do not have alike, and what became of them.

use std::collections::BTreeMap;

use domain::Item;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{MergeConfig, nonfinite::NonFinite, yaml};

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
    /// Whether tables of tokens are cut to the fewest rows, where these are the same tokens in all models.
    #[serde(skip_serializing_if = "is_default")]
    pub truncate_prefix: bool,
    /// Whether models of different architectures are merged: what they do not have in common is that of the base.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_crimes: bool,
    /// Whether NaN and infinities of the inputs are let through.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_nonfinite: bool,
}

/// What becomes of a tensor that some of the models lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// A norm or bias is copied from the base, without one from the first model that has it; for anything else the recipe is
    /// refused.
    #[default]
    Usual,
    /// The recipe is refused.
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
            truncate_prefix: flag((top, "truncate_prefix"), faults),
            allow_crimes: flag((top, "allow_crimes"), faults),
            allow_nonfinite: flag((top, "allow_nonfinite"), faults),
        }
    }

    /// Whether tensors may be copied from the base.
    pub(super) fn copies(&self) -> bool {
        self.missing == Missing::Base || self.on_mismatch == Mismatch::Base || self.allow_crimes
    }

    pub(super) const fn nonfinite(&self) -> NonFinite {
        if self.allow_nonfinite { NonFinite::Passed } else { NonFinite::Refused }
    }

    /// What of the policies contradicts the rest of a recipe.
    pub(super) fn faults(&self, config: &MergeConfig) -> Vec<Item> {
        let mut faults = Vec::new();
        let mut fault = |key: Policy, message: &str| {
            faults.push(Item { pointer: format!("/{}", key.key()), message: message.to_owned() });
        };
        if self.truncate_prefix && config.tokenizer_choice().is_some() {
            fault(
                Policy::TruncatePrefix,
                "rows are matched by token where a recipe asks for a tokenizer; keep one of the two",
            );
        }
        if self.allow_crimes && config.groups().iter().any(|group| group.slice.is_some()) {
            fault(
                Policy::AllowCrimes,
                "layers of different architectures are not stacked; list whole models under `models`",
            );
        }
        if self.allow_crimes && matches!(self.missing, Missing::Skip | Missing::Union) {
            fault(
                Policy::AllowCrimes,
                "it copies from the base what the models do not have in common, so `missing` can only be `base`",
            );
        }
        faults
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

fn flag((top, key): (&Map<String, Value>, &str), faults: &mut Vec<Item>) -> bool {
    match top.get(key) {
        None | Some(Value::Null) => false,
        Some(other) => {
            if let Some(on) = yaml::flag(other) {
                return on;
            }
            let found: String = other.to_string().chars().take(60).collect();
            let message = format!("expected true or false, found {found}");
            faults.push(Item { pointer: format!("/{key}"), message });
            false
        }
    }
}

/// The key of a recipe that decided about a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    Missing,
    OnMismatch,
    TruncatePrefix,
    AllowCrimes,
    Exclude,
}

impl Policy {
    /// As recipes write it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::OnMismatch => "on_mismatch",
            Self::TruncatePrefix => "truncate_prefix",
            Self::AllowCrimes => "allow_crimes",
            Self::Exclude => "exclude",
        }
    }

    /// What it decides about.
    const fn about(self) -> &'static str {
        match self {
            Self::Missing => "tensors that not all models have",
            Self::OnMismatch => "tensors that have several shapes",
            Self::TruncatePrefix => "tables of tokens that have several numbers of rows",
            Self::AllowCrimes => "tensors that the models do not have in common",
            Self::Exclude => "tensors that the recipe excludes",
        }
    }
}

/// What a policy made of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Taken from this model as it is.
    Copied(String),
    /// Merged among the models that have it.
    Merged,
    /// Not in the result.
    LeftOut,
    /// Merged with so many of its first rows.
    Cut(u64),
}

impl Outcome {
    /// `copied`, `merged`, `left_out` or `cut`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Copied(_) => "copied",
            Self::Merged => "merged",
            Self::LeftOut => "left_out",
            Self::Cut(_) => "cut",
        }
    }

    /// The model that tensors are copied from.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Copied(model) => Some(model),
            Self::Merged | Self::LeftOut | Self::Cut(_) => None,
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Tensors that a policy decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// JSON Pointer of the key in the recipe, e.g. `/missing`.
    pub pointer: String,
    pub outcome: Outcome,
    /// The model that they are copied from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Rows that tables are cut to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// How many there are.
    pub tensors: u64,
    /// Names of the first of them, sorted; at most 100.
    pub names: Vec<String>,
    #[serde(skip)]
    about: &'static str,
}

impl Touched {
    fn new(policy: Policy, outcome: Outcome, (tensors, names): (u64, Vec<String>)) -> Self {
        let model = outcome.model().map(str::to_owned);
        let rows = if let Outcome::Cut(rows) = outcome { Some(rows) } else { None };
        let (pointer, about) = (format!("/{}", policy.key()), policy.about());
        Self { pointer, outcome, model, rows, tensors, names, about }
    }

    /// Tables of tokens of these names that are cut to `rows`.
    pub fn cut(rows: u64, mut tables: Vec<String>) -> Self {
        let count = tables.len() as u64;
        tables.truncate(NAMED);
        Self::new(Policy::TruncatePrefix, Outcome::Cut(rows), (count, tables))
    }

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
            Outcome::Cut(rows) => format!("are cut to their first {rows}"),
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
        self.0.into_iter().map(|((policy, outcome), named)| Touched::new(policy, outcome, named)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_tables_that_are_cut_the_first_are_named_and_all_are_counted() {
        let names = (0..150).map(|at| format!("table{at:03}")).collect();

        let touched = Touched::cut(7, names);

        assert_eq!((touched.tensors, touched.names.len(), touched.rows), (150, NAMED, Some(7)));
        assert!(touched.warning().message.contains("150 in all"));
    }
}
