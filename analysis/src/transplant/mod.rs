//! Giving a model another tokenizer without training: rows of shared tokens are kept, the others are put together from
//! them as they are in the donor (arXiv 2506.06607).

mod bytes;
mod digits;
mod matching;
mod plan;
mod pursuit;
mod solve;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, sync::Arc};

use domain::{Item, Limits};
use serde::{Deserialize, Serialize};
use weights::{TensorSource, Tokenizer};

pub use matching::Roles;
pub use plan::Transplant;

/// Rows that a row is put together from, unless asked otherwise.
pub const TERMS: usize = 64;

/// A model with its tokenizer.
#[derive(Clone)]
pub struct Side {
    pub label: String,
    pub source: Arc<dyn TensorSource>,
    pub tokenizer: Arc<Tokenizer>,
    pub roles: Roles,
}

/// What becomes of a token that the recipient lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Put together from rows of shared tokens, with the coefficients by which orthogonal matching pursuit puts
    /// the donor's row together from the donor's.
    #[default]
    Omp,
    /// The mean of the rows of shared tokens.
    Mean,
    Zero,
}

impl Fill {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Omp, Self::Mean, Self::Zero];

    /// As recipes write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Omp => "omp",
            Self::Mean => "mean",
            Self::Zero => "zero",
        }
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Fill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::label).join(", ");
        Self::ALL.into_iter().find(|fill| fill.label() == text).ok_or_else(|| format!("there are {known}"))
    }
}

/// How rows are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    #[serde(default)]
    pub fill: Fill,
    /// Most shared tokens that one row is put together from.
    #[serde(default = "terms")]
    pub k: usize,
    /// Shared tokens that are looked at for a row: those whose rows have the largest products with it. All when
    /// none is given; fewer take less time and may give another result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<usize>,
}

const fn terms() -> usize {
    TERMS
}

impl Default for Options {
    fn default() -> Self {
        Self { fill: Fill::Omp, k: TERMS, candidates: None }
    }
}

impl Options {
    fn faults(&self, limits: &Limits) -> Vec<Item> {
        let fault = |pointer: &str, message: String| Item { pointer: pointer.to_owned(), message };
        let mut faults = Vec::new();
        let most = limits.transplant_terms;
        if !(1..=most).contains(&self.k) {
            faults.push(fault("/k", format!("{} rows; expected 1 to {most} (`transplant_terms`)", self.k)));
        }
        if let Some(candidates) = self.candidates.filter(|candidates| *candidates < self.k) {
            let message =
                format!("{candidates} candidates are fewer than the {} rows to choose (`k`)", self.k);
            faults.push(fault("/candidates", message));
        }
        faults
    }
}

/// What a transplant does, told before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows of the result.
    pub rows: u64,
    /// Tokens of the donor that the recipient has too; their rows are the recipient's.
    pub shared: usize,
    /// Tokens that the recipient lacks.
    pub new: usize,
    /// Tables of tokens that get new rows.
    pub tables: Vec<String>,
    pub warnings: Vec<Item>,
}
