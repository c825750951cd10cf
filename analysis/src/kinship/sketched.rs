//! Kinship from stored sketches: no weights are read, and every value carries its standard error.

use std::collections::{BTreeMap, BTreeSet};

use domain::Digest;
use kernels::Gram;
use weights::{BLOCK_ROWS, bare_name};

use super::{
    Bare, Coverage, Matrix, Module, Partial, Report, RowRule, Skipped, VocabularyRows, coverage,
    depth::Depths,
    overlap::Overlap,
    pairing::only,
    report::{Tally, TensorSums},
    rows::unknown_tokens,
    spread::{Spread, lanes},
    ties,
};
use crate::{Error, computed::is_buffer};

/// A tensor known by its sketch.
#[derive(Debug, Clone)]
pub struct SketchedTensor {
    pub name: String,
    pub shape: Vec<u64>,
    /// Sum of its values.
    pub sum: f64,
    /// Values that are NaN or infinite.
    pub nonfinite: u64,
    /// Whether the sketch holds every value.
    pub exact: bool,
    /// Sums of the blocks of 1,024 rows that have cells of their own; none for a tensor that is not divided.
    pub block_sums: Vec<f64>,
    pub cells: Vec<f32>,
}

impl SketchedTensor {
    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Whether its sketch is keyed as that of `other`.
    pub(super) fn is_called(&self, other: &Self) -> bool {
        bare_name(&self.name) == bare_name(&other.name)
    }

    /// Squared norm, estimated.
    pub(crate) fn square(&self) -> f64 {
        self.cells.iter().map(|cell| f64::from(*cell) * f64::from(*cell)).sum()
    }
}

/// How the rows of a model's embeddings and heads lie to those of the model it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tokens {
    /// One of the tokenizers is not known.
    #[default]
    Unknown,
    /// A token that both have has the same row in both.
    Same,
    /// Tokens have other rows, so that embeddings and heads do not compare row by row.
    Moved,
}

/// A model known by the sketches of its tensors, by canonical name.
#[derive(Debug, Clone, Default)]
pub struct Sketched {
    pub label: String,
    pub tensors: BTreeMap<String, SketchedTensor>,
    /// Against the base, or the first model where there is none.
    pub tokens: Tokens,
    /// Tensors that hold the values of the embedding once more, by canonical name, with the name of that.
    pub ties: BTreeMap<String, String>,
}

impl Sketched {
    /// The [`Self::ties`] among tensors of these canonical names, with the digests of their bytes.
    pub fn ties_of(
        tensors: &BTreeMap<String, SketchedTensor>,
        digests: &BTreeMap<String, Digest>,
    ) -> BTreeMap<String, String> {
        let named: Vec<(&String, &SketchedTensor)> = tensors.iter().collect();
        let of = |at: usize| named.get(at).and_then(|(name, _)| digests.get(*name));
        let listed = named.iter().enumerate().map(|(at, (name, tensor))| (at, name.as_str(), &*tensor.shape));
        let same = |a, b| Ok::<_, std::convert::Infallible>(of(a).is_some() && of(a) == of(b));
        let Ok(found) = ties::duplicates(listed, same);
        found.into_iter().map(|(at, first)| (named[at].0.clone(), named[first].0.clone())).collect()
    }

    fn elements(&self, paired: &BTreeSet<&str>) -> u64 {
        let counts = |(name, _): &(&String, &SketchedTensor)| {
            !is_buffer(name) && (!self.ties.contains_key(*name) || paired.contains(name.as_str()))
        };
        self.tensors.iter().filter(counts).map(|(_, tensor)| tensor.elements()).sum()
    }
}

/// The tensors of a model by canonical name, wrappers aside where no tensor has the very name.
struct Index<'a> {
    model: &'a Sketched,
    bare: Bare<'a, &'a str>,
}

impl<'a> Index<'a> {
    fn of(model: &'a Sketched) -> Self {
        Self { model, bare: Bare::of(model.tensors.keys().map(|name| (name.as_str(), name.as_str()))) }
    }

    /// What the tensor is called that `other` calls `name`, and the tensor.
    fn twin(&self, name: &str, other: &Self) -> Option<(&'a str, &'a SketchedTensor)> {
        let bare = || self.bare.get(name).filter(|_| other.bare.get(name).is_some());
        let (name, tensor) = match self.model.tensors.get_key_value(name) {
            Some(found) => found,
            None => self.model.tensors.get_key_value(bare()?)?,
        };
        Some((name.as_str(), tensor))
    }
}

/// Estimates kinship as [`super::kinship`] computes it.
///
/// # Errors
/// Fewer than two models; nothing comparable, or less than 90 % of the elements unless `partial` takes that.
pub fn estimate(models: &[Sketched], base: Option<&Sketched>, partial: Partial) -> Result<Report, Error> {
    let reference = match (models, base) {
        ([_, _, ..], Some(base)) => base,
        ([first, _, ..], None) => first,
        _ => return Err(Error::TooFewModels { needed: 2, given: models.len() }),
    };
    let count = models.len();
    let mut tally = Tally::new(count, base.map(|base| base.label.as_str()));
    let (mut skipped, mut vocabulary) = (Vec::new(), Vec::new());
    let mut depths = Depths::new(names(reference), models.iter().map(names));
    let own = Index::of(reference);
    let indexes: Vec<Index<'_>> = models.iter().map(Index::of).collect();
    // Names of the tensors that are compared, in the reference and in the models.
    let mut paired: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); count + 1];
    for (name, tensor) in &reference.tensors {
        if depths.cut(name) {
            continue;
        }
        let twins = indexes.iter().map(|index| (index.model, index.twin(name, &own))).collect();
        match row(twins, reference, name, tensor) {
            Err(reason) => {
                let left_out = Skipped { tensor: tensor.name.clone(), reason };
                tally.leave_out(&left_out);
                skipped.push(left_out);
            }
            Ok(Common { overlap, square, beyond, names, rule }) => {
                let mut spread = vec![Spread::default(); count * count];
                let gram = deltas(&overlap, &mut spread);
                tally.add(&tensor.name, &TensorSums { gram: &gram, base: square, spread: &spread });
                skipped.extend(beyond.map(|reason| Skipped { tensor: tensor.name.clone(), reason }));
                let columns = tensor.shape.iter().skip(1).product::<u64>().max(1);
                vocabulary.extend(rule.map(|rule| VocabularyRows {
                    tensor: tensor.name.clone(),
                    rows: overlap.elements / columns,
                    of: tensor.shape.first().copied().unwrap_or_default(),
                    rule,
                }));
                for (paired, name) in paired.iter_mut().zip(names) {
                    paired.insert(name);
                }
            }
        }
    }
    let mut extra: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, index) in indexes.iter().enumerate() {
        for (name, tensor) in &index.model.tensors {
            if own.twin(name, index).is_none() && !depths.beyond(at, name) {
                extra.entry(&tensor.name).or_insert(&index.model.label);
            }
        }
    }
    let extra: Vec<_> = extra.into_iter().map(|(name, label)| only(name, label, &reference.label)).collect();
    extra.iter().chain(depths.tensors()).for_each(|left_out| tally.leave_out(left_out));
    skipped.extend(extra);
    skipped.splice(0..0, depths.skipped());
    let sides = std::iter::once(reference).chain(models);
    let all = sides.zip(&paired).map(|(side, paired)| side.elements(paired)).max().unwrap_or_default();
    if tally.compared == 0 {
        return Err(coverage::nothing(&skipped));
    }
    let elements = tally.gram.elements();
    coverage::enough((elements, all), partial, &skipped)?;
    let share = coverage::share(elements, all);
    let coverage =
        Coverage { depth: depths.table(), vocabulary, ..Coverage::new((tally.compared, share), skipped) };
    let labels = models.iter().map(|model| model.label.clone()).collect();
    let (gram, spread) = (tally.gram.clone(), tally.spread.clone());
    let report = tally.report((labels, base.map(|base| base.label.clone())), coverage);
    Ok(Report { exact: false, standard_errors: errors(&gram, &spread, &report.matrices), ..report })
}

fn names(model: &Sketched) -> (&str, impl Iterator<Item = &str>) {
    (&model.label, model.tensors.keys().map(String::as_str))
}

/// What a tensor has in common in all models; the base is the first of the overlap.
struct Common<'a> {
    overlap: Overlap,
    /// Squared norm of the base's part.
    square: f64,
    /// What of it is left out.
    beyond: Option<String>,
    /// What it is called in the reference and in the models.
    names: Vec<&'a str>,
    /// How its rows were matched, where they are those of tokens.
    rule: Option<RowRule>,
}

/// A model and what was found in it.
type Found<'a> = (&'a Sketched, Option<(&'a str, &'a SketchedTensor)>);

/// The same tensor in every model, or why it cannot be compared.
fn row<'a>(
    found: Vec<Found<'a>>,
    reference: &'a Sketched,
    name: &'a str,
    tensor: &'a SketchedTensor,
) -> Result<Common<'a>, String> {
    if is_buffer(&tensor.name) {
        return Err("a buffer, not a trained weight".into());
    }
    let not_finite = |label: &str| format!("NaN or infinity in `{label}`");
    if tensor.nonfinite > 0 {
        return Err(not_finite(&reference.label));
    }
    let vocabulary = Module::is_vocabulary(name);
    let mut twins: Vec<(&'a str, &'a SketchedTensor)> = Vec::with_capacity(found.len());
    let mut differing = None;
    for (model, twin) in &found {
        let (known_as, other) = twin.ok_or_else(|| format!("`{}` lacks it", model.label))?;
        if other.nonfinite > 0 {
            return Err(not_finite(&model.label));
        }
        if model.tokens == Tokens::Moved && vocabulary {
            return Err(format!(
                "the tokenizers of `{}` and `{}` give tokens other rows; reading the weights matches them",
                reference.label, model.label
            ));
        }
        if other.shape != tensor.shape {
            let shapes = format!(
                "shape {:?} in `{}`, {:?} in `{}`",
                tensor.shape, reference.label, other.shape, model.label
            );
            if !vocabulary || other.shape.len() != 2 {
                return Err(shapes);
            }
            if let Some((model, _)) = found.iter().find(|(model, _)| model.tokens == Tokens::Unknown) {
                return Err(format!("{shapes}; {}", unknown_tokens(&model.label)));
            }
            differing.get_or_insert(shapes);
        }
        twins.push((known_as, other));
    }
    let tied = |(model, (name, _)): (&Sketched, &(&str, _))| model.ties.contains_key(*name);
    let first = reference.ties.get(name);
    if let Some(first) = first.filter(|_| found.iter().map(|found| found.0).zip(&twins).all(tied)) {
        return Err(ties::reason(first));
    }
    let tensors: Vec<&SketchedTensor> =
        [tensor].into_iter().chain(twins.iter().map(|(_, other)| *other)).collect();
    let overlap = Overlap::of(&tensors).ok_or_else(|| match &differing {
        Some(shapes) => format!("{shapes}; they have no {BLOCK_ROWS} rows in common"),
        None => "the sketches are laid out differently; import one of the models again".to_owned(),
    })?;
    let mut square = 0.0;
    overlap.each((0, 0), |cells, _| square += dot(cells, cells));
    let known = found.iter().all(|(model, _)| model.tokens == Tokens::Same);
    let rule = match (known, &differing) {
        (false, _) => RowRule::Position,
        (true, None) => RowRule::SameTokens,
        (true, Some(_)) => RowRule::SharedPrefix,
    };
    let beyond = differing.map(|shapes| {
        let (compared, all) = (overlap.elements, tensor.elements());
        match compared < all {
            true => {
                format!("{shapes}; {} of its {all} values are left out: sketches end there", all - compared)
            }
            false => format!("{shapes}; the rows beyond the base's are left out"),
        }
    });
    let names = [name].into_iter().chain(twins.iter().map(|(name, _)| *name)).collect();
    Ok(Common { overlap, square, beyond, names, rule: Some(rule).filter(|_| vocabulary) })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Inner products of the deltas of one tensor.
fn deltas(overlap: &Overlap, spread: &mut [Spread]) -> Gram {
    let (Some((base, cells)), Some((base_sum, sums))) =
        (overlap.cells.split_first(), overlap.sums.split_first())
    else {
        return Gram::new(0);
    };
    let minus = |cells: &Vec<f64>| cells.iter().zip(base).map(|(a, b)| a - b).collect();
    let deltas: Vec<Vec<f64>> = cells.iter().map(minus).collect();
    let count = deltas.len();
    let mut dots = vec![0.0; count * count];
    for from in (0..base.len()).step_by(overlap.share.max(1)) {
        let part = |delta: usize| {
            let cells: &[f64] = &deltas[delta];
            &cells[from..cells.len().min(from + overlap.share)]
        };
        let squares: Vec<_> = (0..count).map(|at| lanes(part(at), part(at))).collect();
        for i in 0..count {
            for j in i..count {
                let product = if i == j { squares[i] } else { lanes(part(i), part(j)) };
                dots[i * count + j] += product.iter().sum::<f64>();
                if j > i && !overlap.exact {
                    let apart = |lane: usize| squares[i][lane] + squares[j][lane] - 2.0 * product[lane];
                    let sums = [&squares[i], &squares[j], &product, &std::array::from_fn(apart)];
                    spread[i * count + j].add(sums, overlap.share);
                }
            }
        }
    }
    Gram::from_sums(overlap.elements, dots, sums.iter().map(|sum| sum - base_sum).collect())
}

/// Standard errors of `matrices`.
pub(super) fn errors(
    gram: &Gram,
    spread: &[Spread],
    matrices: &BTreeMap<String, Matrix>,
) -> BTreeMap<String, Matrix> {
    let count = gram.models();
    let error = |id: &str, i: usize, j: usize, value: f64| {
        let (i, j) = (i.min(j), i.max(j));
        let (sums, spread) = (gram.pair(i, j), &spread[i * count + j]);
        let centred = |squares: f64, total: f64| squares - total * total / sums.n as f64;
        match id {
            _ if i == j => 0.0,
            "euclidean" => spread.of_distance(value),
            "pearson" => spread.of_cosine((centred(sums.aa, sums.sa), centred(sums.bb, sums.sb)), value),
            _ => spread.of_cosine((sums.aa, sums.bb), value),
        }
    };
    let of = |(id, matrix): (&String, &Matrix)| {
        let row = |(i, row): (usize, &Vec<Option<f64>>)| {
            row.iter().enumerate().map(|(j, value)| value.map(|value| error(id, i, j, value))).collect()
        };
        (id.clone(), matrix.iter().enumerate().map(row).collect())
    };
    matrices.iter().map(of).collect()
}
