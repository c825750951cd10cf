//! Merges: models that are weighted sums of others up to the rounding of their own numbers.
//!
//! A sum is fitted by least squares, each matrix with weights of its own, so that merges whose weights change from
//! layer to layer are found too. Fine-tunes are never that close to a sum of other models: what they learnt is in none.

use faer::{Mat, linalg::solvers::Solve as _};

use super::measured::Measured;

/// Most parents of one merge.
const PARENTS: usize = 8;
/// Nearest models that are tried as a pair, and beyond it.
const NEAREST: usize = 16;
/// How far above one rounding a fit may lie: the mantissas of a model are not spread evenly, and its merge may have
/// been rounded on the way.
const ROUNDINGS: f64 = 2.5;
/// A further parent explains at least this share of what was left.
const GAIN: f64 = 0.1;
/// Largest weight of a model in its merge. Where it is one, as in target + tuned − base, each of the models is the sum of
/// the others, and none can be told to be the merge.
const MIDDLE: f64 = 0.95;
/// Inner products are exact to about this share.
const EXACT: f64 = 1e-12;

/// Weights of the parents of one merge, by member.
#[derive(Debug, Clone)]
pub(super) struct Mixture {
    pub(super) child: usize,
    /// Members with their weights over all matrices.
    pub(super) parents: Vec<(usize, f64)>,
    /// `residual² / rounding²`.
    pub(super) roundings: f64,
    /// Residual as a share of the distance to the nearest parent.
    pub(super) residual: f64,
}

/// What least squares leaves of `child` over `parents`, matrix by matrix.
fn left(measured: &Measured, child: usize, parents: &[usize]) -> f64 {
    measured.matrices().map(|part| fit(|i, j| part.gram.dot(i, j), child, parents).1).sum()
}

/// Weights and squared residual of one fit.
fn fit(dot: impl Fn(usize, usize) -> f64, child: usize, parents: &[usize]) -> (Vec<f64>, f64) {
    // Relative to the first parent, which keeps the products of near models apart.
    let first = parents[0];
    let delta = |i: usize, j: usize| dot(i, j) - dot(i, first) - dot(first, j) + dot(first, first);
    let others = &parents[1..];
    let n = others.len() + 1;
    let axis = |at: usize, j: usize| {
        if at == 0 { dot(first, j) - dot(first, first) } else { delta(others[at - 1], j) }
    };
    let square = |at: usize, to: usize| match (at, to) {
        (0, 0) => dot(first, first),
        (0, to) => dot(first, others[to - 1]) - dot(first, first),
        (at, 0) => dot(first, others[at - 1]) - dot(first, first),
        (at, to) => delta(others[at - 1], others[to - 1]),
    };
    let scale: Vec<f64> = (0..n).map(|at| square(at, at).max(f64::MIN_POSITIVE).sqrt()).collect();
    let system = Mat::from_fn(n, n, |i, j| square(i, j) / scale[i] / scale[j]);
    let target = Mat::from_fn(n, 1, |i, _| axis(i, child) / scale[i]);
    let solved = system.full_piv_lu().solve(&target);
    let own = delta(child, child);
    let explained: f64 = (0..n).map(|at| solved[(at, 0)] * target[(at, 0)]).sum();
    let mut weights: Vec<f64> = (1..n).map(|at| solved[(at, 0)] / scale[at]).collect();
    // θ = first + a·first + Σ w·(other − first).
    weights.insert(0, 1.0 + solved[(0, 0)] / scale[0] - weights.iter().sum::<f64>());
    (weights, if explained.is_finite() { (own - explained).max(0.0) } else { own })
}

/// The sum that `child` is, if it is one.
pub(super) fn mixture(
    measured: &Measured,
    child: usize,
    (candidates, precision): (&[usize], u32),
) -> Option<Mixture> {
    let mut near: Vec<usize> = candidates.iter().copied().filter(|&other| other != child).collect();
    near.sort_by(|&a, &b| measured.bits(child, a).total_cmp(&measured.bits(child, b)));
    near.truncate(NEAREST);
    let floor = measured.rounding(child, precision) + EXACT * measured.dot(child, child);
    let best = |sets: Vec<Vec<usize>>| {
        sets.into_iter().map(|set| (left(measured, child, &set), set)).min_by(|a, b| a.0.total_cmp(&b.0))
    };
    let pairs = (0..near.len()).flat_map(|i| (i + 1..near.len()).map(move |j| (i, j)));
    let mut found = best(pairs.map(|(i, j)| vec![near[i], near[j]]).collect())?;
    // A larger set is looked for even where a smaller one is near the floor: merges of merges nearly fit.
    while found.1.len() < PARENTS {
        let with = |&other: &usize| (!found.1.contains(&other)).then(|| [&found.1[..], &[other]].concat());
        let Some(next) = best(near.iter().filter_map(with).collect()) else { break };
        if next.0 + EXACT * measured.dot(child, child) > (1.0 - GAIN) * found.0 {
            break;
        }
        found = next;
    }
    while found.1.len() > 2 {
        let without =
            |&other: &usize| found.1.iter().copied().filter(|&one| one != other).collect::<Vec<_>>();
        let Some(next) = best(found.1.iter().map(without).collect()) else { break };
        if next.0 > found.0 * (1.0 + GAIN) + EXACT * measured.dot(child, child) {
            break;
        }
        found = next;
    }
    let (residual, set) = found;
    if residual > ROUNDINGS * floor {
        return None;
    }
    let (weights, _) = fit(|i, j| measured.dot(i, j), child, &set);
    let nearest = set.iter().map(|&parent| measured.apart(child, parent)).fold(f64::INFINITY, f64::min);
    let parents: Vec<(usize, f64)> = set.into_iter().zip(weights).collect();
    // One of the models on a line through others is their mean: the one whose weight in the relation is largest.
    let middle = parents.iter().all(|(_, weight)| weight.abs() < MIDDLE);
    let alone = nearest <= ROUNDINGS * floor;
    (middle && !alone && residual < nearest).then(|| Mixture {
        child,
        parents,
        roundings: residual / floor,
        residual: (residual / nearest).sqrt(),
    })
}
