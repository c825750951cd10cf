//! Search for merge recipes: candidates are proposed, the caller scores them, and better ones are proposed.
//!
//! Nothing is evaluated here. A search is a state that can be stored after each generation; the same scores always
//! lead to the same recipes.

mod bits;
mod cma;
mod config;
mod eigen;
mod evolution;
mod greedy;
mod normal;
mod read;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use config::{Better, SearchConfig, SearchMethod, Strategy};
use evolution::Evolution;
use greedy::Greedy;
pub use read::Draft;

use crate::TensorSource;

/// What a search rests on: its configuration, and what was found out about the models once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    pub config: SearchConfig,
    /// Layers of each of the models.
    pub layers: u64,
    /// Inner products of the deltas of the models over the squared norm of the base, for `greedy`.
    #[serde(default)]
    pub products: Vec<Vec<f64>>,
}

/// A recipe to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// A mergekit document.
    pub recipe: Value,
    /// The model that it is already.
    pub model: Option<String>,
    /// Why it is proposed.
    pub about: Value,
}

impl Proposal {
    /// The recipe as mergekit YAML.
    pub fn yaml(&self) -> String {
        serde_saphyr::to_string(&self.recipe).unwrap_or_default()
    }
}

/// What comes after a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Propose(Vec<Proposal>),
    /// There is nothing more to try, and why.
    Done(String),
}

/// The state of a search between two generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum Search {
    Greedy(Greedy),
    CmaEs(Evolution),
}

impl Search {
    /// A new search and its first candidates.
    pub fn start(basis: &Basis) -> (Self, Vec<Proposal>) {
        match basis.config.strategy {
            Strategy::Greedy => {
                let (state, proposals) = Greedy::start(basis);
                (Self::Greedy(state), proposals)
            }
            Strategy::CmaEs => {
                let (state, proposals) = Evolution::start(basis);
                (Self::CmaEs(state), proposals)
            }
        }
    }

    /// Takes the scores of the candidates proposed last, in order, none of them NaN.
    pub fn tell(&mut self, basis: &Basis, scores: &[f64]) -> Next {
        match self {
            Self::Greedy(state) => state.tell(basis, scores),
            Self::CmaEs(state) => state.tell(basis, scores),
        }
    }
}

impl Basis {
    /// Inner products of deltas from their cosines and norms; one that is undefined counts as zero.
    pub fn products(cosines: &[Vec<Option<f64>>], norms: &[Option<f64>]) -> Vec<Vec<f64>> {
        let norm = |at: usize| norms.get(at).copied().flatten().unwrap_or_default();
        let cell = |(i, j): (usize, &Option<f64>), row: usize| j.unwrap_or_default() * norm(row) * norm(i);
        let row =
            |(at, row): (usize, &Vec<Option<f64>>)| row.iter().enumerate().map(|c| cell(c, at)).collect();
        cosines.iter().enumerate().map(row).collect()
    }

    /// A recipe with what all recipes of the search have.
    fn finished(&self, mut recipe: Value) -> Value {
        if let (Some(fields), Some(dtype)) = (recipe.as_object_mut(), &self.config.dtype) {
            fields.insert("dtype".to_owned(), dtype.clone().into());
        }
        recipe
    }
}

/// Layers of a checkpoint.
pub fn layers(source: &dyn TensorSource) -> u64 {
    crate::merge::layer_count(source.tensors().iter().map(|tensor| tensor.name.as_str()))
}
