//! What to search for, as the caller writes it, and everything that is wrong with it.

use std::{cmp::Ordering, collections::BTreeMap};

use domain::{Item, Limits};
use serde::{Deserialize, Serialize};

use super::cma::population;

/// A search for a merge recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    pub strategy: Strategy,
    pub method: SearchMethod,
    /// The models to start from, or to weigh against each other.
    pub models: Vec<String>,
    /// What deltas are taken against: for kinship (`greedy`) and by methods that merge deltas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether the best score is the highest.
    #[serde(default)]
    pub better: Better,
    /// Most candidates to score.
    #[serde(default = "hundred")]
    pub budget: u64,
    /// Chooses the candidates of `cma_es` and the random masks of `dare_ties`.
    #[serde(default)]
    pub seed: u64,
    /// Number format of the merges, as in a recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Candidate 7 is to be called this and `-7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// `greedy`: how many of the best are merged with each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// `greedy`: share of the worse of two models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<f64>,
    /// `greedy`: mean kinship of the best above which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tau: Option<f64>,
    /// `greedy`: it ends when the best score rose by less in each of two generations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// `greedy`: most generations of merges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations: Option<u64>,
    /// `cma_es`: layers that share their numbers; 0 for all.
    #[serde(default)]
    pub layer_granularity: u64,
    /// `cma_es`: whether numbers run evenly from one group of layers to the next.
    #[serde(default)]
    pub smooth: bool,
    /// `cma_es`: parts of tensor names that get numbers of their own, as do the tensors that have none of them.
    #[serde(default)]
    pub filters: Vec<String>,
    #[serde(default)]
    pub allow_negative_weights: bool,
    /// Overrides the method's: true, but for `task_arithmetic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
}

const fn hundred() -> u64 {
    100
}

/// How the next candidates are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Top-k greedy merging with exploration by kinship, <https://arxiv.org/abs/2410.12613>.
    Greedy,
    /// CMA-ES over the numbers of one recipe, <https://arxiv.org/abs/1604.00772>.
    CmaEs,
}

/// How candidates are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    Linear,
    Slerp,
    TaskArithmetic,
    Ties,
    DareTies,
}

impl SearchMethod {
    /// The id of the merge method.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Slerp => "slerp",
            Self::TaskArithmetic => "task_arithmetic",
            Self::Ties => "ties",
            Self::DareTies => "dare_ties",
        }
    }

    /// Whether it merges deltas against a base.
    pub const fn needs_base(self) -> bool {
        matches!(self, Self::TaskArithmetic | Self::Ties | Self::DareTies)
    }
}

/// Which scores are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    #[default]
    Higher,
    Lower,
}

impl Better {
    /// Puts the better of two scores first.
    pub(super) fn first(self, a: f64, b: f64) -> Ordering {
        match self {
            Self::Higher => b.total_cmp(&a),
            Self::Lower => a.total_cmp(&b),
        }
    }
}

/// Tells of every item that the list at a pointer holds before.
fn twice((list, pointer): (&[String], &str), fault: &mut impl FnMut(&str, String)) {
    let mut first = BTreeMap::new();
    for (at, item) in list.iter().enumerate() {
        let before = *first.entry(item).or_insert(at);
        if before < at {
            fault(&format!("{pointer}/{at}"), format!("`{item}` is listed already, at {before}"));
        }
    }
}

/// Most of the best that a greedy search merges with each other.
const MOST_BEST: usize = 16;
/// Most filters.
const MOST_FILTERS: usize = 16;

impl SearchConfig {
    /// How many of the best are merged with each other.
    pub(super) fn best(&self) -> usize {
        self.k.unwrap_or(3)
    }

    /// Share of the worse of two models.
    pub(super) fn share(&self) -> f64 {
        self.t.unwrap_or(0.5)
    }

    /// Mean kinship of the best from which on merges of them hardly differ.
    pub(super) fn saturation(&self) -> f64 {
        self.tau.unwrap_or(0.9)
    }

    /// Most generations of merges.
    pub(super) fn most_generations(&self) -> usize {
        self.generations.map_or(20, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// The id of a candidate's merge.
    pub fn output_of(&self, number: u64) -> String {
        format!("{}-{number}", self.output.as_deref().unwrap_or("search"))
    }

    /// Everything wrong with it that can be told without the models.
    pub fn faults(&self, limits: &Limits) -> Vec<Item> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, message: String| {
            faults.push(Item { pointer: pointer.to_owned(), message });
        };
        let (count, most) = (self.models.len(), limits.merge_models);
        if !(2..=most).contains(&count) {
            fault("/models", format!("2 to {most} models are needed, {count} given"));
        }
        if count <= most {
            twice((&self.models, "/models"), &mut fault);
        }
        if self.base.as_ref().is_some_and(|base| self.models.contains(base)) {
            fault("/base", "the base is among the models; list only what is merged into it".to_owned());
        }
        if self.base.is_none() && (self.method.needs_base() || self.strategy == Strategy::Greedy) {
            let whom = match self.strategy {
                Strategy::Greedy => "the kinship of a greedy search".to_owned(),
                Strategy::CmaEs => format!("`{}`", self.method.id()),
            };
            fault("/base", format!("{whom} needs a base that deltas are taken against"));
        }
        if self.budget < 1 || self.budget > limits.search_candidates {
            let most = limits.search_candidates;
            fault("/budget", format!("1 to {most} candidates can be scored, {} given", self.budget));
        }
        if let Some(word) = &self.dtype
            && crate::merge::dtype(word.trim_start_matches("torch.")).is_none()
        {
            fault("/dtype", format!("`{word}` is none of float64, float32, float16, bfloat16"));
        }
        match self.strategy {
            Strategy::Greedy => self.greedy_faults(&mut fault),
            Strategy::CmaEs => self.evolution_faults(&mut fault),
        }
        faults
    }

    fn greedy_faults(&self, fault: &mut impl FnMut(&str, String)) {
        if !matches!(self.method, SearchMethod::Slerp | SearchMethod::Linear) {
            fault("/method", "a greedy search merges pairs by `slerp` or `linear`".to_owned());
        }
        if !(2..=MOST_BEST).contains(&self.best()) {
            fault("/k", format!("2 to {MOST_BEST} of the best can be merged, {} given", self.best()));
        }
        if !(self.share() > 0.0 && self.share() < 1.0) {
            fault("/t", format!("t lies between 0 and 1, {} given", self.share()));
        }
        if !(self.saturation() > -1.0 && self.saturation() <= 1.0) {
            fault("/tau", format!("tau lies above -1 and is 1 at most, {} given", self.saturation()));
        }
        if self.epsilon.is_some_and(|least| !(least >= 0.0 && least.is_finite())) {
            fault("/epsilon", format!("epsilon is 0 or more, {} given", self.epsilon.unwrap_or_default()));
        }
        if self.generations == Some(0) {
            fault("/generations", "at least one generation of merges is proposed, 0 given".to_owned());
        }
        let others = [
            ("/layer_granularity", self.layer_granularity > 0),
            ("/smooth", self.smooth),
            ("/filters", !self.filters.is_empty()),
            ("/allow_negative_weights", self.allow_negative_weights),
            ("/normalize", self.normalize.is_some()),
        ];
        for (pointer, _) in others.iter().filter(|(_, given)| *given) {
            fault(pointer, "belongs to `cma_es`; leave it out of a greedy search".to_owned());
        }
        if self.budget < self.models.len() as u64 {
            let all = self.models.len();
            fault("/budget", format!("the {all} models are scored first, and {} may be", self.budget));
        }
    }

    fn evolution_faults(&self, fault: &mut impl FnMut(&str, String)) {
        let greedy = [
            ("/k", self.k.is_some()),
            ("/t", self.t.is_some()),
            ("/tau", self.tau.is_some()),
            ("/epsilon", self.epsilon.is_some()),
            ("/generations", self.generations.is_some()),
        ];
        for (pointer, given) in greedy {
            if given {
                fault(pointer, "belongs to `greedy`; `cma_es` finds its numbers".to_owned());
            }
        }
        if self.method == SearchMethod::Slerp && self.models.len() != 2 {
            fault("/models", format!("`slerp` takes two models, {} given", self.models.len()));
        }
        if self.filters.len() > MOST_FILTERS || self.filters.iter().any(String::is_empty) {
            fault("/filters", format!("at most {MOST_FILTERS} parts of tensor names, none of them empty"));
        }
        if self.filters.len() <= MOST_FILTERS {
            twice((&self.filters, "/filters"), fault);
        }
    }

    /// Filters that are part of no tensor's name, whose numbers would decide nothing.
    pub fn filter_faults<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Vec<Item> {
        let idle = |(at, filter): (usize, &String)| {
            let message = format!("`{filter}` is part of no tensor's name; its numbers would decide nothing");
            let unused = !names.clone().any(|name| name.contains(filter.as_str()));
            unused.then(|| Item { pointer: format!("/filters/{at}"), message })
        };
        self.filters.iter().enumerate().filter_map(idle).collect()
    }

    /// What is wrong with it for models of this many layers.
    pub fn layer_faults(&self, layers: u64, limits: &Limits) -> Vec<Item> {
        if self.strategy == Strategy::Greedy {
            return Vec::new();
        }
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, message: String| {
            faults.push(Item { pointer: pointer.to_owned(), message });
        };
        let granularity = self.layer_granularity;
        if granularity > 0 && (layers == 0 || !layers.is_multiple_of(granularity)) {
            fault("/layer_granularity", format!("{granularity} does not divide the {layers} layers"));
            return faults;
        }
        let (values, most) = (self.values(layers), limits.search_values);
        if values > most {
            let message = format!(
                "{values} numbers would be searched; at most {most} are: use larger groups of layers, or fewer \
                 filters or models"
            );
            fault("/layer_granularity", message);
        } else if self.budget < population(values) as u64 {
            let one = population(values);
            fault("/budget", format!("a generation of {values} numbers has {one} candidates"));
        }
        faults
    }

    /// Groups of layers with numbers of their own.
    pub(super) fn groups(&self, layers: u64) -> usize {
        let groups = layers.checked_div(self.layer_granularity).unwrap_or(1);
        usize::try_from(groups.max(1)).unwrap_or(usize::MAX)
    }

    /// Numbers of one recipe.
    pub(super) fn values(&self, layers: u64) -> usize {
        let of_group = self.weighed() * (self.filters.len() + 1) * self.parameters().len();
        self.groups(layers).saturating_mul(of_group)
    }

    /// Models that have numbers of their own.
    pub(super) fn weighed(&self) -> usize {
        if self.method == SearchMethod::Slerp { 1 } else { self.models.len() }
    }

    /// The parameters that `cma_es` sets.
    pub(super) fn parameters(&self) -> &'static [&'static str] {
        match self.method {
            SearchMethod::Slerp => &["t"],
            SearchMethod::Linear | SearchMethod::TaskArithmetic => &["weight"],
            SearchMethod::Ties | SearchMethod::DareTies => &["weight", "density"],
        }
    }
}
