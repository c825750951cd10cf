//! Lineage from what is stored of models, their sketches and digests, where no weights are read.

use std::{collections::BTreeMap, sync::Arc};

use domain::Digest;
use kernels::{Contrast, Dtype, Gram};
use rayon::prelude::*;
use weights::{TensorSource, canonical_name};

use super::{
    Model, Report, Subject,
    cluster::{Relation, Relations},
    constructed::constructed,
    facts::{self, Facts, Tensor},
    family::Known,
    measured::{Measured, Part, Places, coarsest, precisions, rounding},
    probe::log10_tail,
    structured, twins,
};
use crate::{
    Error, TensorInfo,
    computed::is_buffer,
    kinship::{Module, SketchedTensor},
};

/// Least cosine of the weights at which most of them have one origin.
pub(super) const DESCENT: f64 = 0.5;
/// Relative difference of standard deviations up to which matrices may hold the same values in another order.
const SAME_VALUES: f64 = 0.002;

/// A tensor as it is stored: its sketch, and what was counted beside it.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    pub sketch: SketchedTensor,
    pub dtype: Dtype,
    pub digest: Digest,
    /// Standard deviation of its values.
    pub std: Option<f64>,
}

/// A model of which the tensors' sketches are known.
#[derive(Debug, Clone)]
pub struct Stored {
    pub id: String,
    pub tensors: Vec<StoredTensor>,
    /// Bases that its card or configuration names.
    pub claims: Vec<String>,
    /// When it was made, unix seconds, where that is known.
    pub created: Option<i64>,
    /// Which of equal models was here first.
    pub order: i64,
}

/// Lineage recovered from sketches; answers what it means for single claims.
pub struct Recovered {
    pub report: Report,
    pub(super) models: Vec<Stored>,
    pub(super) facts: Vec<Option<Facts>>,
    pub(super) pairs: Vec<Option<Alike>>,
}

/// How alike the matrices of two models are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alike {
    pub(super) cosine: f64,
    /// Of `cosine`, for models without a common origin.
    pub(super) standard_error: f64,
    /// Sum of the matrices' scores over its standard deviation, for models without a common origin.
    pub(super) score: f64,
    pub(super) matrices: usize,
    /// Matrices of the first that tell its origin.
    pub(super) of: usize,
    /// Share of the elements of the matrices of the first that were compared.
    pub(super) share: f64,
    /// Whether every matrix compared may hold the same values in another order.
    pub(super) same_values: bool,
}

/// Recovers the lineage of models from their sketches. Grids, ranks and permutations of units cannot be told from
/// sketches; such steps are called fine-tunes.
///
/// # Errors
/// Fewer than two models.
pub fn recover_sketched(models: Vec<Stored>) -> Result<Recovered, Error> {
    if models.len() < 2 {
        return Err(Error::TooFewModels { needed: 2, given: models.len() });
    }
    let facts: Vec<Option<Facts>> = models.iter().map(|model| Some(told(model))).collect();
    let (count, pairs) = (models.len(), pairs(&models, &facts));
    let relations = Relations::by(count, |(i, j), _| {
        let alike = pairs[i * count + j].as_ref()?;
        let layers = |at: usize| facts[at].as_ref().map_or(0, |facts| facts.layers);
        let (own, theirs) = (layers(i), layers(j));
        Some(Relation {
            units: Some(alike.score),
            columns: None,
            layers: (0..own).map(|layer| (layer < theirs).then_some(layer)).collect(),
            log10_p: if alike.cosine >= DESCENT { log10_tail(alike.score) } else { 0.0 },
            cosine: Some(alike.cosine),
        })
    });
    let subjects: Vec<Subject> = models.iter().map(subject).collect();
    let orders = BTreeMap::new();
    let known = Known {
        subjects: &subjects,
        facts: &facts,
        relations: &relations,
        orders: &orders,
        sketches: Some(&models),
    };
    let (mut parents, families) = structured(&known, &|_| Ok(()))?;
    twins::prefer(&models, &facts, &mut parents);
    let named = |family: &Vec<usize>| family.iter().map(|&at| models[at].id.clone()).collect();
    let report = Report {
        models: models
            .iter()
            .zip(parents)
            .map(|(model, parents)| Model {
                id: model.id.clone(),
                path: None,
                parents,
                claimed: model.claims.clone(),
                contradiction: None,
            })
            .collect(),
        families: families.iter().map(named).collect(),
        unrelated: Vec::new(),
    };
    Ok(Recovered { report, models, facts, pairs })
}

/// How alike every two models are, by the first and then the second.
pub(super) fn pairs(models: &[Stored], facts: &[Option<Facts>]) -> Vec<Option<Alike>> {
    let count = models.len();
    let pair = |at: usize| {
        let (a, b) = (at / count, at % count);
        (a != b).then(|| alike(models, facts, (a, b))).flatten()
    };
    (0..count * count).into_par_iter().map(pair).collect()
}

pub(super) fn subject(model: &Stored) -> Subject {
    Subject {
        id: model.id.clone(),
        path: None,
        source: Arc::new(Unread),
        adapter: None,
        claims: model.claims.clone(),
        created: model.created,
        order: model.order,
    }
}

/// Stands where weights would be that nobody reads.
struct Unread;

impl TensorSource for Unread {
    fn tensors(&self) -> &[TensorInfo] {
        &[]
    }

    fn read_bytes(&self, _: usize, _: u64, _: &mut [u8]) -> Result<(), weights::Error> {
        Err(weights::Error::Stopped)
    }

    fn read_f32(&self, _: usize, _: u64, _: &mut [f32]) -> Result<(), weights::Error> {
        Err(weights::Error::Stopped)
    }
}

/// What is known of a model without its weights.
pub(super) fn told(model: &Stored) -> Facts {
    let mut tensors: Vec<Tensor> = Vec::new();
    for (index, tensor) in model.tensors.iter().enumerate() {
        let name = &tensor.sketch.name;
        if !is_buffer(name) && tensor.sketch.elements() > 0 && tensor.sketch.nonfinite == 0 {
            let (role, layer) = facts::role(name);
            let (module, shape) = (Module::of(name), tensor.sketch.shape.clone());
            tensors.push(Tensor {
                role,
                layer,
                index,
                shape,
                dtype: tensor.dtype,
                digest: tensor.digest,
                module,
            });
        }
    }
    facts::untie(&mut tensors);
    let (layers, format) = (facts::depth(&tensors), facts::format(&tensors));
    Facts {
        layers,
        elements: tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum(),
        precision: format,
        format,
        levels: BTreeMap::new(),
        units: (0..layers).map(|_| BTreeMap::new()).collect(),
        columns: None,
        tensors,
    }
}

/// Whether two sketches are of vectors with the same places; where a place lies in a shorter one its tensor's name says.
pub(super) fn comparable(a: &SketchedTensor, b: &SketchedTensor) -> bool {
    let alike = a.shape == b.shape && a.cells.len() == b.cells.len() && a.exact == b.exact;
    alike && (a.exact || canonical_name(&a.name) == canonical_name(&b.name))
}

pub(super) fn dot(a: &SketchedTensor, b: &SketchedTensor) -> f64 {
    a.cells.iter().zip(&b.cells).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// ‖a − b‖².
pub(super) fn apart(a: &SketchedTensor, b: &SketchedTensor) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.cells.iter().zip(&b.cells).map(square).sum()
}

/// The matrices that two models have in common, by role and layer, without those that say nothing of an origin.
pub(super) fn common<'m>(
    models: &'m [Stored],
    facts: &'m [Option<Facts>],
    (i, j): (usize, usize),
) -> Vec<(&'m StoredTensor, &'m StoredTensor)> {
    let (Some(own), Some(theirs)) = (&facts[i], &facts[j]) else { return Vec::new() };
    let twins = theirs.by_place();
    let twin = |tensor: &Tensor| {
        let other = &models[j].tensors[twins.twin(tensor)?.index];
        let tensor = &models[i].tensors[tensor.index];
        comparable(&tensor.sketch, &other.sketch).then_some((tensor, other))
    };
    telling(own).filter_map(twin).collect()
}

/// The matrices of a model that tell its origin.
fn telling(facts: &Facts) -> impl Iterator<Item = &Tensor> {
    let matrices = facts.tensors.iter().filter(|tensor| tensor.shape.len() == 2);
    matrices.filter(|tensor| !constructed(&tensor.role, tensor.module))
}

fn alike(models: &[Stored], facts: &[Option<Facts>], (i, j): (usize, usize)) -> Option<Alike> {
    let (of, all) = telling(facts[i].as_ref()?)
        .fold((0, 0), |(of, all), tensor| (of + 1, all + tensor.shape.iter().product::<u64>()));
    let (mut aa, mut bb, mut ab, mut spread, mut score) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut matrices, mut elements, mut same_values) = (0, 0, true);
    for (own, other) in common(models, facts, (i, j)) {
        let (a, b) = (own.sketch.square(), other.sketch.square());
        if a <= 0.0 || b <= 0.0 {
            continue;
        }
        let inner = dot(&own.sketch, &other.sketch);
        // The hash scatters as 1 / cells, and the directions of strangers as 1 / elements.
        let hashed = if own.sketch.exact { 0.0 } else { 1.0 / own.sketch.cells.len() as f64 };
        let scatter = hashed + 1.0 / own.sketch.elements() as f64;
        (aa, bb, ab) = (aa + a, bb + b, ab + inner);
        spread += a * b * scatter;
        score += inner / (a * b * scatter).sqrt();
        matrices += 1;
        elements += own.sketch.elements();
        same_values &= own.std.zip(other.std).is_some_and(|(a, b)| (a - b).abs() <= SAME_VALUES * a.max(b));
    }
    let norms = (aa * bb).sqrt();
    (matrices > 0 && norms.is_finite()).then(|| Alike {
        cosine: (ab / norms).clamp(-1.0, 1.0),
        standard_error: spread.sqrt() / norms,
        score: score / (matrices as f64).sqrt(),
        matrices,
        of,
        share: elements as f64 / all.max(1) as f64,
        same_values,
    })
}

/// Inner products and contrasts of the tensors that every member has in the same shape. How many bits tell an element
/// is estimated from the distance of the tensors.
pub(super) fn measure(found: Places, models: &[Stored], facts: &[Option<Facts>]) -> Option<Measured> {
    let beside = found.beside(facts);
    let Places { members, places, kept } = found;
    let own = facts[*members.first()?].as_ref()?;
    let precision = precisions(&members, facts);
    let common = coarsest(&precision);
    let part = |&at: &usize| {
        let tensors: Vec<&StoredTensor> = members
            .iter()
            .zip(&places)
            .filter_map(|(&m, place)| {
                let tensor = facts[m].as_ref()?.tensors.get(place[at])?;
                models[m].tensors.get(tensor.index)
            })
            .collect();
        let count = tensors.len();
        let first = &tensors.first()?.sketch;
        if count < members.len() || !tensors.iter().all(|tensor| comparable(first, &tensor.sketch)) {
            return None;
        }
        let (mut dots, mut contrasts) = (vec![0.0; count * count], vec![Contrast::default(); count * count]);
        for i in 0..count {
            for j in i..count {
                let (a, b) = (&tensors[i].sketch, &tensors[j].sketch);
                dots[i * count + j] = dot(a, b);
                let size = (a.square() * b.square()).sqrt();
                // A finer model counts as if it had been rounded like the coarser ones that it competes with.
                let finer = [(i, a), (j, b)].into_iter().filter(|(at, _)| precision[*at] > common);
                let rounded: f64 = finer.map(|(_, of)| of.square() * rounding(common)).sum();
                let same = tensors[i].digest == tensors[j].digest;
                let far = if same { 0.0 } else { apart(a, b) + rounded };
                let share = if size > 0.0 { (far / size).sqrt() } else { 0.0 };
                let steps = 2f64.powi(common as i32 + 1);
                let n = a.elements();
                let bits = n as f64 * (share / 2.0 * steps).ln_1p() / std::f64::consts::LN_2;
                contrasts[i * count + j] = Contrast { n, bits, ..Contrast::default() };
            }
        }
        let sums = tensors.iter().map(|tensor| tensor.sketch.sum).collect();
        let digests = tensors.iter().map(|tensor| tensor.digest).collect();
        let gram = Gram::from_sums(first.elements(), dots, sums);
        Some(Part::known(&own.tensors[at], digests, gram, contrasts))
    };
    let parts: Vec<Part> = kept.par_iter().filter_map(part).collect();
    (!parts.is_empty()).then_some(Measured { members, parts, beside })
}
