//! Searches and candidates as REST and the command line show them.

use jobs::{Pending, SearchReport};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{CandidateRow, SearchRow};
use utoipa::{ToSchema, openapi::schema::Object};

use crate::schema::one_of;

/// A search for a merge recipe.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchView {
    pub id: String,
    /// As it was asked for, defaults included.
    #[schema(value_type = Object)]
    pub config: Value,
    /// running, finished or cancelled.
    pub state: String,
    /// Why it ended.
    pub reason: Option<String>,
    /// From 0 on.
    pub generation: u64,
    /// Candidates so far.
    pub proposed: u64,
    /// Of them, those with a score.
    pub scored: u64,
    /// Unix seconds.
    pub created_at: i64,
    pub finished_at: Option<i64>,
    /// The candidate with the best score; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<CandidateView>,
    /// Candidates that wait for a score; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Vec<CandidateView>>,
}

/// A candidate of a search.
#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateView {
    /// From 1 on, in the order of proposal.
    pub candidate: u64,
    pub generation: u64,
    /// mergekit YAML, complete.
    pub recipe: String,
    /// What its merge is to be called, or the model that it is already.
    pub model: String,
    /// Why it was proposed: `reason`, and of a greedy merge `parents`, their `kinship`, whether that is `exact`, and its
    /// `standard_error`.
    #[schema(value_type = Object)]
    pub about: Value,
    pub score: Option<f64>,
    /// Unix seconds.
    pub scored_at: Option<i64>,
    /// Merges of this search that the recipe builds on and that are not in the registry yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl From<SearchRow> for SearchView {
    fn from(mut row: SearchRow) -> Self {
        Self {
            config: row.basis.get_mut("config").map(Value::take).unwrap_or_default(),
            id: row.id,
            state: row.state,
            reason: row.reason,
            generation: row.generation,
            proposed: row.proposed,
            scored: row.scored,
            created_at: row.created_at,
            finished_at: row.finished_at,
            best: None,
            pending: None,
        }
    }
}

impl From<SearchReport> for SearchView {
    fn from(report: SearchReport) -> Self {
        let pending = report.pending.into_iter().map(CandidateView::from).collect();
        let best = report.best.map(CandidateView::from);
        Self { best, pending: Some(pending), ..Self::from(report.row) }
    }
}

impl From<CandidateRow> for CandidateView {
    fn from(row: CandidateRow) -> Self {
        Self {
            candidate: row.number,
            generation: row.generation,
            recipe: row.recipe,
            model: row.model,
            about: row.about,
            score: row.score,
            scored_at: row.scored_at,
            missing: Vec::new(),
        }
    }
}

impl From<Pending> for CandidateView {
    fn from(pending: Pending) -> Self {
        Self { missing: pending.missing, ..Self::from(pending.candidate) }
    }
}

/// A page of searches.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchPage {
    pub items: Vec<SearchView>,
    pub next: Option<String>,
}

/// A page of candidates.
#[derive(Debug, Serialize, ToSchema)]
pub struct CandidatePage {
    pub items: Vec<CandidateView>,
    pub next: Option<String>,
}

/// A search to begin. [`jobs::create_search`] reads it, so that every fault is told.
#[derive(ToSchema)]
#[allow(dead_code)] // It stands for the body in the document.
pub struct NewSearch {
    #[schema(schema_with = strategies)]
    strategy: String,
    #[schema(schema_with = methods)]
    method: String,
    /// The models to start from, or to weigh against each other.
    models: Vec<String>,
    /// What deltas are taken against: for kinship (`greedy`) and by methods that merge deltas.
    base: Option<String>,
    /// Whether the best score is the highest; higher by default.
    #[schema(schema_with = betters, required = false)]
    better: Option<String>,
    /// Most candidates to score, 100 by default.
    budget: Option<u64>,
    /// Chooses the candidates of `cma_es` and the random masks of `dare_ties`; 0 by default.
    seed: Option<u64>,
    /// Number format of the merges, as in a recipe.
    dtype: Option<String>,
    /// Candidate 7 is to be called this and `-7`.
    output: Option<String>,
    /// `greedy`: how many of the best are merged with each other.
    k: Option<u64>,
    /// `greedy`: share of the worse of two models.
    t: Option<f64>,
    /// `cma_es`: layers that share their numbers; 0, the default, for all.
    layer_granularity: Option<u64>,
    /// `cma_es`: whether numbers run evenly from one group of layers to the next.
    smooth: Option<bool>,
    /// `cma_es`: parts of tensor names that get numbers of their own.
    filters: Option<Vec<String>>,
    allow_negative_weights: Option<bool>,
    /// Overrides the method's: true, but for `task_arithmetic`.
    normalize: Option<bool>,
}

fn strategies() -> Object {
    one_of(["greedy", "cma_es"])
}

fn methods() -> Object {
    one_of(["linear", "slerp", "task_arithmetic", "ties", "dare_ties"])
}

fn betters() -> Object {
    one_of(["higher", "lower"])
}

/// Scores of candidates.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScores {
    pub scores: Vec<NewScore>,
}

/// The score of one candidate, a finite number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScore {
    pub candidate: u64,
    pub score: f64,
}
