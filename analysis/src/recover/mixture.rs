//! Merges: models that are weighted sums of others up to the rounding of their own numbers.
//!
//! A sum is fitted by least squares, each matrix with weights of its own, so that merges whose weights change from
//! layer to layer are found too. Fine-tunes are never that close to a sum of other models: what they learnt is in none.

use faer::{Mat, linalg::solvers::Solve as _};

use super::{
    inherited::Inherited,
    measured::{EXACT, Measured, Part},
    samples::Samples,
};

/// Most parents of one merge.
const PARENTS: usize = 8;
/// Nearest models that are tried as a pair, and beyond it.
const NEAREST: usize = 24;
/// How far above one rounding a fit may lie: the mantissas of a model are not spread evenly, and its merge may have
/// been rounded on the way.
const ROUNDINGS: f64 = 2.5;
/// A further parent explains at least this share of what was left.
const GAIN: f64 = 0.1;
/// Weight below which a parent must explain so much of at least half of the matrices: a tensor that it has in common with the
/// merge by chance, or rounded alike, is explained by it alone.
const FAINT: f64 = 0.05;
/// Weight up to which a model is one of several in its merge. Where it is one, as in target + 0.5 · (tuned − base), each of the
/// models is a sum of the others, and the merge is the one that was rounded.
const MIDDLE: f64 = 0.95;
/// Models left out one after another because the child is rather a part of them.
const LEFT_OUT: usize = 6;
/// Share of the distance to the nearest that a sum found without them may leave: near the rounding much fits.
const CLEAR: f64 = 0.25;
/// The same where models are subtracted as well, and the share of the roundings refused that it may leave.
const FAR: f64 = 0.15;
const FEWER: f64 = 0.75;
/// Difference of a matrix's weights from those over all that is no rounding.
const UNEVEN: f64 = 0.05;
/// Roundings up to which a sum with a large weight is one seen from inside: that weight multiplies the rounding of its model.
const NEARLY: f64 = 16.0;
/// By how much more of its elements, and by how many standard errors of that, a merge is the rounded sum of its models than each
/// of them is of the merge and the rest: a number that grew past a power of two is rounded by more than they were.
const ROUNDED: (f64, f64) = (0.002, 5.0);

/// Share of the numbers clearly apart from the nearest model's that must be the sum's: what hardly moved is within a rounding or two of
/// any sum near that model.
const FOLLOWED: f64 = 0.75;

/// Weights of the parents of one merge, by member.
#[derive(Debug, Clone)]
pub(super) struct Mixture {
    pub(super) child: usize,
    /// Members with their weights over all matrices.
    pub(super) parents: Vec<(usize, f64)>,
    /// The same by matrix, of a sum.
    pub(super) by_matrix: Vec<Vec<(usize, f64)>>,
    pub(super) proof: Proof,
}

/// How a merge is known.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// A weighted sum: `residual² / rounding²`, and the residual as a share of the distance to the nearest parent.
    Sum { roundings: f64, residual: f64 },
    /// Element by element the base or a sum of changes to it: the share of the elements that are, and by parent how many times
    /// its change and the share of its changes that were taken. Of a mean the changes are weighed first.
    Elements { base: usize, explained: f64, changes: Vec<(f64, f64)>, of_mean: bool },
}

impl Mixture {
    /// All models it was made of.
    pub(super) fn ingredients(&self) -> impl Iterator<Item = usize> {
        let base = match &self.proof {
            Proof::Sum { .. } => None,
            Proof::Elements { base, .. } => Some(*base),
        };
        self.parents.iter().map(|(parent, _)| *parent).chain(base)
    }

    /// Whether it is nearly a mean, and much nearer than any of its parents; or nearer still, by fewer roundings than were
    /// refused: a sum with another merge of the same parents in it has the rounding of that beside its own.
    fn clear(&self, refused: f64) -> bool {
        let taken: f64 = self.parents.iter().map(|(_, weight)| (-weight).max(0.0)).sum();
        match self.proof {
            Proof::Sum { roundings, residual } => {
                let fewer = residual <= FAR && roundings <= FEWER * refused;
                residual <= CLEAR && (taken <= CLEAR || fewer)
            }
            Proof::Elements { .. } => false,
        }
    }

    /// Whether the weights of a sum change from matrix to matrix.
    pub(super) fn is_uneven(&self) -> bool {
        let off = |(at, (_, whole)): (usize, &(usize, f64))| {
            self.by_matrix.iter().filter(|weights| (weights[at].1 - whole).abs() > UNEVEN).count()
        };
        // What a few small matrices say may be their rounding.
        self.parents.iter().enumerate().map(off).any(|off| 4 * off > self.by_matrix.len())
    }

    /// What is left of a sum, in roundings.
    fn roundings(&self) -> f64 {
        match self.proof {
            Proof::Sum { roundings, .. } => roundings,
            Proof::Elements { .. } => f64::INFINITY,
        }
    }

    /// Whether it takes the change from one model to another.
    pub(super) fn changes(&self, from: usize, to: usize) -> bool {
        let weight = |one: usize| self.parents.iter().find(|parent| parent.0 == one).map(|parent| parent.1);
        let taken = match self.proof {
            Proof::Sum { .. } => weight(from).is_some_and(|weight| weight < 0.0),
            Proof::Elements { base, .. } => base == from,
        };
        taken && weight(to).is_some_and(|weight| weight > 0.0)
    }

    /// How much of its rounding is in `other`, as [`Samples::inherits`] tells; none of a merge that is no sum.
    pub(super) fn inherited(&self, samples: &Samples, other: usize) -> Option<Inherited> {
        let sum = |matrix: usize| self.by_matrix[matrix].as_slice();
        (!self.by_matrix.is_empty()).then(|| samples.inherits((other, self.child), sum)).flatten()
    }
}

/// What least squares leaves of `child` over `parents`, matrix by matrix.
pub(super) fn left(measured: &Measured, child: usize, parents: &[usize]) -> f64 {
    measured.matrices().map(|part| fit(|i, j| part.gram.dot(i, j), child, parents).1).sum()
}

/// Whether `child` was rather trained from the merge than from `rival`: as a sum of the merge's parents and the rival it
/// is nearer to the weights of the merge. Training that went the way of one of the parents makes it alike to a merge of
/// that one, but adds to its weight alone.
pub(super) fn rather(measured: &Measured, child: usize, (merge, rival): (&Mixture, usize)) -> bool {
    let mut models: Vec<usize> = merge.parents.iter().map(|(parent, _)| *parent).collect();
    if !models.contains(&rival) {
        models.push(rival);
    }
    let fits: Vec<Vec<f64>> =
        measured.matrices().map(|part| fit(|i, j| part.gram.dot(i, j), child, &models).0).collect();
    let middle = |at: usize| {
        let mut weights: Vec<f64> = fits.iter().map(|weights| weights[at]).collect();
        weights.sort_by(f64::total_cmp);
        weights.get(weights.len() / 2).copied().unwrap_or_default()
    };
    let off = |wanted: &dyn Fn(usize) -> f64| -> f64 {
        models.iter().enumerate().map(|(at, &model)| (middle(at) - wanted(model)).powi(2)).sum()
    };
    let own =
        |model: usize| merge.parents.iter().find(|(one, _)| *one == model).map_or(0.0, |(_, weight)| *weight);
    off(&own) <= off(&|model| f64::from(u8::from(model == rival)))
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
    (measured, samples): (&Measured, &Samples),
    child: usize,
    (candidates, precision): (&[usize], u32),
) -> Option<Mixture> {
    let mut near: Vec<usize> = candidates.iter().copied().filter(|&other| other != child).collect();
    near.sort_by(|&a, &b| measured.bits(child, a).total_cmp(&measured.bits(child, b)));
    let mut refused = f64::INFINITY;
    for left_out in 0..=LEFT_OUT {
        match sum((measured, samples), child, (&near[..near.len().min(NEAREST)], precision))? {
            Ok(found) if left_out == 0 || found.clear(refused) => {
                return Some(simpler((measured, samples), found, (&near, precision)));
            }
            Ok(_) => return None,
            Err((other, roundings)) => {
                near.retain(|one| *one != other);
                refused = refused.min(roundings);
            }
        }
    }
    None
}

/// The same merge of other models where one of its parents is rather a merge of those: its rounding is in the sum as well. It
/// stands for all of them at once, so that two are tried in its place too.
fn simpler(
    (measured, samples): (&Measured, &Samples),
    found: Mixture,
    (near, precision): (&[usize], u32),
) -> Mixture {
    let without = |(parent, _): &(usize, f64)| {
        let near: Vec<usize> = near.iter().copied().filter(|other| other != parent).take(NEAREST).collect();
        sum((measured, samples), found.child, (&near, precision))?.ok()
    };
    let instead = |(parent, _): &(usize, f64)| {
        let kept = || found.parents.iter().map(|(one, _)| *one).filter(|one| one != parent);
        let open = |other: &usize| found.parents.iter().all(|(one, _)| one != other);
        let others: Vec<usize> = near.iter().copied().take(NEAREST).filter(open).collect();
        let pairs =
            others.iter().enumerate().flat_map(|(at, &a)| others[at + 1..].iter().map(move |&b| [a, b]));
        let sets = pairs.map(|pair| kept().chain(pair).collect::<Vec<_>>());
        let fitted = sets.map(|set| (left(measured, found.child, &set), set));
        let (_, best) = fitted.min_by(|a, b| a.0.total_cmp(&b.0))?;
        told((measured, samples), found.child, (near, precision), best)?.ok()
    };
    // Without a parent the sum is free of that one's rounding, times its weight, and of no more.
    let weighs = |(_, weight): &&(usize, f64)| {
        weight * weight * ROUNDINGS >= (1.0 - FEWER) * found.roundings() && found.roundings() > 1.0
    };
    let paired = found.parents.iter().filter(weighs).filter_map(instead);
    let others = found.parents.iter().filter_map(without).chain(paired);
    let others = others.filter(|other| other.clear(found.roundings()));
    let best = others.min_by(|a, b| a.roundings().total_cmp(&b.roundings()));
    best.filter(|best| best.roundings() <= FEWER * found.roundings()).unwrap_or(found)
}

/// The sum of the `near` models that `child` is, or which of them is rather a sum of it and others or of the same models,
/// and the roundings left.
fn sum(
    (measured, samples): (&Measured, &Samples),
    child: usize,
    (near, precision): (&[usize], u32),
) -> Option<Result<Mixture, (usize, f64)>> {
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
    told((measured, samples), child, (near, precision), found.1)
}

/// What [`sum`] says of a set of models that was found.
fn told(
    (measured, samples): (&Measured, &Samples),
    child: usize,
    (near, precision): (&[usize], u32),
    set: Vec<usize>,
) -> Option<Result<Mixture, (usize, f64)>> {
    // Squared distance that one rounding leaves.
    let floor = measured.rounding(child, precision) + EXACT * measured.dot(child, child);
    let set = telling(measured, child, set);
    let residual = left(measured, child, &set);
    let (weights, _) = fit(|i, j| measured.dot(i, j), child, &set);
    let largest = set.iter().copied().zip(weights.iter().map(|weight| weight.abs()));
    let (most, weight) = largest.max_by(|a, b| a.1.total_cmp(&b.1))?;
    if residual > ROUNDINGS * floor {
        return (residual <= NEARLY * floor && weight >= MIDDLE).then_some(Err((most, residual / floor)));
    }
    let nearest = |set: &[usize]| {
        let apart = set.iter().map(|&other| (measured.apart(child, other), other));
        apart.min_by(|a, b| a.0.total_cmp(&b.0))
    };
    let (distance, next) = nearest(&set)?;
    // What is hardly more than a rounding away from a model is that model, whatever else adds up to it.
    let alone = nearest(near).is_some_and(|(distance, _)| distance <= ROUNDINGS * floor);
    let parents: Vec<(usize, f64)> = set.into_iter().zip(weights).collect();
    // One of the models on a line through others is their mean: the one whose weight in the relation is largest.
    let middle = weight < MIDDLE || is_result(samples, child, &parents);
    let proof = Proof::Sum { roundings: residual / floor, residual: (residual / distance).sqrt() };
    if alone || residual >= distance || chosen(measured, child, &parents) {
        return None;
    }
    if !middle {
        return Some(Err((most, residual / floor)));
    }
    let set: Vec<usize> = parents.iter().map(|(parent, _)| *parent).collect();
    let weights = |part: &Part| fit(|i, j| part.gram.dot(i, j), child, &set).0;
    let by_matrix: Vec<Vec<(usize, f64)>> =
        measured.matrices().map(|part| set.iter().copied().zip(weights(part)).collect()).collect();
    if samples.follows((child, next), &by_matrix).is_some_and(|share| share < FOLLOWED) {
        return None;
    }
    Some(Ok(Mixture { child, parents, by_matrix, proof }))
}

/// Whether it is `child` that was made of the parents and rounded, and none of them of it and the rest.
fn is_result(samples: &Samples, child: usize, parents: &[(usize, f64)]) -> bool {
    let told = |terms: &[(usize, f64)]| {
        let more = samples.rounded(child, terms);
        more.is_some_and(|(more, error)| more > ROUNDED.0.max(ROUNDED.1 * error))
    };
    // Weights near ±1 are rather those of a transfer than estimates; of larger ones the merge is another of the models.
    let whole: Vec<(usize, f64)> = parents.iter().map(|(model, weight)| (*model, weight.round())).collect();
    let least = parents.iter().all(|(_, weight)| weight.abs() * MIDDLE <= 1.0);
    whole.iter().all(|(_, weight)| weight.abs() == 1.0) && told(&whole) || least && told(parents)
}

/// The parents of a sum without those of next to no weight that hardly any matrix asks for.
fn telling(measured: &Measured, child: usize, mut set: Vec<usize>) -> Vec<usize> {
    while set.len() > 2 {
        let (weights, _) = fit(|i, j| measured.dot(i, j), child, &set);
        let asked = |without: &[usize]| {
            let asks = |part: &&Part| {
                let of = |set: &[usize]| fit(|i, j| part.gram.dot(i, j), child, set).1;
                of(without) > of(&set) * (1.0 + GAIN) + EXACT * part.gram.dot(child, child)
            };
            2 * measured.matrices().filter(asks).count() >= measured.matrices().count()
        };
        let faint = set.iter().zip(&weights).filter(|(_, weight)| weight.abs() < FAINT);
        let rest = faint.map(|(one, _)| set.iter().copied().filter(|other| other != one).collect::<Vec<_>>());
        let Some(rest) = rest.into_iter().find(|rest| !asked(rest)) else { break };
        set = rest;
    }
    set
}

/// Whether the sum only takes each matrix from one model or another, and some are the same in all of them: two children
/// of `child`, each with other frozen tensors, look like that too.
fn chosen(measured: &Measured, child: usize, parents: &[(usize, f64)]) -> bool {
    let same = |part: &Part, parent: usize| part.apart(child, parent) == 0.0;
    let some = |part: &Part| parents.iter().any(|(parent, _)| same(part, *parent));
    let all = |part: &Part| parents.iter().all(|(parent, _)| same(part, *parent));
    measured.matrices().all(some) && measured.matrices().any(all)
}
