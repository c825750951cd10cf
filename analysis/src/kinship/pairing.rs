//! Which tensors of several checkpoints can be compared, and why the others cannot.

use std::collections::BTreeMap;

use weights::TensorInfo;

use super::{
    Module, Named, Skipped, VocabularyRows,
    depth::Depths,
    rows::{Match, Side, gathered, match_rows},
    sums::{Shared, Sums, tensor_sums},
};
use crate::{Error, computed::is_buffer};

/// A tensor that all hold.
pub(super) enum Pair<'a> {
    Whole(Shared<'a>),
    /// The matched rows of it, as checkpoints of that one tensor.
    Rows {
        reference: Named,
        models: Vec<Named>,
    },
}

impl Pair<'_> {
    pub(super) fn info(&self) -> &TensorInfo {
        match self {
            Self::Whole(shared) => shared.info,
            Self::Rows { reference, .. } => &reference.source.tensors()[0],
        }
    }

    pub(super) fn sums(&self, models: &[Named], reference: &Named) -> Result<Sums, Error> {
        match self {
            Self::Whole(shared) => tensor_sums(models, reference, shared),
            Self::Rows { reference, models } => {
                let info = &reference.source.tensors()[0];
                tensor_sums(models, reference, &Shared { info, base: 0, models: vec![0; models.len()] })
            }
        }
    }
}

/// The tensors of all checkpoints, paired or left out.
#[derive(Default)]
pub(super) struct Paired<'a> {
    pub(super) pairs: Vec<Pair<'a>>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) vocabulary: Vec<VocabularyRows>,
    pub(super) depth: BTreeMap<String, u64>,
}

/// Pairs the union of all tensor names.
pub(super) fn pair<'a>(models: &[Named], reference: &'a Named) -> Paired<'a> {
    let mut paired = Paired::default();
    let mut depths = Depths::new(names(reference), models.iter().map(names));
    for (base, info) in reference.source.tensors().iter().enumerate() {
        if depths.cut(&info.name) {
            continue;
        }
        match positions(models, reference, info).and_then(|at| paired.add((models, reference), base, at)) {
            Ok(()) => {}
            Err(reason) => paired.skipped.push(Skipped { tensor: info.name.clone(), reason }),
        }
    }
    let mut extra: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, model) in models.iter().enumerate() {
        for info in model.source.tensors() {
            if reference.source.position(&info.name).is_none() && !depths.beyond(at, &info.name) {
                extra.entry(&info.name).or_insert(&model.label);
            }
        }
    }
    paired.skipped.extend(extra.into_iter().map(|(name, label)| only(name, label, &reference.label)));
    paired.skipped.splice(0..0, depths.skipped());
    paired.depth = depths.table();
    paired
}

/// A tensor that a model has and the reference lacks.
pub(super) fn only(name: &str, label: &str, reference: &str) -> Skipped {
    Skipped { tensor: name.to_owned(), reason: format!("`{label}` has it, `{reference}` does not") }
}

fn names(model: &Named) -> (&str, impl Iterator<Item = &str>) {
    (&model.label, model.source.tensors().iter().map(|info| info.name.as_str()))
}

/// Where every model holds a tensor of the reference; shapes may differ in the rows of a vocabulary.
fn positions(models: &[Named], reference: &Named, info: &TensorInfo) -> Result<Vec<usize>, String> {
    if is_buffer(&info.name) {
        return Err("a buffer, not a trained weight".into());
    }
    if !info.dtype.is_float() {
        return Err(format!("{} is not a float dtype", info.dtype));
    }
    let vocabulary = Module::is_vocabulary(&info.name);
    let find = |model: &Named| {
        let at = model.source.position(&info.name).ok_or_else(|| format!("`{}` lacks it", model.label))?;
        let other = &model.source.tensors()[at];
        let rows_only = vocabulary
            && info.shape.len() == other.shape.len()
            && info.shape.iter().zip(&other.shape).skip(1).all(|(a, b)| a == b);
        if other.shape != info.shape && !rows_only {
            return Err(shapes((reference, info), (model, other)));
        }
        if other.dtype.is_float() { Ok(at) } else { Err(format!("{} in `{}`", other.dtype, model.label)) }
    };
    models.iter().map(find).collect()
}

fn shapes((reference, info): (&Named, &TensorInfo), (model, other): (&Named, &TensorInfo)) -> String {
    format!("shape {:?} in `{}`, {:?} in `{}`", info.shape, reference.label, other.shape, model.label)
}

impl<'a> Paired<'a> {
    /// Pairs the tensor that lies at `base` in the reference and at `at` in the models.
    fn add(
        &mut self,
        (models, reference): (&[Named], &'a Named),
        base: usize,
        at: Vec<usize>,
    ) -> Result<(), String> {
        let info = &reference.source.tensors()[base];
        if !Module::is_vocabulary(&info.name) || info.shape.is_empty() {
            self.pairs.push(Pair::Whole(Shared { info, base, models: at }));
            return Ok(());
        }
        let held: Vec<(&Named, usize)> =
            std::iter::once((reference, base)).chain(models.iter().zip(at.iter().copied())).collect();
        let sides: Vec<Side<'_>> = held
            .iter()
            .map(|(model, at)| Side {
                rows: model.source.tensors()[*at].shape.first().copied().unwrap_or_default(),
                tokens: model.tokens.as_deref(),
                label: &model.label,
            })
            .collect();
        let matched = match_rows(&sides).map_err(|reason| {
            let differs = held.iter().find(|(model, at)| model.source.tensors()[*at].shape != info.shape);
            let shapes =
                differs.map(|(model, at)| shapes((reference, info), (model, &model.source.tensors()[*at])));
            shapes.map_or_else(|| reason.clone(), |shapes| format!("{shapes}; {reason}"))
        })?;
        let rows = |rows, rule| VocabularyRows { tensor: info.name.clone(), rows, of: sides[0].rows, rule };
        match matched {
            Match::Whole(rule) => {
                self.vocabulary.push(rows(sides[0].rows, rule));
                self.pairs.push(Pair::Whole(Shared { info, base, models: at }));
            }
            Match::Rows(rule, matched) => {
                self.vocabulary.push(rows(matched[0].len() as u64, rule));
                let mut of = held.iter().zip(&matched).map(|((model, at), rows)| gathered(model, *at, rows));
                if let Some(reference) = of.next() {
                    self.pairs.push(Pair::Rows { reference, models: of.collect() });
                }
            }
        }
        Ok(())
    }
}

/// Why a tensor with these sums cannot be compared.
pub(super) fn not_finite(models: &[Named], reference: &Named, sums: &Sums) -> Option<String> {
    let say = |label: &str| Some(format!("NaN or infinity in `{label}`"));
    if !sums.base.is_finite() {
        return say(&reference.label);
    }
    (0..models.len()).find(|&i| !sums.gram.dot(i, i).is_finite()).and_then(|i| say(&models[i].label))
}
