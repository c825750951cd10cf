//! Exact inner products of all models over the tensors of one, and how their elements differ.

use std::collections::{BTreeMap, BTreeSet};

use kernels::{Contrast, Dtype, Encoded, Gram};
use rayon::prelude::*;

use super::{Subject, cluster::Relations, facts::Facts, student::Score};
use crate::{Error, Progress, computed::blocks, kinship::Module};

/// Blocks of a tensor whose elements are told apart; the others only count in the inner products.
const LOOKED_AT: u64 = 16;
/// Elements of all tensors that are kept of all models together, the most and the fewest of one model, and the fewest of
/// one tensor.
const KEPT: usize = 1 << 26;
const SAMPLED: std::ops::RangeInclusive<usize> = 1 << 16..=1 << 20;
const LEAST_SAMPLED: usize = 256;
/// Half way between a step that a descendant contains (1) and one that has nothing to do with it (0), towards the former:
/// siblings have steps in common; and what nine of ten matrices hold at least.
const CONTAINED: f64 = 0.85;
const EVERYWHERE: f64 = 0.77;
/// Less is enough in half of the matrices, and in nine of ten, of a model that went further from the root than its parent by this
/// share of the square: what a second training takes back it makes up for, while siblings of one length hold each other's steps
/// alike; if nine of ten hold at least this share of what half of them do.
const PARTLY: [f64; 2] = [0.55, 0.45];
const FURTHER: f64 = 1.25;
const EVENLY: f64 = 0.65;
/// What a descendant holds at most: a sibling that was trained on the same things by larger steps holds more than there is.
pub(super) const BEYOND: f64 = 1.45;
/// Spacings that one rounding moves a number at most; that number may have come from the next power of two.
const ROUNDED: f32 = 0.5;
/// Bits after the leading one of bf16.
const BF16: u32 = 7;
/// Inner products are exact to about this share.
pub(super) const EXACT: f64 = 1e-12;

/// A tensor that all members hold.
pub(super) struct Part {
    pub(super) role: String,
    pub(super) module: Module,
    pub(super) elements: u64,
    /// Of two dimensions: what regressions run over.
    pub(super) matrix: bool,
    /// Whether its stored bytes are the same, by pair of members.
    digests: Vec<domain::Digest>,
    pub(super) gram: Gram,
    /// Of the numbers rounded to what the coarsest member has, by pair.
    contrasts: Vec<Contrast>,
    /// Whether all elements that were looked at are the same, by pair.
    identical: Vec<bool>,
    /// Some elements, by member; none where only sketches are known.
    pub(super) samples: Vec<Vec<f32>>,
}

/// Models measured in the coordinates of the first.
pub(super) struct Measured {
    pub(super) members: Vec<usize>,
    pub(super) parts: Vec<Part>,
    /// What the members hold besides the parts, which not all of them have.
    pub(super) beside: Vec<Beside>,
}

/// Digests by role, layer and shape.
pub(super) type Beside = BTreeMap<(String, Option<u64>, Vec<u64>), domain::Digest>;

/// Where the tensors of a reference lie in the models that have them all, the reference first.
pub(super) struct Places {
    pub(super) members: Vec<usize>,
    /// By member, for each tensor of the reference.
    pub(super) places: Vec<Vec<usize>>,
    /// The tensors of the reference that every member has.
    pub(super) kept: Vec<usize>,
}

/// Bits after the leading one that each member's numbers have.
pub(super) fn precisions(members: &[usize], facts: &[Option<Facts>]) -> Vec<u32> {
    members.iter().map(|&member| facts[member].as_ref().map_or(23, |facts| facts.precision)).collect()
}

/// The fewest bits among those of bf16 and more: only numbers of one spacing tell which of two models is nearer to a
/// third. What has fewer is a copy.
pub(super) fn coarsest(precision: &[u32]) -> u32 {
    precision.iter().copied().filter(|bits| *bits >= BF16).min().unwrap_or(BF16)
}

/// Rounds to `bits` after the leading one, halves to even.
pub(super) fn round(values: &mut [f32], bits: u32) {
    let dropped = 23 - bits;
    let half = (1u32 << dropped >> 1).saturating_sub(1);
    for value in values.iter_mut().filter(|value| value.is_finite()) {
        let stored = value.to_bits();
        let up = stored + half + (stored >> dropped & u32::from(dropped > 0));
        *value = f32::from_bits(up >> dropped << dropped);
    }
}

/// Finds the tensors of the reference in every member. Members that lack some are left out.
pub(super) fn places(
    (reference, family, settled): (usize, &[usize], &[usize]),
    facts: &[Option<Facts>],
    relations: &Relations,
) -> Option<Places> {
    let own = facts[reference].as_ref()?;
    let depth = |one: usize| facts[one].as_ref().map_or(0, |facts| facts.layers);
    let other = |one: &usize| depth(*one) != own.layers && relations.related(reference, *one);
    let whole = settled.iter().copied().find(other);
    let laid =
        |one: usize| whole.and_then(|whole| relations.get(one, whole)).map(|relation| &relation.layers);
    let mut members = vec![reference];
    let mut places: Vec<Vec<usize>> = vec![(0..own.tensors.len()).collect()];
    for &member in family.iter().filter(|&&member| member != reference) {
        let (Some(theirs), Some(relation)) = (&facts[member], relations.get(reference, member)) else {
            continue;
        };
        // Layers that repeat would stand in for the model they were taken from; they are attached to it later.
        if theirs.layers != own.layers && !settled.contains(&member) {
            continue;
        }
        // Of two models that were cut to one depth at other layers, none has the layers of the other in its places.
        if theirs.layers == own.layers && laid(member) != laid(reference) {
            continue;
        }
        let by_place = theirs.by_place();
        let place = own.tensors.iter().map(|tensor| {
            let layer = match tensor.layer {
                Some(layer) => Some((*relation.layers.get(layer as usize)?)?),
                None => None,
            };
            let fits = |other: &super::facts::Tensor| {
                other.shape.len() == tensor.shape.len()
                    && other.shape.get(1..) == tensor.shape.get(1..)
                    && (other.shape.first() == tensor.shape.first() || Module::is_vocabulary(&tensor.role))
            };
            by_place.at(&tensor.role, layer).filter(|&at| fits(&theirs.tensors[at]))
        });
        let place: Vec<usize> = place.map(|at| at.unwrap_or(usize::MAX)).collect();
        let lacking = place
            .iter()
            .zip(&own.tensors)
            .filter(|(at, tensor)| **at == usize::MAX && tensor.layer.is_some());
        if lacking.count() == 0 {
            members.push(member);
            places.push(place);
        }
    }
    let kept: Vec<usize> =
        (0..own.tensors.len()).filter(|&at| places.iter().all(|place| place[at] != usize::MAX)).collect();
    Some(Places { members, places, kept })
}

impl Places {
    /// What the members hold besides the tensors that all of them have.
    pub(super) fn beside(&self, facts: &[Option<Facts>]) -> Vec<Beside> {
        let of = |(&member, place): (&usize, &Vec<usize>)| {
            let tensors = facts[member].iter().flat_map(|facts| &facts.tensors).enumerate();
            let kept: BTreeSet<usize> = self.kept.iter().map(|kept| place[*kept]).collect();
            let rest = tensors.filter(|(at, _)| !kept.contains(at));
            rest.map(|(_, one)| ((one.role.clone(), one.layer, one.shape.clone()), one.digest)).collect()
        };
        self.members.iter().zip(&self.places).map(of).collect()
    }
}

/// Reads every member once, each thread a block of each at a time.
pub(super) fn measure(
    found: Places,
    (subjects, facts): (&[Subject], &[Option<Facts>]),
    progress: Progress<'_>,
) -> Result<Option<Measured>, Error> {
    let beside = found.beside(facts);
    let Places { members, places, kept } = found;
    let Some(own) = members.first().and_then(|&reference| facts[reference].as_ref()) else { return Ok(None) };
    let precision = precisions(&members, facts);
    let common = coarsest(&precision);
    let sampled = (KEPT / members.len().max(1)).clamp(*SAMPLED.start(), *SAMPLED.end());
    let share = (sampled / kept.len().max(1)).max(LEAST_SAMPLED);
    let parts = kept.par_iter().map(|&at| {
        let tensors: Vec<_> = members
            .iter()
            .zip(&places)
            .filter_map(|(&m, place)| facts[m].as_ref()?.tensors.get(place[at]))
            .collect();
        let sources: Vec<_> = members.iter().map(|&m| &*subjects[m].source).collect();
        let elements = tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).min().unwrap_or(0);
        let count = tensors.len();
        let mut gram = Gram::new(count);
        let mut contrasts = vec![Contrast::default(); count * count];
        let mut identical = vec![true; count * count];
        let stride = elements.div_ceil(kernels::BLOCK as u64).div_ceil(LOOKED_AT).max(1);
        let looked_at = elements.div_ceil(kernels::BLOCK as u64).div_ceil(stride).max(1) as usize;
        let mut samples: Vec<Vec<f32>> = vec![Vec::new(); count];
        let mut raw: Vec<Vec<u8>> = vec![Vec::new(); count];
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); count];
        for (number, (start, len)) in blocks(elements).enumerate() {
            for ((source, tensor), bytes) in sources.iter().zip(&tensors).zip(&mut raw) {
                let width = tensor.dtype.bits() / 8;
                bytes.resize(len * width as usize, 0);
                source.read_bytes(tensor.index, start * width, bytes)?;
                progress(bytes.len() as u64)?;
            }
            let zeros = vec![0; len * 4];
            let stored: Vec<Encoded<'_>> = raw
                .iter()
                .zip(&tensors)
                .map(|(bytes, tensor)| Encoded { dtype: tensor.dtype, bytes })
                .collect();
            gram.add_deltas(Encoded { dtype: Dtype::F32, bytes: &zeros }, &stored);
            if !(number as u64).is_multiple_of(stride) {
                continue;
            }
            for ((values, bytes), tensor) in values.iter_mut().zip(&raw).zip(&tensors) {
                values.resize(len, 0.0);
                kernels::decode(tensor.dtype, bytes, values);
            }
            let apart = (len * looked_at).div_ceil(share).max(1);
            for (sample, values) in samples.iter_mut().zip(&values) {
                sample.extend(values.iter().step_by(apart));
            }
            for i in 0..count {
                for j in i + 1..count {
                    identical[i * count + j] &= values[i] == values[j];
                }
            }
            // A model in a narrow format is off by its rounding from all others; so must be those it competes with.
            for (values, _) in values.iter_mut().zip(&precision).filter(|(_, bits)| **bits > common) {
                round(values, common);
            }
            for i in 0..count {
                for j in i + 1..count {
                    contrasts[i * count + j].add(&values[i], &values[j], common);
                }
            }
        }
        let (role, matrix) = (own.tensors[at].role.clone(), own.tensors[at].shape.len() == 2);
        let digests = tensors.iter().map(|tensor| tensor.digest).collect();
        let module = own.tensors[at].module;
        Ok(Part { role, module, elements, matrix, digests, gram, contrasts, identical, samples })
    });
    let parts: Vec<Part> = parts.collect::<Result<_, Error>>()?;
    Ok((!parts.is_empty()).then_some(Measured { members, parts, beside }))
}

impl Part {
    /// A part of which the inner products and the contrasts are known.
    pub(super) fn known(
        tensor: &super::facts::Tensor,
        digests: Vec<domain::Digest>,
        gram: Gram,
        contrasts: Vec<Contrast>,
    ) -> Self {
        let (role, module, elements) = (tensor.role.clone(), tensor.module, gram.elements());
        let matrix = tensor.shape.len() == 2;
        let identical = contrasts.iter().map(|contrast| contrast.bits == 0.0).collect();
        Self { role, module, elements, matrix, digests, gram, contrasts, identical, samples: Vec::new() }
    }

    pub(super) fn contrast(&self, i: usize, j: usize) -> Contrast {
        self.contrasts[self.pair(i, j)]
    }

    /// Whether the elements of `child` are others than those of `parent` rounded to `precision` bits after the leading one.
    pub(super) fn moves(&self, (child, parent): (usize, usize), precision: u32) -> bool {
        if self.apart(child, parent) == 0.0 {
            return false;
        }
        let (Some(own), Some(theirs)) = (self.samples.get(child), self.samples.get(parent)) else {
            return true;
        };
        let unit = 2f32.powi(-(precision as i32));
        let near = |(own, value): (&f32, &f32)| spacings_apart(*own, *value, spacing(*own, unit)) <= ROUNDED;
        own.is_empty() || !own.iter().zip(theirs).all(near)
    }

    fn pair(&self, i: usize, j: usize) -> usize {
        i.min(j) * self.digests.len() + i.max(j)
    }

    /// ‖θᵢ − θⱼ‖².
    pub(super) fn apart(&self, i: usize, j: usize) -> f64 {
        if i == j {
            return 0.0;
        }
        let pair = self.pair(i, j);
        let whole = self.digests[i] == self.digests[j] || self.contrasts[pair].n == self.elements;
        if self.identical[pair] && whole {
            return 0.0;
        }
        (self.gram.dot(i, i) + self.gram.dot(j, j) - 2.0 * self.gram.dot(i, j)).max(0.0)
    }
}

impl Measured {
    pub(super) fn matrices(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.matrix)
    }

    /// ⟨θᵢ, θⱼ⟩ over the matrices.
    pub(super) fn dot(&self, i: usize, j: usize) -> f64 {
        self.matrices().map(|part| part.gram.dot(i, j)).sum()
    }

    /// ‖θᵢ − θⱼ‖² over the tensors that all members have; the least number there is where only others differ.
    pub(super) fn apart(&self, i: usize, j: usize) -> f64 {
        let apart: f64 = self.parts.iter().map(|part| part.apart(i, j)).sum();
        if apart == 0.0 && self.differ(i, j) { f64::MIN_POSITIVE } else { apart }
    }

    /// Whether the two hold other values where not all members have any: heads on one trunk are trained apart.
    pub(super) fn differ(&self, i: usize, j: usize) -> bool {
        let theirs = &self.beside[j];
        self.beside[i].iter().any(|(place, digest)| theirs.get(place).is_some_and(|other| other != digest))
    }

    /// Whether `j` holds a tensor that `i` has none of.
    pub(super) fn lacks(&self, i: usize, j: usize) -> bool {
        self.beside[j].keys().any(|place| !self.beside[i].contains_key(place))
    }

    /// Whether the tensors that all members have are the same in two of them.
    pub(super) fn same(&self, i: usize, j: usize) -> bool {
        self.parts.iter().all(|part| part.apart(i, j) == 0.0)
    }

    /// The same over the matrices alone.
    pub(super) fn apart_in_matrices(&self, i: usize, j: usize) -> f64 {
        self.matrices().map(|part| part.apart(i, j)).sum()
    }

    /// Bits an element that tell one model once the other is known, over all tensors: of models with the same matrices the
    /// norms tell which is nearer.
    pub(super) fn bits(&self, i: usize, j: usize) -> f64 {
        let mut all = Contrast::default();
        self.parts.iter().for_each(|part| all.merge(&part.contrast(i, j)));
        all.bits / all.n.max(1) as f64
    }

    /// How many standard errors over the tensors `i` is told by fewer bits from `j` than from `k`.
    pub(super) fn nearer(&self, i: usize, (j, k): (usize, usize)) -> Score {
        let gains: Vec<f64> = self
            .matrices()
            .map(|part| {
                let (a, b) = (part.contrast(i, j), part.contrast(i, k));
                b.bits / b.n.max(1) as f64 - a.bits / a.n.max(1) as f64
            })
            .collect();
        Score::of(&gains)
    }

    /// How much of the step from `root` to `parent` is in `child`: the regression of its own step on that one.
    pub(super) fn contains(&self, child: usize, (parent, root): (usize, usize)) -> f64 {
        let dot = |i, j| self.parts.iter().map(|part| part.gram.dot(i, j)).sum::<f64>();
        let step = dot(parent, parent) - 2.0 * dot(parent, root) + dot(root, root);
        if step > 0.0 { common(dot, child, (parent, root)) / step } else { 1.0 }
    }

    /// How much of the step from `root` to `parent` half of the matrices of `child` hold at least. Tables of embeddings outweigh all
    /// others, and share their steps with every sibling.
    pub(super) fn middle(&self, child: usize, (parent, root): (usize, usize)) -> f64 {
        match self.held(child, (parent, root)) {
            held if held.is_empty() => self.contains(child, (parent, root)),
            held => held[held.len() / 2].0,
        }
    }

    /// By matrix in ascending order, how much of the step from `root` to `parent` is in `child`, and how many times the square of
    /// that step its own from the root has. Nothing of sketches, whose estimates of single matrices are too coarse.
    fn held(&self, child: usize, (parent, root): (usize, usize)) -> Vec<(f64, f64)> {
        let exact = self.matrices().filter(|part| !part.samples.is_empty());
        let held = exact.filter_map(|part| {
            let dot = |i, j| part.gram.dot(i, j);
            let step = part.apart(parent, root);
            let held = || (common(dot, child, (parent, root)) / step, part.apart(child, root) / step);
            (step > EXACT * dot(root, root)).then(held)
        });
        let mut held: Vec<(f64, f64)> = held.collect();
        held.sort_by(|a, b| a.0.total_cmp(&b.0));
        held
    }

    /// Whether `child` holds the step from `root` to `parent`, and that in nearly all matrices: a model that was trained
    /// on the same things holds more of it than all in some, and little in others.
    pub(super) fn holds(&self, child: usize, (parent, root): (usize, usize)) -> bool {
        let held = self.held(child, (parent, root));
        let whole = self.contains(child, (parent, root));
        let Some(&(middle, _)) = held.get(held.len() / 2) else {
            return (CONTAINED..=BEYOND).contains(&whole);
        };
        let mut longer: Vec<f64> = held.iter().map(|(_, longer)| *longer).collect();
        longer.sort_by(f64::total_cmp);
        let least = held[held.len() / 10].0;
        let partly = longer[longer.len() / 2] >= FURTHER
            && middle >= PARTLY[0]
            && least >= PARTLY[1].max(EVENLY * middle);
        middle <= BEYOND && (partly || whole >= CONTAINED && least >= EVERYWHERE)
    }

    pub(super) fn elements(&self) -> u64 {
        self.parts.iter().map(|part| part.elements).sum()
    }

    /// Energy of rounding the matrices of a member once to numbers of `precision` bits after the leading one.
    pub(super) fn rounding(&self, i: usize, precision: u32) -> f64 {
        self.dot(i, i) * rounding(precision)
    }
}

/// Inner product of the steps from `root` to `child` and to `parent`.
fn common(dot: impl Fn(usize, usize) -> f64, child: usize, (parent, root): (usize, usize)) -> f64 {
    dot(child, parent) - dot(child, root) - dot(root, parent) + dot(root, root)
}

/// Distance from a value to the next number, where the one after 1 is `unit` away.
pub(super) fn spacing(value: f32, unit: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0x7F80_0000) * unit
}

/// How many times `spacing` two values are apart; a zero has no spacing, and equal values are not apart.
pub(super) fn spacings_apart(a: f32, b: f32, spacing: f32) -> f32 {
    if a == b { 0.0 } else { (a - b).abs() / spacing }
}

/// Energy of a rounding to `precision` bits after the leading one, as a share of the squared numbers.
pub(super) fn rounding(precision: u32) -> f64 {
    // E u²/x² over mantissas spread evenly in their logarithm is 3 / (8 ln 2) · 2^(−2·precision); a rounding costs u²/12.
    3.0 / (8.0 * std::f64::consts::LN_2) / 12.0 * 0.25f64.powi(precision as i32)
}
