//! Merges that drop or elect elements (DARE, TIES, Breadcrumbs).
//!
//! An element of such a merge is the base's, or the base's with a sum or mean of some parents' changes. The weights are
//! found first: over the elements that one parent changed much, the child's change has one ratio to it again and again.

use super::{
    measured::Measured,
    mixture::{Mixture, Proof},
    samples::Samples,
    trimmed,
};

/// Models tried as the base and as parents: those nearest to the child.
const NEAREST: usize = 20;
const PARENTS: usize = 6;
/// Elements of all matrices that are looked at.
const LOOKED_AT: usize = 1 << 15;
/// The same while more parents than this are tried together: what a merge of some of them gave stands in for them.
const FEW: usize = 4;
const GLANCED_AT: usize = 1 << 13;
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
    let elements = Elements { samples, child };
    near.sort_by(|&a, &b| measured.bits(child, a).total_cmp(&measured.bits(child, b)));
    near.truncate(NEAREST);
    let guesses = near.iter().filter_map(|&base| {
        let parents = near.iter().copied().filter(|&other| other != base);
        let mut found: Vec<(f64, f32, usize)> = parents
            .filter_map(|parent| {
                let (share, ratio) = elements.ratio(base, parent)?;
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
        let of_alike = (alike.len() < found.len()).then(|| elements.best(base, &alike)).flatten();
        let of_weighed = elements.best(base, &weighed);
        elements
            .best(base, &found)
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
    let proof = Proof::Elements { base: guess.base, explained: fit.explained };
    Some(Mixture { child, parents, by_matrix: Vec::new(), proof })
}

/// The elements of one child.
struct Elements<'a> {
    samples: &'a Samples,
    child: usize,
}

impl Elements<'_> {
    /// The guess that explains most, of sums and means over the parents found; none that explains too little.
    fn best(&self, base: usize, found: &[(f64, f32, usize)]) -> Option<(Guess, Fit)> {
        let mut parents: Vec<(usize, f32)> =
            found.iter().map(|&(_, ratio, parent)| (parent, ratio)).collect();
        while parents.len() >= 2 {
            let guess = |mean| Guess {
                base,
                parents: parents.iter().map(|(parent, _)| *parent).collect(),
                ratios: parents.iter().map(|(_, ratio)| *ratio).collect(),
                mean,
                spread: 0.0,
            };
            let spread = Guess { spread: SPREAD, ..guess(None) };
            let mut guesses = vec![guess(None)];
            if parents.iter().all(|(_, ratio)| (ratio - parents[0].1).abs() < SAME) {
                guesses.push(guess(Some(vec![1.0; parents.len()])));
                guesses.push(guess(Some(self.means(&guesses[0]))));
            }
            let fitted = guesses.into_iter().map(|guess| {
                let fit = self.fit(&guess, 0);
                (guess, fit)
            });
            let (mut guess, mut fit) = fitted.max_by(|a, b| a.1.explained.total_cmp(&b.1.explained))?;
            if fit.explained < EXPLAINED {
                let of_spread = self.fit(&spread, 0);
                let chance = || self.fit(&spread, 1).explained;
                if of_spread.explained >= SPREAD_EXPLAINED
                    && of_spread.unchanged >= UNCHANGED
                    && of_spread.explained - chance() >= BEYOND_CHANCE
                {
                    (guess, fit) = (spread, of_spread);
                }
            }
            let without = (0..parents.len()).map(|at| {
                let keep = |values: &[f32]| {
                    values.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, v)| *v).collect::<Vec<f32>>()
                };
                let others = guess.parents.iter().copied().filter(|&parent| parent != guess.parents[at]);
                let fewer = Guess {
                    base,
                    parents: others.collect(),
                    ratios: keep(&guess.ratios),
                    mean: guess.mean.as_deref().map(keep),
                    spread: guess.spread,
                };
                (self.fit(&fewer, 0).explained, at)
            });
            let (least, at) = without.max_by(|a, b| a.0.total_cmp(&b.0))?;
            if fit.explained - least >= NEEDED {
                return (fit.explained >= EXPLAINED && fit.mixed).then_some((guess, fit));
            }
            parents.remove(at);
        }
        None
    }

    /// Whether an element differs so much between two models that one change is told from another.
    fn seen(&self, parent: usize, base: usize, at: usize) -> bool {
        let value = |member: usize| self.samples.values[member][at].abs();
        let largest = value(parent).max(value(base)).max(value(self.child));
        let spacing = self.samples.spacing(parent, largest).max(self.samples.spacing(self.child, largest));
        (self.samples.values[parent][at] - self.samples.values[base][at]).abs() >= SEEN * spacing
    }

    /// The ratio that the change of `child` has to that of `parent` more often than any near it, and how often.
    fn ratio(&self, base: usize, parent: usize) -> Option<(f64, f32)> {
        let [child_values, base_values, theirs] =
            [self.child, base, parent].map(|member| &self.samples.values[member]);
        let ratios: Vec<f32> = (0..theirs.len())
            .step_by(theirs.len().div_ceil(LOOKED_AT).max(1))
            .filter(|&at| self.seen(parent, base, at))
            .map(|at| (child_values[at] - base_values[at]) / (theirs[at] - base_values[at]))
            .collect();
        mode(&ratios)
    }

    /// Relative weights of a mean, the first parent's being one: what two changes at once give says theirs.
    fn means(&self, guess: &Guess) -> Vec<f32> {
        let (first, base, ratio) = (guess.parents[0], guess.base, guess.ratios[0]);
        let change =
            |member: usize, at: usize| self.samples.values[member][at] - self.samples.values[base][at];
        let weight = |&parent: &usize| {
            if parent == first {
                return 1.0;
            }
            let both = (0..self.samples.values[first].len()).filter(|&at| {
                [first, parent].iter().all(|&one| self.seen(one, base, at)) && self.seen(first, parent, at)
            });
            let shares: Vec<f32> = both
                .map(|at| {
                    (change(self.child, at) / ratio - change(parent, at))
                        / (change(first, at) - change(parent, at))
                })
                .filter(|share| (FIRST..1.0 - FIRST).contains(share))
                .collect();
            mode(&shares).map_or(1.0, |(_, share)| (1.0 - share) / share)
        };
        guess.parents.iter().map(weight).collect()
    }

    /// How well a guess fits, with the child's changes of the elements so many behind: one behind, what chance explains.
    fn fit(&self, guess: &Guess, behind: usize) -> Fit {
        let count = guess.parents.len();
        let (mut seen, mut explained, mut mixed, mut matrices) = (0u64, 0u64, 0u64, 0u64);
        let mut unchanged = 0u64;
        let mut all = vec![(0u64, 0u64); count];
        let looked_at = if count > FEW { GLANCED_AT } else { LOOKED_AT };
        let stride = self.samples.values[self.child].len().div_ceil(looked_at).max(1);
        let mut start = 0;
        for &end in &self.samples.ends {
            let mut given = vec![(0u64, 0u64); count];
            for at in (start..end - behind).step_by(stride) {
                let big = |parent: usize| self.seen(parent, guess.base, at);
                let parents = guess.parents.iter().enumerate().filter(|(_, parent)| big(**parent));
                let changed = parents.fold(0usize, |set, (bit, _)| set | (1 << bit));
                if changed == 0 {
                    continue;
                }
                seen += 1;
                let Some(set) = self.explain(guess, (at, at + behind)) else { continue };
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

    /// The parents, as bits, whose changes at the first element give the child's at the second within its rounding.
    fn explain(&self, guess: &Guess, (at, child_at): (usize, usize)) -> Option<usize> {
        let base = self.samples.values[guess.base][at];
        let own = self.samples.values[self.child][child_at];
        let change = own - self.samples.values[guess.base][child_at];
        let mut best: Option<(f32, usize)> = None;
        for set in 0..1usize << guess.parents.len() {
            let (mut sum, mut weights, mut sizes) = (0.0f32, 0.0f32, 0.0f32);
            for (bit, &parent) in guess.parents.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1) {
                let weight = guess.mean.as_ref().map_or(1.0, |mean| mean[bit]);
                let term = weight * guess.ratios[bit] * (self.samples.values[parent][at] - base);
                sum += term;
                sizes += term.abs();
                weights += weight;
            }
            if guess.mean.is_some() && set != 0 {
                sum /= weights;
            }
            let allowed =
                0.75 * self.samples.spacing(self.child, own) + 0.01 * sum.abs() + guess.spread * sizes;
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
    // The mean number in the bins of some distances.
    let around = |at: usize, distances: std::ops::RangeInclusive<usize>| {
        let bins = bins.iter().enumerate().filter(|(bin, _)| distances.contains(&bin.abs_diff(at)));
        let (sum, count) = bins.fold((0, 0), |(sum, count), (_, bin)| (sum + bin, count + 1));
        f64::from(sum) / f64::from(count.max(1))
    };
    let peak = (0..BINS).max_by(|&a, &b| around(a, 0..=1).total_cmp(&around(b, 0..=1)).then(b.cmp(&a)))?;
    let middle = FIRST + (peak as f32 + 0.5) * BIN;
    let mut near: Vec<f32> = ratios.iter().copied().filter(|r| (r - middle).abs() <= 1.5 * BIN).collect();
    near.sort_by(f32::total_cmp);
    let share = near.len() as f64 / ratios.len() as f64;
    let sharp = around(peak, 0..=1) >= SHARP * around(peak, 4..=9);
    (share >= COMMON && sharp).then(|| (share, near[near.len() / 2]))
}
