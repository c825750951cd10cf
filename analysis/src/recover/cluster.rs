//! Which models are of one origin: a permutation test of every pair, and the components of those that fail it.

use super::{facts::Facts, probe::log10_tail};

/// Chance of calling one pair of unrelated models in the whole collection related.
const FALSE_POSITIVE: f64 = 1e-6;

/// What the tests say of one pair.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// Score of the hidden units over all matching layers, standard normal for unrelated models.
    pub(super) units: Option<f64>,
    /// Score of the columns of the embeddings.
    pub(super) columns: Option<f64>,
    /// For each layer of the first model the layer of the second that matches it.
    pub(super) layers: Vec<Option<u64>>,
    /// log₁₀ of the chance of scores like these for unrelated models, for the better test of the two.
    pub(super) log10_p: f64,
    /// Cosine of the weights, where the sketches were compared and not the units.
    pub(super) cosine: Option<f64>,
}

impl Relation {
    fn of(a: &Facts, b: &Facts, threshold: f64) -> Self {
        let score = |i: usize, j: usize| {
            let other = b.units.get(j)?;
            let stacks = a.units[i].iter();
            let scores = stacks.filter_map(|(stack, probe)| probe.score(other.get(stack)?));
            joined(&scores.collect::<Vec<_>>())
        };
        let straight: Vec<f64> = (0..a.units.len().min(b.units.len())).filter_map(|l| score(l, l)).collect();
        let (mut units, mut log10_p) = (joined(&straight), 0.0);
        let mut layers: Vec<Option<u64>> =
            (0..a.layers).map(|layer| (layer < b.layers).then_some(layer)).collect();
        if let Some(z) = units {
            log10_p = log10_tail(z);
        }
        if a.layers != b.layers {
            let tests = (a.layers * b.layers).max(1) as f64;
            let found = (0..a.units.len()).map(|i| {
                let scores = (0..b.units.len()).filter_map(|j| Some((score(i, j)?, j)));
                scores
                    .max_by(|x, y| x.0.total_cmp(&y.0))
                    .filter(|(z, _)| log10_tail(*z) + tests.log10() < threshold)
            });
            let found: Vec<Option<(f64, usize)>> = found.collect();
            if let Some(best) = found.iter().flatten().map(|(z, _)| *z).max_by(f64::total_cmp) {
                units = joined(&found.iter().flatten().map(|(z, _)| *z).collect::<Vec<_>>());
                log10_p = log10_tail(best) + tests.log10();
                layers = found.iter().map(|place| place.map(|(_, j)| j as u64)).collect();
            }
        }
        let columns = a.columns.as_ref().zip(b.columns.as_ref()).and_then(|(a, b)| a.score(b));
        let log10_p = columns.map_or(log10_p, |z| log10_p.min(log10_tail(z) + 2f64.log10()));
        Self { units, columns, layers, log10_p, cosine: None }
    }
}

/// Independent scores as one.
fn joined(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / (scores.len() as f64).sqrt())
}

/// The member that most of its family are alike to, the first of several.
pub(super) fn most_common(family: &[usize], alike: impl Fn(usize, usize) -> bool) -> Option<usize> {
    let friends = |one: usize| family.iter().filter(|&&other| alike(one, other)).count();
    family.iter().copied().max_by_key(|&one| (friends(one), std::cmp::Reverse(one)))
}

/// Every pair of the collection.
pub(super) struct Relations {
    models: usize,
    pairs: Vec<Option<Relation>>,
    pub(super) threshold: f64,
}

impl Relations {
    /// Tests every ordered pair; none of models that are only adapters.
    pub(super) fn test(facts: &[Option<Facts>]) -> Self {
        Self::by(facts.len(), |(i, j), threshold| {
            Some(Relation::of(facts[i].as_ref()?, facts[j].as_ref()?, threshold))
        })
    }

    /// Asks `test` of every ordered pair of so many models; it hears the log₁₀ of the chance below which a pair is
    /// related.
    pub(super) fn by(models: usize, test: impl Fn((usize, usize), f64) -> Option<Relation>) -> Self {
        let threshold = (FALSE_POSITIVE / (models * models).max(1) as f64).log10();
        let pair = |at: usize| {
            let (i, j) = (at / models, at % models);
            (i != j).then(|| test((i, j), threshold)).flatten()
        };
        Self { models, pairs: (0..models * models).map(pair).collect(), threshold }
    }

    pub(super) fn get(&self, i: usize, j: usize) -> Option<&Relation> {
        self.pairs[i * self.models + j].as_ref()
    }

    pub(super) fn related(&self, i: usize, j: usize) -> bool {
        self.get(i, j).is_some_and(|relation| relation.log10_p < self.threshold)
    }

    /// Components of related models, each sorted, in order of their first member.
    pub(super) fn families(&self, whole: &[usize]) -> Vec<Vec<usize>> {
        let mut sets = petgraph::unionfind::UnionFind::<usize>::new(self.models);
        for &i in whole {
            whole.iter().filter(|&&j| self.related(i, j)).for_each(|&j| {
                sets.union(i, j);
            });
        }
        let mut families: Vec<Vec<usize>> = Vec::new();
        for &i in whole {
            match families.iter_mut().find(|family| sets.equiv(family[0], i)) {
                Some(family) => family.push(i),
                None => families.push(vec![i]),
            }
        }
        families
    }
}
