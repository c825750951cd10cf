//! Copies: the same values, the same in another number format, rounded to a grid, or with noise.

use kernels::Contrast;
use rayon::prelude::*;

use super::{
    Subject,
    facts::Facts,
    family::Known,
    inherited::Inherited,
    measured::{self, Measured, Part, spacing, spacings_apart},
    noise,
    report::Kind,
    samples::Samples,
};
use crate::Error;

/// Models that are asked whether a copy's noise lies between it and them, and share of it that half of them must see.
const NEAREST: usize = 5;
const HALF: f64 = 0.5;
/// Between the flatness of a uniform difference (1.8, what rounding to a grid leaves) and of a normal one (2.8).
const FLAT: f64 = 2.3;
/// A rounding to floats of few bits leaves at most about this many times its expected energy.
const ROUNDINGS: f64 = 2.0;
/// Smallest spacing of numbers in f16.
const F16_SPACING: f32 = f32::from_bits(0x3380_0000);
/// Spacings that a number moves at most when it is rounded, once or on the way through another format, and for how many
/// numbers that must hold; and the least part of the square that evenly spread roundings have, a twelfth of a spacing.
const TWICE_ROUNDED: f64 = 0.57;
const NEARLY_ALL: f64 = 0.99;
const UNEVEN: f64 = 0.6;
/// Squared distance of a shuffled model to its original as a share of that to any other model: noise is small.
const NOISE: f64 = 0.5;
/// Values of a row that repeat, in a copy on a grid against its original; early steps of training are flat too, but do
/// not change that number.
const FEWER_LEVELS: f64 = 2.0;
/// Share of a parent's weights that are zero in a copy that was pruned by their size, at least; and of its other elements those
/// that are not the parent's.
const CLEARED: f64 = 0.05;
const STRAY: f64 = 0.001;
/// Distinct values in a row as a share of those of the original, for codes of four bits and fewer.
const FEW_LEVELS: f64 = 0.6;
/// Most that rounding to a float with three bits after the leading one changes a value by, as a share, with a second
/// rounding on top; and of how many elements that must hold. Training moves small values by more.
const EIGHTH: f32 = 0.066;
const BOUNDED: f64 = 0.995;

/// A member that is a copy of another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) child: usize,
    pub(super) parent: usize,
    pub(super) kind: Kind,
    /// Probability of this direction.
    pub(super) direction: f64,
    /// The number that decided, by kind.
    pub(super) score: f64,
}

impl Copy {
    /// How much of its rounding is in `other`, as [`Samples::inherits`] tells.
    pub(super) fn inherited(&self, samples: &Samples, other: usize) -> Option<Inherited> {
        let original = [(self.parent, 1.0)];
        samples.inherits((other, self.child), |_| &original)
    }
}

/// Every member that is a copy, each of the nearest original.
///
/// # Errors
/// A read that fails.
pub(super) fn copies(measured: &Measured, known: &Known<'_>) -> Result<Vec<Copy>, Error> {
    let mut found: Vec<Copy> = Vec::new();
    for child in 0..measured.members.len() {
        let of = |parent: usize| {
            let copy = copy(measured, (child, parent), known)?;
            if copy.kind == Kind::Quantized && below(measured, (parent, child)) {
                return None;
            }
            Some((measured.apart(child, parent), copy))
        };
        let best = (0..measured.members.len()).filter(|&parent| parent != child).filter_map(of);
        if let Some((_, copy)) = best.min_by(|a, b| a.0.total_cmp(&b.0)) {
            found.push(copy);
        }
    }
    let open: Vec<usize> = (0..measured.members.len())
        .filter(|&one| !found.iter().any(|copy| [copy.child, copy.parent].contains(&one)))
        .collect();
    let noised = open.par_iter().map(|&child| noised(measured, child, known));
    found.extend(noised.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten());
    // A copy of a copy is one of the original where that explains it as well.
    let is_copy = |member: usize| found.iter().any(|copy| copy.child == member);
    let settled = |copy: &Copy| {
        if !is_copy(copy.parent) {
            return *copy;
        }
        // Noise is all its own, whichever of equal models it was added to.
        if copy.kind == Kind::Noised {
            let same = found.iter().find(|other| other.child == copy.parent && other.kind == Kind::Duplicate);
            return same.map_or(*copy, |same| Copy { parent: same.parent, ..*copy });
        }
        let mut originals =
            (0..measured.members.len()).filter(|&other| other != copy.child && !is_copy(other));
        let direct = originals.find_map(|parent| {
            let direct = self::copy(measured, (copy.child, parent), known);
            direct.filter(|_| !below(measured, (parent, copy.child)))
        });
        direct.unwrap_or(*copy)
    };
    Ok(found.iter().map(settled).collect())
}

/// Whether a member is the nearest other one with noise added: what noise adds lies between the copy and all others.
fn noised(measured: &Measured, child: usize, known: &Known<'_>) -> Result<Option<Copy>, Error> {
    let others = (0..measured.members.len()).filter(|&other| other != child);
    let apart = |&other: &usize| measured.apart(child, other);
    let nearest = others.filter(|other| apart(other) > 0.0).min_by(|a, b| apart(a).total_cmp(&apart(b)));
    let between =
        |parent: &usize| below(measured, (child, *parent)) && lies_between(measured, (child, *parent));
    let Some(parent) = nearest.filter(between) else { return Ok(None) };
    let spread = noise::noise(known, [child, parent].map(|member| measured.members[member]))?;
    Ok(spread.map(|spread| Copy {
        child,
        parent,
        kind: Kind::Noised,
        direction: 0.98,
        score: spread.rows.max(spread.columns),
    }))
}

/// How far the numbers of some parts are from another member's, in spacings of what they would be rounded to.
#[derive(Default)]
struct Off {
    near: u64,
    all: u64,
    moved: u64,
    squares: f64,
}

impl Off {
    /// Of the parts for which `wanted` holds.
    fn over(
        measured: &Measured,
        (child, parent): (usize, usize),
        (facts, wanted): (&Facts, fn(&Part) -> bool),
    ) -> Self {
        let unit = 2f32.powi(-(facts.precision as i32));
        let least = if facts.format == 10 { F16_SPACING } else { 0.0 };
        let mut found = Self::default();
        for part in measured.parts.iter().filter(|part| wanted(part)) {
            let (Some(own), Some(theirs)) = (part.samples.get(child), part.samples.get(parent)) else {
                continue;
            };
            for (rounded, value) in own.iter().zip(theirs) {
                let off = f64::from(spacings_apart(*rounded, *value, spacing(*rounded, unit).max(least)));
                found.all += 1;
                found.near += u64::from(off <= TWICE_ROUNDED);
                found.moved += u64::from(off > 0.0);
                found.squares += off * off;
            }
        }
        found
    }

    fn is_near(&self) -> bool {
        self.near as f64 >= NEARLY_ALL * self.all as f64
    }
}

/// Whether one member's numbers are another's rounded: as near as rounding puts them, and as far. What was trained from
/// the rounded ones by a slight step lies nearer, and what was trained in its norms alone lies further off in them.
fn is_rounded(measured: &Measured, pair: (usize, usize), facts: &Facts) -> bool {
    let matrices = Off::over(measured, pair, (facts, |part| part.matrix));
    let others = Off::over(measured, pair, (facts, |part| !part.matrix));
    matrices.is_near() && others.is_near() && matrices.squares >= UNEVEN * matrices.moved as f64 / 12.0
}

/// Share of the parent's weights in matrices that are zero in the child, where all others are the parent's, as they are or
/// rounded; none where others differ.
fn cleared(measured: &Measured, (child, parent): (usize, usize), facts: &Facts) -> Option<f64> {
    let unit = 2f32.powi(-(facts.precision as i32));
    let (mut zeros, mut strays, mut all) = (0.0, 0.0, 0.0);
    for part in measured.matrices().filter(|part| !part.samples.is_empty()) {
        // Of small matrices all elements are there, of large ones some.
        let each = part.elements as f64 / part.samples[child].len().max(1) as f64;
        for (own, value) in
            part.samples[child].iter().zip(&part.samples[parent]).filter(|(_, value)| **value != 0.0)
        {
            all += each;
            if *own == 0.0 {
                zeros += each;
            } else if f64::from(spacings_apart(*own, *value, spacing(*own, unit))) > TWICE_ROUNDED {
                strays += each;
            }
        }
    }
    let share = if all > 0.0 { zeros / all } else { 0.0 };
    ((CLEARED..1.0).contains(&share) && strays <= STRAY * all).then_some(share)
}

/// Whether one member's matrices are another's to three bits after the leading one, whatever their scales.
fn in_eighths(measured: &Measured, (child, parent): (usize, usize)) -> bool {
    let (mut near, mut all) = (0_u64, 0_u64);
    let changed = |part: &&Part| !part.samples.is_empty() && part.apart(child, parent) > 0.0;
    for part in measured.matrices().filter(changed) {
        let pairs = part.samples[child].iter().zip(&part.samples[parent]);
        near += pairs.filter(|(a, b)| (*a - *b).abs() <= EIGHTH * b.abs()).count() as u64;
        all += part.samples[child].len() as u64;
    }
    all > 0 && near as f64 >= BOUNDED * all as f64
}

/// Whether `one` was rather trained from the copy `of`: what rounding adds lies between the copy and all others, a step
/// from it between them and what took the step.
fn below(measured: &Measured, (one, of): (usize, usize)) -> bool {
    let others = (0..measured.members.len()).filter(|other| ![one, of].contains(other));
    let nearer = others.clone().filter(|&other| measured.apart(other, of) < measured.apart(other, one));
    2 * nearer.count() > others.count()
}

/// Whether what a copy has beside its original lies between it and the others, as noise and rounding do: of the models nearest to
/// the original it is further away by just that. Of a sibling it is not: both are as far. True where there are no others.
fn lies_between(measured: &Measured, (copy, original): (usize, usize)) -> bool {
    let mut others: Vec<usize> =
        (0..measured.members.len()).filter(|other| ![copy, original].contains(other)).collect();
    others.sort_by(|&a, &b| measured.apart(original, a).total_cmp(&measured.apart(original, b)));
    others.truncate(NEAREST);
    let own = measured.apart(copy, original);
    let mut shares: Vec<f64> = others
        .iter()
        .map(|&other| (measured.apart(copy, other) - measured.apart(original, other)) / own)
        .collect();
    shares.sort_by(f64::total_cmp);
    shares.get(shares.len() / 2).is_none_or(|middle| *middle > HALF)
}

fn copy(
    measured: &Measured,
    (child, parent): (usize, usize),
    Known { subjects, facts, orders, .. }: &Known<'_>,
) -> Option<Copy> {
    let subject = |member: usize| subjects.get(measured.members[member]);
    let moved = |member: usize| orders.contains_key(&measured.members[member]);
    let (mine, theirs) =
        (facts[measured.members[child]].as_ref()?, facts[measured.members[parent]].as_ref()?);
    let apart = measured.apart(child, parent);
    // Shuffled and changed no further than noise does: all others are far away, but for what was trained from it. What is as near
    // to another model in its own order was trained from that.
    let order = |member: usize| orders.get(&measured.members[member]);
    let from_copy = || {
        (0..measured.members.len()).any(|other| {
            let near = measured.apart(child, other);
            other != child && order(other) == order(child) && near > 0.0 && near <= apart
        })
    };
    let shuffled = moved(child) && !moved(parent) && !from_copy() && {
        let others =
            (0..measured.members.len()).filter(|&other| ![child, parent].contains(&other) && !moved(other));
        others.clone().count() > 0
            && others.into_iter().all(|other| apart < NOISE * measured.apart(child, other))
    };
    let made = |kind, direction, score| Some(Copy { child, parent, kind, direction, score });
    if mine.layers != theirs.layers || mine.elements != theirs.elements {
        return None;
    }
    let widest = measured.rounding(parent, mine.format.max(theirs.format));
    if apart == 0.0 || (mine.format != theirs.format && apart <= widest) {
        let finer = |facts: &Facts| facts.format.saturating_sub(facts.precision);
        if mine.format != theirs.format {
            // Values that need fewer bits than their format has came from a narrower one.
            return if finer(mine) > finer(theirs) { made(Kind::Cast, 0.99, 0.0) } else { None };
        }
        let (own, other) = (subject(child)?, subject(parent)?);
        let claims = |a: &Subject, b: &Subject| a.claims.iter().any(|claim| super::names(&b.id, claim));
        let rank =
            |moved: bool, a: &Subject, b: &Subject| (moved, claims(a, b), a.order, a.id.len(), a.id.clone());
        return if rank(moved(child), own, other) > rank(moved(parent), other, own) {
            made(Kind::Duplicate, 0.5, 0.0)
        } else {
            None
        };
    }
    if shuffled {
        return made(Kind::Permuted, 0.95, apart);
    }
    if let Some(share) = cleared(measured, (child, parent), mine) {
        return made(Kind::Pruned, 0.99, share);
    }
    let rounding = measured.rounding(parent, mine.precision);
    // What is not a matrix, such as norms about one and positions, has its energy elsewhere.
    let turned = measured.apart_in_matrices(child, parent);
    if mine.precision < theirs.precision && turned < ROUNDINGS * rounding {
        if mine.precision < 7 {
            return made(Kind::Quantized, 0.99, turned / rounding);
        }
        if is_rounded(measured, (child, parent), mine) {
            return made(Kind::Cast, 0.99, turned / rounding);
        }
    }
    // What the narrower of the two formats takes from both says nothing.
    let bits = mine.precision.min(theirs.precision);
    let (own, original) = (mine.levels(bits, theirs), theirs.levels(bits, mine));
    // Tables of embeddings are mostly left as they are.
    let turned = || measured.matrices().filter(|part| part.apart(child, parent) > 0.0);
    let squares = turned().map(|part| part.gram.dot(parent, parent)).sum::<f64>();
    let step = turned().map(|part| part.apart(child, parent)).sum::<f64>();
    let eighth = step / (squares * measured::rounding(3));
    if own < original && (0.3..ROUNDINGS).contains(&eighth) && in_eighths(measured, (child, parent)) {
        return made(Kind::Quantized, 0.98, eighth);
    }
    if 1.0 - own < FEWER_LEVELS * (1.0 - original).max(0.005) {
        return None;
    }
    let mut contrast = Contrast::default();
    turned().for_each(|part| contrast.merge(&part.contrast(child, parent)));
    let flatness = contrast.flatness / contrast.chunks.max(1) as f64;
    let equal = contrast.equal as f64 / contrast.n.max(1) as f64;
    // A difference of mostly nothing has no shape of its own.
    if contrast.chunks > 0 && flatness < FLAT && equal < 0.9 {
        return made(Kind::Quantized, 0.98, flatness);
    }
    let near = step < 0.1 * squares;
    if near && own < FEW_LEVELS * original && (0.3..ROUNDINGS).contains(&eighth) {
        return made(Kind::Quantized, 0.98, eighth);
    }
    // Coarse numbers so far from another's may be those of a sibling.
    (near && own < FEW_LEVELS * original && lies_between(measured, (child, parent))).then_some(())?;
    made(Kind::Quantized, 0.95, own / original)
}
