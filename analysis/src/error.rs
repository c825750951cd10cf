//! What can stop a computation of this room.

use domain::{Class, Fault, Item};

use crate::kinship::Skipped;

/// Most faults one error spells out in its message; all that it holds are in [`Fault::items`].
const SPELLED: usize = 5;

/// A failure of a kinship, diff, merge or transfer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading an input failed.
    #[error(transparent)]
    Weights(#[from] weights::Error),
    /// The recipe is not YAML.
    #[error("the merge recipe is not valid YAML: {0}")]
    Yaml(String),
    /// Everything wrong with a recipe or its inputs, found in one go.
    #[error("{}", spell(.0))]
    Faults(Faults),
    /// Fewer models than a comparison needs.
    #[error("{needed} models or more are needed, {given} given")]
    TooFewModels { needed: usize, given: usize },
    /// Not one tensor can be compared.
    #[error(
        "no tensor can be compared: one must have the same name, the same shape and finite floats in every model ({hint})"
    )]
    NothingInCommon { hint: String },
    /// Too little of the weights of the models can be compared; the shares are 0 to 1.
    #[error(
        "too little in common: {}\u{a0}% of the weights can be compared{}, {}\u{a0}% are needed ({hint}); ask for a \
         partial comparison (`--partial`, `partial=true`) to take what there is",
        told_apart(*.share, *.needed)[0],
        if *.exact { "" } else { " by their sketches, where an exact comparison reads the weights" },
        told_apart(*.share, *.needed)[1]
    )]
    TooLittleInCommon {
        share: f64,
        needed: f64,
        hint: String,
        left_out: Vec<Skipped>,
        /// Whether weights were looked at.
        exact: bool,
    },
    /// The caller's progress hook asked to stop.
    #[error("stopped: {0}")]
    Stopped(String),
}

/// Two shares as percentages, with as few decimals as tell them apart.
fn told_apart(one: f64, other: f64) -> [String; 2] {
    let with = |decimals: usize| [one, other].map(|share| format!("{:.decimals$}", share * 100.0));
    (0..=6).map(with).find(|[one, other]| one != other).unwrap_or_else(|| with(6))
}

fn spell(items: &[Item]) -> String {
    let line = |item: &Item| match item.pointer.as_str() {
        "" => item.message.clone(),
        pointer => format!("{pointer}: {}", item.message),
    };
    let mut text = items.iter().take(SPELLED).map(line).collect::<Vec<_>>().join("; ");
    if items.len() > SPELLED {
        text.push_str(&format!("; and {} more", items.len() - SPELLED));
    }
    text
}

/// Most faults reported; a wrong pairing of models has one a tensor.
const REPORTED: usize = 200;

/// The first 200 items, and how many more there are as one more.
fn first(items: impl ExactSizeIterator<Item = Item>, rest: &str) -> Vec<Item> {
    let more = items.len().saturating_sub(REPORTED);
    let last = (more > 0).then(|| Item { pointer: String::new(), message: format!("{more} more {rest}") });
    items.take(REPORTED).chain(last).collect()
}

/// The first 200 faults, and how many more there are as one more item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Item>);

impl From<Vec<Item>> for Faults {
    fn from(items: Vec<Item>) -> Self {
        Self(first(items.into_iter(), "faults are not listed"))
    }
}

impl std::ops::Deref for Faults {
    type Target = [Item];

    fn deref(&self) -> &[Item] {
        &self.0
    }
}

impl IntoIterator for Faults {
    type Item = Item;
    type IntoIter = std::vec::IntoIter<Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Error {
    /// Several faults; those beyond the first 200 are counted.
    pub fn faults(items: Vec<Item>) -> Self {
        Self::Faults(items.into())
    }

    /// One fault.
    pub(crate) fn fault(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::faults(vec![Item { pointer: pointer.into(), message: message.into() }])
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Weights(error) => error.code(),
            Self::Yaml(_) => "invalid_yaml",
            Self::Faults(_) => "invalid_recipe",
            Self::TooFewModels { .. } => "too_few_models",
            Self::NothingInCommon { .. } => "nothing_in_common",
            Self::TooLittleInCommon { .. } => "too_little_in_common",
            Self::Stopped(_) => "stopped",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Weights(error) => error.class(),
            Self::Stopped(_) => Class::Conflict,
            _ => Class::Invalid,
        }
    }

    fn wait(&self) -> Option<u64> {
        match self {
            Self::Weights(error) => error.wait(),
            _ => None,
        }
    }

    fn items(&self) -> Vec<Item> {
        match self {
            Self::Weights(error) => error.items(),
            Self::Faults(items) => items.to_vec(),
            Self::TooLittleInCommon { left_out, .. } => {
                let told = |skipped: &Skipped| Item {
                    pointer: String::new(),
                    message: format!("`{}`: {}", skipped.tensor, skipped.reason),
                };
                first(left_out.iter().map(told), "tensors are left out")
            }
            _ => Vec::new(),
        }
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::Weights(error) => error.subject(),
            _ => "the recipe",
        }
    }

    fn headline(&self) -> String {
        match self {
            Self::Faults(items) if items.len() > REPORTED => {
                format!("the recipe has more than {REPORTED} faults")
            }
            Self::Faults(_) => domain::headline(self),
            _ => self.to_string(),
        }
    }
}
