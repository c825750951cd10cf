//! Merges that drop or elect elements (DARE, TIES, Breadcrumbs).
//!
//! An element of such a merge is the base's, or the base's with a sum or mean of some parents' changes. The weights are
//! found first: over the elements that one parent changed much, the child's change has one ratio to it again and again.

use std::collections::BTreeMap;

use super::{
    measured::{self, Measured},
    mixture::{Mixture, Proof},
    samples::Samples,
    trimmed,
};

/// Models tried as the base and as parents: those nearest to the child.
const NEAREST: usize = 20;
const PARENTS: usize = 6;
/// Elements of all matrices that are looked at.
const LOOKED_AT: usize = 1 << 15;
/// While more parents than this are tried together, what a merge of some of them gave stands in for them: one of so many
/// elements is enough.
const FEW: usize = 4;
const GLANCED: usize = 4;
/// Spacings of numbers that a change must have to be told from another.
const SEEN: f32 = 16.0;
/// Fewest such changes.
const ENOUGH: usize = 200;
/// Ratios: the first, the width of a bin, and their number.
const FIRST: f32 = 0.05;
const BIN: f32 = 0.02;
const BINS: usize = 150;
/// Share of the changes that have the ratio of a parent, and how far it stands out of its surroundings.
const COMMON: f64 = 0.06;
const SHARP: f64 = 3.0;
/// Share of the elements that must be explained.
const EXPLAINED: f64 = 0.85;
/// Share that each parent explains alone.
const NEEDED: f64 = 0.04;
/// Share of a matrix whose elements a parent gave: not none, and not all, as in a fine-tune of it.
const MIXED: std::ops::Range<f64> = 0.03..0.97;
/// Share of the matrices that are so.
const MOSTLY: f64 = 0.8;
/// Share of a change that DELLA's chances move it by at most, as mergekit's own defaults and more do.
const SPREAD: f32 = 0.25;
/// Share that must be explained of what the changes of other elements leave: of a model next to its base they explain most.
const BESIDE_CHANCE: f64 = 0.5;
/// With such a spread: share of the elements that must be explained, how much of that must be beyond what the changes of
/// other elements explain, and the share that must be the base's in spite of large changes. A fine-tune has none of those.
const SPREAD_EXPLAINED: f64 = 0.9;
const BEYOND_CHANCE: f64 = 0.25;
const UNCHANGED: f64 = 0.05;
/// What guesses explain within which none is the better one.
const TIED: f64 = 0.002;
/// Difference of ratios that are one.
const SAME: f32 = 0.05;

/// One guess of how a child was merged.
struct Guess {
    base: usize,
    parents: Vec<usize>,
    /// Ratio of the child's change to each parent's.
    ratios: Vec<f32>,
    /// Relative weights of the mean that several parents' changes give; none where they add up.
    mean: Option<Vec<f32>>,
    /// Share of itself that a change may be off by: DELLA divides each by its own chance to be kept.
    spread: f32,
}

/// How well a guess fits.
struct Fit {
    explained: f64,
    /// Share of the changes of each parent that were taken.
    taken: Vec<f64>,
    /// Whether each parent gave some elements of most matrices.
    mixed: bool,
    /// Share of the elements that are the base's.
    unchanged: f64,
}

/// What a guess explains, less what its parents explain by chance.
fn worth((guess, fit): &(Guess, Fit)) -> f64 {
    fit.explained - NEEDED * guess.parents.len() as f64
}

/// The merge that `child` is, if it is one of the elements of some `candidates`.
pub(super) fn elected(
    (measured, samples): (&Measured, &Samples),
    child: usize,
    (candidates, merges): (&[usize], &[Mixture]),
) -> Option<Mixture> {
    let merged = |other: &usize| merges.iter().any(|merge| merge.child == *other);
    let plain: Vec<usize> = candidates.iter().copied().filter(|other| !merged(other)).collect();
    // A merge of a merge is looked for only where there is no simpler one, and where there are merges to be its parents.
    let all = (plain.len() < candidates.len()).then_some(candidates);
    [Some(&plain[..]), all].into_iter().flatten().find_map(|near| of((measured, samples), child, near))
}

fn of((measured, samples): (&Measured, &Samples), child: usize, candidates: &[usize]) -> Option<Mixture> {
    let mut near: Vec<usize> = candidates.iter().copied().filter(|&other| other != child).collect();
    let elements = Elements::of(samples, child);
    near.sort_by(|&a, &b| measured.bits(child, a).total_cmp(&measured.bits(child, b)));
    near.truncate(NEAREST);
    let guesses = near.iter().filter_map(|&base| {
        let elements = elements.beside(base);
        let parents = near.iter().copied().filter(|&other| other != base);
        let mut found: Vec<(f64, f32, usize)> = parents
            .filter_map(|parent| {
                let (share, ratio) = mode(&elements.ratios(parent))?;
                Some((share, ratio, parent))
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        found.truncate(PARENTS);
        let weighed = trimmed::weights((measured, samples), (child, base), &near);
        let weighed: Vec<_> = weighed
            .into_iter()
            .filter(|(_, weight)| *weight >= FIRST)
            .map(|(parent, weight)| (0.0, weight, parent))
            .collect();
        // In a mean all parents have one ratio; another belongs to a merge of some of them.
        let alike: Vec<_> = found.iter().copied().filter(|one| (one.1 - found[0].1).abs() < SAME).collect();
        let of_alike = (alike.len() < found.len()).then(|| elements.best(&alike)).flatten();
        let of_weighed = elements.best(&weighed);
        elements
            .best(&found)
            .into_iter()
            .chain(of_alike)
            .chain(of_weighed)
            .max_by(|a, b| worth(a).total_cmp(&worth(b)))
    });
    let guesses: Vec<(Guess, Fit)> = guesses.collect();
    let most = guesses.iter().map(worth).fold(f64::NEG_INFINITY, f64::max);
    // Of models that are nearly the same, the base is the one in the middle of the others.
    let away = |base: usize| near.iter().map(|&other| measured.bits(base, other)).sum::<f64>();
    let equal = guesses.into_iter().filter(|guess| worth(guess) > most - TIED);
    let (guess, fit) = equal.min_by(|a, b| away(a.0.base).total_cmp(&away(b.0.base)))?;
    let parents = guess.parents.iter().zip(&guess.ratios).zip(&fit.taken);
    let parents = parents.map(|((&parent, ratio), taken)| (parent, f64::from(*ratio) * taken)).collect();
    let changes = guess.ratios.iter().map(|ratio| f64::from(*ratio)).zip(fit.taken).collect();
    let proof = Proof::Elements {
        base: guess.base,
        explained: fit.explained,
        changes,
        of_mean: guess.mean.is_some(),
    };
    Some(Mixture { child, parents, by_matrix: Vec::new(), proof })
}

/// The elements of one child.
struct Elements<'a> {
    samples: &'a Samples,
    child: usize,
    /// Some of its own, those of one matrix after those of another, and where each matrix ends.
    own: Vec<f32>,
    ends: Vec<usize>,
    /// Of all elements every so many are looked at.
    stride: usize,
}

/// The same beside those of a base.
struct Changes<'a> {
    of: &'a Elements<'a>,
    base: usize,
    base_values: Vec<f32>,
    own: Vec<f32>,
}

/// What one parent changed of a base.
struct Changed {
    values: Vec<f32>,
    seen: Vec<bool>,
}

impl<'a> Elements<'a> {
    fn of(samples: &'a Samples, child: usize) -> Self {
        let stride = samples.values[child].len().div_ceil(LOOKED_AT).max(1);
        let ends = samples.ends.iter().map(|end| end.div_ceil(stride)).collect();
        let mut elements = Self { samples, child, own: Vec::new(), ends, stride };
        elements.own = elements.looked_at(child, 0);
        elements
    }

    /// Elements of a model where those of the child are looked at, or so many behind.
    fn looked_at(&self, member: usize, behind: usize) -> Vec<f32> {
        let values = &self.samples.values[member];
        let places = (0..values.len()).step_by(self.stride);
        places.map(|at| values[(at + behind).min(values.len() - 1)]).collect()
    }

    fn beside(&self, base: usize) -> Changes<'_> {
        let base_values = self.looked_at(base, 0);
        let own = self.own.iter().zip(&base_values).map(|(own, base)| own - base).collect();
        Changes { of: self, base, base_values, own }
    }

    /// Whether elements differ so much between two models, beside one of the child, that one change is told from another.
    fn seen(&self, parent: usize) -> impl Fn(f32, f32, f32) -> bool {
        let unit = SEEN * self.samples.unit(parent).max(self.samples.unit(self.child));
        move |theirs, base, own| {
            let largest = theirs.abs().max(base.abs()).max(own.abs());
            (theirs - base).abs() >= measured::spacing(largest, unit)
        }
    }
}

impl Changes<'_> {
    /// The guess that explains most, of sums and means over the parents found; none that explains too little.
    fn best(&self, found: &[(f64, f32, usize)]) -> Option<(Guess, Fit)> {
        let mut parents: Vec<(usize, f32)> =
            found.iter().map(|&(_, ratio, parent)| (parent, ratio)).collect();
        let changed: BTreeMap<usize, Changed> =
            parents.iter().map(|&(parent, _)| (parent, self.of_parent(parent))).collect();
        let fit = |guess: &Guess, behind: usize| {
            let changed: Vec<&Changed> = guess.parents.iter().filter_map(|one| changed.get(one)).collect();
            self.fit((guess, &changed), behind)
        };
        while parents.len() >= 2 {
            let guess = |mean| Guess {
                base: self.base,
                parents: parents.iter().map(|(parent, _)| *parent).collect(),
                ratios: parents.iter().map(|(_, ratio)| *ratio).collect(),
                mean,
                spread: 0.0,
            };
            let spread = Guess { spread: SPREAD, ..guess(None) };
            let mut guesses = vec![guess(None)];
            if parents.iter().all(|(_, ratio)| (ratio - parents[0].1).abs() < SAME) {
                guesses.push(guess(Some(vec![1.0; parents.len()])));
                guesses.push(guess(Some(self.means(&guesses[0], &changed))));
            }
            let fitted = guesses.into_iter().map(|guess| {
                let fit = fit(&guess, 0);
                (guess, fit)
            });
            let (mut guess, mut fits) = fitted.max_by(|a, b| a.1.explained.total_cmp(&b.1.explained))?;
            if fits.explained < EXPLAINED {
                let of_spread = fit(&spread, 0);
                let chance = || fit(&spread, 1).explained;
                if of_spread.explained >= SPREAD_EXPLAINED
                    && of_spread.unchanged >= UNCHANGED
                    && of_spread.explained - chance() >= BEYOND_CHANCE
                {
                    (guess, fits) = (spread, of_spread);
                }
            }
            let without = (0..parents.len()).map(|at| {
                let keep = |values: &[f32]| {
                    values.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, v)| *v).collect::<Vec<f32>>()
                };
                let others = guess.parents.iter().copied().filter(|&parent| parent != guess.parents[at]);
                let fewer = Guess {
                    base: self.base,
                    parents: others.collect(),
                    ratios: keep(&guess.ratios),
                    mean: guess.mean.as_deref().map(keep),
                    spread: guess.spread,
                };
                (fit(&fewer, 0).explained, at)
            });
            let (least, at) = without.max_by(|a, b| a.0.total_cmp(&b.0))?;
            if fits.explained - least >= NEEDED {
                let told = fits.explained >= EXPLAINED && fits.mixed;
                let chance = || fit(&guess, 1).explained;
                let beyond = |chance: f64| fits.explained - chance >= BESIDE_CHANCE * (1.0 - chance);
                return (told && beyond(chance())).then_some((guess, fits));
            }
            parents.remove(at);
        }
        None
    }

    fn of_parent(&self, parent: usize) -> Changed {
        let theirs = self.of.looked_at(parent, 0);
        let told = self.of.seen(parent);
        let places = theirs.iter().zip(&self.base_values).zip(&self.of.own);
        let seen = places.map(|((theirs, base), own)| told(*theirs, *base, *own)).collect();
        let values = theirs.iter().zip(&self.base_values).map(|(theirs, base)| theirs - base).collect();
        Changed { values, seen }
    }

    /// The ratios that the changes of the child have to those of `parent`.
    fn ratios(&self, parent: usize) -> Vec<f32> {
        let changed = self.of_parent(parent);
        let places = self.own.iter().zip(&changed.values).zip(&changed.seen);
        places.filter(|(_, seen)| **seen).map(|((own, theirs), _)| own / theirs).collect()
    }

    /// Relative weights of a mean, the first parent's being one: what two changes at once give says theirs.
    fn means(&self, guess: &Guess, changed: &BTreeMap<usize, Changed>) -> Vec<f32> {
        let (first, ratio) = (guess.parents[0], guess.ratios[0]);
        let weight = |&parent: &usize| {
            let (Some(one), Some(other)) = (changed.get(&first), changed.get(&parent)) else { return 1.0 };
            if parent == first {
                return 1.0;
            }
            let apart = self.of.seen(first);
            let both = (0..self.own.len()).filter(|&at| {
                let base = self.base_values[at];
                one.seen[at]
                    && other.seen[at]
                    && apart(base + one.values[at], base + other.values[at], self.of.own[at])
            });
            let shares: Vec<f32> = both
                .map(|at| (self.own[at] / ratio - other.values[at]) / (one.values[at] - other.values[at]))
                .filter(|share| (FIRST..1.0 - FIRST).contains(share))
                .collect();
            mode(&shares).map_or(1.0, |(_, share)| (1.0 - share) / share)
        };
        guess.parents.iter().map(weight).collect()
    }

    /// How well a guess fits, with the child's changes of the elements so many behind: one behind, what chance explains.
    fn fit(&self, (guess, parents): (&Guess, &[&Changed]), behind: usize) -> Fit {
        let shifted = (behind > 0).then(|| {
            let [own, base] = [self.of.child, self.base].map(|member| self.of.looked_at(member, behind));
            let changes: Vec<f32> = own.iter().zip(&base).map(|(own, base)| own - base).collect();
            (own, changes)
        });
        let (own, changes) =
            shifted.as_ref().map_or((&self.of.own, &self.own), |(own, changes)| (own, changes));
        let count = parents.len();
        let (mut seen, mut explained, mut mixed, mut matrices) = (0u64, 0u64, 0u64, 0u64);
        let mut unchanged = 0u64;
        let mut all = vec![(0u64, 0u64); count];
        let stride = if count > FEW { GLANCED } else { 1 };
        let mut sets = Sets::of(guess);
        let mut start = 0;
        for &end in &self.of.ends {
            let mut given = vec![(0u64, 0u64); count];
            for at in (start..end).step_by(stride) {
                let changed = parents
                    .iter()
                    .enumerate()
                    .fold(0, |set, (bit, one)| set | usize::from(one.seen[at]) << bit);
                if changed == 0 {
                    continue;
                }
                seen += 1;
                let spacing = self.of.samples.spacing(self.of.child, own[at]);
                let theirs = parents.iter().map(|one| one.values[at]);
                let Some(set) = sets.explain(theirs, (changes[at], spacing)) else { continue };
                explained += 1;
                unchanged += u64::from(set == 0);
                for (bit, given) in given.iter_mut().enumerate().filter(|(bit, _)| changed >> bit & 1 == 1) {
                    given.0 += set as u64 >> bit & 1;
                    given.1 += 1;
                }
            }
            for (given, all) in given.into_iter().zip(&mut all) {
                if given.1 >= 20 {
                    matrices += 1;
                    mixed += u64::from(MIXED.contains(&(given.0 as f64 / given.1 as f64)));
                }
                *all = (all.0 + given.0, all.1 + given.1);
            }
            start = end;
        }
        Fit {
            explained: if (seen as usize) < ENOUGH { 0.0 } else { explained as f64 / seen as f64 },
            taken: all.into_iter().map(|(taken, of)| taken as f64 / of.max(1) as f64).collect(),
            mixed: matrices > 0 && mixed as f64 >= MOSTLY * matrices as f64,
            unchanged: unchanged as f64 / seen.max(1) as f64,
        }
    }
}

/// What every set of parents gives, a set being bits.
struct Sets<'a> {
    guess: &'a Guess,
    /// Sums of the weights of a mean.
    weights: Vec<f32>,
    /// Sums of the changes of one element, and of their sizes.
    sums: Vec<(f32, f32)>,
}

impl<'a> Sets<'a> {
    fn of(guess: &'a Guess) -> Self {
        let mut weights = vec![0.0];
        for bit in 0..guess.parents.len() {
            let weight = guess.mean.as_ref().map_or(1.0, |mean| mean[bit]);
            weights.extend(weights.iter().map(|sum| sum + weight).collect::<Vec<f32>>());
        }
        Self { guess, weights, sums: Vec::new() }
    }

    /// The set whose changes give the child's change within its rounding.
    fn explain(&mut self, theirs: impl Iterator<Item = f32>, (change, spacing): (f32, f32)) -> Option<usize> {
        let Self { guess, weights, sums } = self;
        sums.clear();
        sums.push((0.0, 0.0));
        for (bit, theirs) in theirs.enumerate() {
            let weight = guess.mean.as_ref().map_or(1.0, |mean| mean[bit]);
            let term = weight * guess.ratios[bit] * theirs;
            for set in 0..1usize << bit {
                let (sum, sizes) = sums[set];
                sums.push((sum + term, sizes + term.abs()));
            }
        }
        let mut best: Option<(f32, usize)> = None;
        for (set, (&(sum, sizes), weights)) in sums.iter().zip(weights.iter()).enumerate() {
            let sum = if guess.mean.is_some() && set != 0 { sum / weights } else { sum };
            let allowed = 0.75 * spacing + 0.01 * sum.abs() + guess.spread * sizes;
            let off = (change - sum).abs();
            if off <= allowed && best.is_none_or(|(least, _)| off < least) {
                best = Some((off, set));
            }
        }
        best.map(|(_, set)| set)
    }
}

/// The value that stands out among some ratios, with its share of them.
fn mode(ratios: &[f32]) -> Option<(f64, f32)> {
    if ratios.len() < ENOUGH {
        return None;
    }
    let mut bins = [0u32; BINS];
    for ratio in ratios {
        let bin = (ratio - FIRST) / BIN;
        if bin >= 0.0 && bin < BINS as f32 {
            bins[bin as usize] += 1;
        }
    }
    // The mean number in the bins from one to another, as far as there are such.
    let mean = |parts: &[(usize, usize)]| {
        let parts = parts.iter().map(|&(from, to)| &bins[from.min(BINS)..to.min(BINS)]);
        let (sum, count) =
            parts.fold((0, 0), |(sum, count), part| (sum + part.iter().sum::<u32>(), count + part.len()));
        f64::from(sum) / count.max(1) as f64
    };
    let close = |at: usize| mean(&[(at.saturating_sub(1), at + 2)]);
    let peak = (0..BINS).max_by(|&a, &b| close(a).total_cmp(&close(b)).then(b.cmp(&a)))?;
    let around = mean(&[(peak.saturating_sub(9), (peak + 1).saturating_sub(4)), (peak + 4, peak + 10)]);
    if close(peak) < SHARP * around {
        return None;
    }
    let middle = FIRST + (peak as f32 + 0.5) * BIN;
    let mut near: Vec<f32> = ratios.iter().copied().filter(|r| (r - middle).abs() <= 1.5 * BIN).collect();
    near.sort_by(f32::total_cmp);
    let share = near.len() as f64 / ratios.len() as f64;
    (share >= COMMON).then(|| (share, near[near.len() / 2]))
}
