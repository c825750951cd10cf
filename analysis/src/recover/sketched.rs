//! Lineage from what is stored of models, their sketches and digests, where no weights are read; and what that says of
//! the bases that cards name.

use std::{collections::BTreeMap, sync::Arc};

use domain::Digest;
use kernels::{Contrast, Dtype, Gram};
use rayon::prelude::*;
use weights::TensorSource;

use super::{
    Model, Report, Subject,
    cluster::{Relation, Relations},
    facts::{self, Facts, Tensor},
    family::Known,
    measured::{Measured, Part, Places, coarsest, precisions, rounding},
    probe::log10_tail,
    structured,
};
use crate::{
    Error, TensorInfo,
    computed::is_buffer,
    kinship::{Module, SketchedTensor},
};

/// Least cosine of the weights at which most of them have one origin.
const DESCENT: f64 = 0.5;
/// Cosine that the weights of models without a common origin stay below, whatever their tensors have in common.
const STRANGERS: f64 = 0.1;
/// log₁₀ of the chance below which a claim is contradicted.
const SURE: f64 = -6.0;
/// Least share of the child's matrices that must be comparable before a claim is judged.
const SHARE: f64 = 0.5;
/// Relative difference of standard deviations up to which matrices may hold the same values in another order.
const SAME_VALUES: f64 = 0.002;
/// Confidence from which another parent speaks against the one that is named.
const CLEAR: f64 = 0.9;

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
    models: Vec<Stored>,
    pairs: Vec<Option<Alike>>,
}

/// What the weights say of a base that a card names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The model descends from it.
    Verified,
    /// It does not.
    Contradicted,
}

/// A verdict and the numbers it rests on.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Cosine of the weights of the two.
    pub cosine: f64,
    /// Of `cosine`, for models without a common origin.
    pub standard_error: f64,
    /// log₁₀ of the chance of such weights: for a descendant where the claim is contradicted, for a stranger where it is
    /// verified.
    pub log10_p: f64,
    /// The model that it descends from instead.
    pub instead: Option<usize>,
    /// What the weights say.
    pub sentence: String,
}

/// How alike the matrices of two models are.
#[derive(Debug, Clone, Copy)]
struct Alike {
    cosine: f64,
    /// Of `cosine`, for models without a common origin.
    standard_error: f64,
    /// Sum of the matrices' scores over its standard deviation, for models without a common origin.
    score: f64,
    matrices: usize,
    /// Share of the elements of the matrices of the first that were compared.
    share: f64,
    /// Whether every matrix compared may hold the same values in another order.
    same_values: bool,
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
    let count = models.len();
    let pairs: Vec<Option<Alike>> = (0..count * count)
        .into_par_iter()
        .map(|at| {
            (at / count != at % count).then(|| alike(&models, &facts, (at / count, at % count))).flatten()
        })
        .collect();
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
    let (parents, families) = structured(&known, &|_| Ok(()))?;
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
    Ok(Recovered { report, models, pairs })
}

fn subject(model: &Stored) -> Subject {
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
fn told(model: &Stored) -> Facts {
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
        levels: [1.0; 3],
        units: (0..layers).map(|_| None).collect(),
        columns: None,
        tensors,
    }
}

/// Whether two sketches are of vectors with the same places.
fn comparable(a: &SketchedTensor, b: &SketchedTensor) -> bool {
    a.shape == b.shape && a.cells.len() == b.cells.len() && a.exact == b.exact
}

fn dot(a: &SketchedTensor, b: &SketchedTensor) -> f64 {
    a.cells.iter().zip(&b.cells).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// ‖a − b‖².
fn apart(a: &SketchedTensor, b: &SketchedTensor) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.cells.iter().zip(&b.cells).map(square).sum()
}

/// The matrices that two models have in common, by role and layer.
fn common<'m>(
    models: &'m [Stored],
    facts: &'m [Option<Facts>],
    (i, j): (usize, usize),
) -> Vec<(&'m StoredTensor, &'m StoredTensor)> {
    let (Some(own), Some(theirs)) = (&facts[i], &facts[j]) else { return Vec::new() };
    let by_place: BTreeMap<_, _> =
        theirs.tensors.iter().map(|tensor| ((&tensor.role, tensor.layer), tensor.index)).collect();
    let matrices = own.tensors.iter().filter(|tensor| tensor.shape.len() == 2);
    let twin = |tensor: &Tensor| {
        let other = &models[j].tensors[*by_place.get(&(&tensor.role, tensor.layer))?];
        let tensor = &models[i].tensors[tensor.index];
        comparable(&tensor.sketch, &other.sketch).then_some((tensor, other))
    };
    matrices.filter_map(twin).collect()
}

fn alike(models: &[Stored], facts: &[Option<Facts>], (i, j): (usize, usize)) -> Option<Alike> {
    let all: u64 = facts[i]
        .as_ref()?
        .tensors
        .iter()
        .filter(|tensor| tensor.shape.len() == 2)
        .map(|tensor| tensor.shape.iter().product::<u64>())
        .sum();
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
        share: elements as f64 / all.max(1) as f64,
        same_values,
    })
}

/// Inner products and contrasts of the tensors that every member has in the same shape. How many bits tell an element
/// is estimated from the distance of the tensors.
pub(super) fn measure(found: Places, models: &[Stored], facts: &[Option<Facts>]) -> Option<Measured> {
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
    (!parts.is_empty()).then_some(Measured { members, parts })
}

impl Recovered {
    /// What the weights say of `base` as the base of `child`, both positions among the models; none where they say
    /// nothing. `descends` tells of two models whether the first is known to descend from the second.
    pub fn judge(
        &self,
        (child, base): (usize, usize),
        descends: &dyn Fn(usize, usize) -> bool,
    ) -> Option<Judgement> {
        let alike = self.pairs.get(child * self.models.len() + base)?.as_ref()?;
        if alike.share < SHARE {
            return None;
        }
        let parent =
            self.report.models[child].parents.iter().max_by(|a, b| a.confidence.total_cmp(&b.confidence));
        let parent = parent.and_then(|parent| Some((self.position(&parent.id)?, parent)));
        let judged = |verdict, log10_p, instead, sentence| Judgement {
            verdict,
            cosine: alike.cosine,
            standard_error: alike.standard_error,
            log10_p,
            instead,
            sentence,
        };
        let (matrices, cosine, error) = (alike.matrices, alike.cosine, alike.standard_error);
        let room = (STRANGERS - cosine.abs()) / error;
        if log10_tail(room) < SURE && !alike.same_values {
            let instead = parent.as_ref().map(|(at, _)| *at);
            let really = match &parent {
                Some((_, parent)) => format!("; they descend from `{}`", parent.id),
                None => "; no model here is their parent".to_owned(),
            };
            let said = format!(
                "the weights have no common origin with `{}`: the cosine over {matrices} matrices is {cosine:.4} \
                 ± {error:.4}, a descendant's is far above {STRANGERS} (p < 10^{:.0}){really}",
                self.models[base].id,
                log10_tail(room)
            );
            return Some(judged(Verdict::Contradicted, log10_tail(room), instead, said));
        }
        if cosine < DESCENT || log10_tail(alike.score) > SURE {
            return None;
        }
        let stranger = log10_tail(alike.score);
        let numbers =
            format!("cosine {cosine:.4} over {matrices} matrices, p = 10^{stranger:.0} for strangers");
        let near = self.steps_between(child, base);
        if let Some((other, parent)) = &parent
            && *other != base
            && parent.confidence >= CLEAR
            && near.is_none_or(|steps| steps > 2)
            && !descends(*other, base)
            && !descends(base, *other)
        {
            let lead = self.lead(child, (*other, base));
            if log10_tail(lead) < SURE {
                let said = format!(
                    "the weights descend from `{}`, a relative of `{}`: they are nearer to it by {lead:.0} standard \
                     errors over the matrices (p = 10^{:.0})",
                    parent.id,
                    self.models[base].id,
                    log10_tail(lead)
                );
                return Some(judged(Verdict::Contradicted, log10_tail(lead), Some(*other), said));
            }
        }
        let said = match near {
            Some(1) => format!("the weights descend from `{}`: {numbers}", self.models[base].id),
            _ => format!("the weights are of one origin with `{}`: {numbers}", self.models[base].id),
        };
        Some(judged(Verdict::Verified, stranger, None, said))
    }

    /// The place of a model.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.models.iter().position(|model| model.id == id)
    }

    /// Edges between two models in the recovered tree, in either direction.
    fn steps_between(&self, from: usize, to: usize) -> Option<usize> {
        let (mut seen, mut reached) = (vec![false; self.models.len()], vec![(from, 0)]);
        seen[from] = true;
        let mut next = 0;
        while let Some(&(at, steps)) = reached.get(next) {
            next += 1;
            if at == to {
                return Some(steps);
            }
            for (other, model) in self.report.models.iter().enumerate() {
                let joined = model.parents.iter().any(|parent| parent.id == self.models[at].id)
                    || self.report.models[at].parents.iter().any(|parent| parent.id == model.id);
                if joined && !seen[other] {
                    seen[other] = true;
                    reached.push((other, steps + 1));
                }
            }
        }
        None
    }

    /// Standard errors over the matrices by which `child` is nearer to the first of two models than to the second.
    fn lead(&self, child: usize, (near, far): (usize, usize)) -> f64 {
        let facts: Vec<Option<Facts>> = [child, near, far].map(|at| Some(told(&self.models[at]))).into();
        let models = [child, near, far].map(|at| self.models[at].clone());
        let by_name: BTreeMap<&str, &StoredTensor> = common(&models, &facts, (0, 2))
            .into_iter()
            .map(|(own, far)| (own.sketch.name.as_str(), far))
            .collect();
        let gains: Vec<f64> = common(&models, &facts, (0, 1))
            .into_iter()
            .filter_map(|(own, near)| {
                let far = apart(&own.sketch, &by_name.get(own.sketch.name.as_str())?.sketch);
                let near = apart(&own.sketch, &near.sketch);
                (near > 0.0 && far > 0.0).then(|| (far / near).ln())
            })
            .collect();
        let n = gains.len() as f64;
        if n < 2.0 {
            return 0.0;
        }
        let mean = gains.iter().sum::<f64>() / n;
        let spread = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1.0);
        if spread > 0.0 { mean / (spread / n).sqrt() } else { 0.0 }
    }
}
