//! Which tensors of several checkpoints can be compared, and why the others cannot.

use std::collections::BTreeMap;

use kernels::Gram;
use weights::TensorInfo;

use super::{
    Module, Named, Places, Skipped, VocabularyRows,
    depth::Depths,
    rows::{Match, Side, match_rows, reordered},
    sums::Shared,
};
use crate::computed::is_buffer;

/// The tensors of all checkpoints, paired or left out.
pub(crate) struct Paired {
    /// The reference and the models, with the rows of vocabularies matched.
    pub(crate) reference: Named,
    pub(crate) models: Vec<Named>,
    pub(crate) skipped: Vec<Skipped>,
    /// The same, those of layers that a model lacks one by one.
    pub(super) left_out: Vec<Skipped>,
    pub(crate) vocabulary: Vec<VocabularyRows>,
    pub(super) depth: BTreeMap<String, u64>,
    /// Where each paired tensor lies in the reference and in the models.
    places: Vec<(usize, Vec<usize>)>,
}

impl Paired {
    /// Leaves out tensors of the reference that are told not to count.
    pub(super) fn without(&mut self, tensors: impl Iterator<Item = (usize, String)>) {
        for (at, reason) in tensors {
            let Some(place) = self.places.iter().position(|(base, _)| *base == at) else { continue };
            self.places.remove(place);
            let tensor = self.reference.source.tensors()[at].name.clone();
            self.vocabulary.retain(|rows| rows.tensor != tensor);
            self.left_out.push(Skipped { tensor: tensor.clone(), reason: reason.clone() });
            self.skipped.push(Skipped { tensor, reason });
        }
    }

    /// Where each paired tensor lies in the reference and in the models.
    pub(super) fn places(&self) -> &[(usize, Vec<usize>)] {
        &self.places
    }

    /// The tensors that all hold.
    pub(crate) fn shared(&self) -> Vec<Shared<'_>> {
        let infos = self.reference.source.tensors();
        let shared = |(base, at): &(usize, Vec<usize>)| Shared {
            info: &infos[*base],
            base: *base,
            models: at.clone(),
        };
        self.places.iter().map(shared).collect()
    }
}

/// Pairs the union of all tensor names, wrappers aside.
pub(crate) fn pair(models: &[Named], reference: &Named) -> Paired {
    let mut matching = Matching::new(models, reference);
    let own = Places::of(&*reference.source);
    let places: Vec<Places<'_>> = models.iter().map(|model| Places::of(&*model.source)).collect();
    let mut skipped = Vec::new();
    let mut depths = Depths::new(names(reference), models.iter().map(names));
    for (base, info) in reference.source.tensors().iter().enumerate() {
        if depths.cut(&info.name) {
            continue;
        }
        let found = |(model, places): (_, &Places<'_>)| (model, places.twin(&info.name, &own));
        let found = models.iter().zip(&places).map(found);
        match positions(found, reference, info).and_then(|at| matching.add(base, at)) {
            Ok(()) => {}
            Err(reason) => skipped.push(Skipped { tensor: info.name.clone(), reason }),
        }
    }
    let mut extra: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, (model, places)) in models.iter().zip(&places).enumerate() {
        for info in model.source.tensors() {
            if own.twin(&info.name, places).is_none() && !depths.beyond(at, &info.name) {
                extra.entry(&info.name).or_insert(&model.label);
            }
        }
    }
    skipped.extend(extra.into_iter().map(|(name, label)| only(name, label, &reference.label)));
    let left_out = skipped.iter().chain(depths.tensors()).cloned().collect();
    skipped.splice(0..0, depths.skipped());
    let mut sides = matching.sides.iter().zip(&matching.rows).map(|(side, rows)| reordered(side, rows));
    Paired {
        reference: sides.next().unwrap_or_else(|| reference.clone()),
        models: sides.collect(),
        skipped,
        left_out,
        vocabulary: matching.vocabulary,
        depth: depths.table(),
        places: matching.places,
    }
}

/// A tensor that a model has and the reference lacks.
pub(super) fn only(name: &str, label: &str, reference: &str) -> Skipped {
    Skipped { tensor: name.to_owned(), reason: format!("`{label}` has it, `{reference}` does not") }
}

fn names(model: &Named) -> (&str, impl Iterator<Item = &str>) {
    (&model.label, model.source.tensors().iter().map(|info| info.name.as_str()))
}

/// Where every model holds a tensor of the reference, if that is where it was found; shapes may differ in the rows of a
/// vocabulary.
fn positions<'m>(
    found: impl Iterator<Item = (&'m Named, Option<usize>)>,
    reference: &Named,
    info: &TensorInfo,
) -> Result<Vec<usize>, String> {
    if is_buffer(&info.name) {
        return Err("a buffer, not a trained weight".into());
    }
    if !info.dtype.is_float() {
        return Err(format!("{} is not a float dtype", info.dtype));
    }
    let vocabulary = Module::is_vocabulary(&info.name);
    let find = |(model, at): (&Named, Option<usize>)| {
        let at = at.ok_or_else(|| format!("`{}` lacks it", model.label))?;
        let other = &model.source.tensors()[at];
        let rows_only = vocabulary
            && info.shape.len() == other.shape.len()
            && info.shape.iter().zip(&other.shape).skip(1).all(|(a, b)| a == b);
        if other.shape != info.shape && !rows_only {
            return Err(shapes((reference, info), (model, other)));
        }
        if other.dtype.is_float() { Ok(at) } else { Err(format!("{} in `{}`", other.dtype, model.label)) }
    };
    found.map(find).collect()
}

fn shapes((reference, info): (&Named, &TensorInfo), (model, other): (&Named, &TensorInfo)) -> String {
    format!("shape {:?} in `{}`, {:?} in `{}`", info.shape, reference.label, other.shape, model.label)
}

/// What has been paired so far.
struct Matching<'a> {
    /// The reference, then the models.
    sides: Vec<&'a Named>,
    /// Rows that each side's tensors are reduced to, by position.
    rows: Vec<BTreeMap<usize, Vec<u64>>>,
    vocabulary: Vec<VocabularyRows>,
    places: Vec<(usize, Vec<usize>)>,
}

impl<'a> Matching<'a> {
    fn new(models: &'a [Named], reference: &'a Named) -> Self {
        let sides: Vec<&Named> = std::iter::once(reference).chain(models).collect();
        let rows = vec![BTreeMap::new(); sides.len()];
        Self { sides, rows, vocabulary: Vec::new(), places: Vec::new() }
    }

    /// Pairs the tensor that lies at `base` in the reference and at `at` in the models.
    fn add(&mut self, base: usize, at: Vec<usize>) -> Result<(), String> {
        let held: Vec<(&Named, usize)> =
            self.sides.iter().copied().zip(std::iter::once(base).chain(at.iter().copied())).collect();
        let info_of = |(side, at): &(&'a Named, usize)| &side.source.tensors()[*at];
        let info = &self.sides[0].source.tensors()[base];
        let Some(&of) = info.shape.first().filter(|_| Module::is_vocabulary(&info.name)) else {
            self.places.push((base, at));
            return Ok(());
        };
        let side = |held: &(&'a Named, usize)| Side {
            rows: info_of(held).shape.first().copied().unwrap_or_default(),
            tokens: held.0.tokens.as_deref(),
            label: &held.0.label,
        };
        let sides: Vec<Side<'_>> = held.iter().map(side).collect();
        let matched = match_rows(&sides).map_err(|reason| {
            let other = held.iter().find(|held| info_of(held).shape != info.shape);
            let shapes = other.map(|held| shapes((self.sides[0], info), (held.0, info_of(held))));
            shapes.map_or_else(|| reason.clone(), |shapes| format!("{shapes}; {reason}"))
        })?;
        let (rule, count) = match matched {
            Match::Whole(rule) => (rule, of),
            Match::Rows(rule, matched) => {
                let count = matched[0].len() as u64;
                for ((rows, (_, at)), own) in self.rows.iter_mut().zip(&held).zip(matched) {
                    rows.insert(*at, own);
                }
                (rule, count)
            }
        };
        self.vocabulary.push(VocabularyRows { tensor: info.name.clone(), rows: count, of, rule });
        self.places.push((base, at));
        Ok(())
    }
}

/// Why a tensor with these sums cannot be compared.
pub(super) fn not_finite(models: &[Named], reference: &Named, sums: &Gram) -> Option<String> {
    let say = |label: &str| Some(format!("NaN or infinity in `{label}`"));
    if !sums.base_square().is_finite() {
        return say(&reference.label);
    }
    (0..models.len()).find(|&i| !sums.dot(i, i).is_finite()).and_then(|i| say(&models[i].label))
}
