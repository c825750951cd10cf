//! Whether models are built alike, as far as their tensors tell: what names and shapes they share.

use std::collections::BTreeSet;

use domain::Item;
use weights::{TensorInfo, TensorSource};

use super::{check::Job, layout::stack, members::Members, vocabulary::is_table};
use crate::kinship::layer_number;

impl Job<'_> {
    /// Whether the models have tensors that can be merged with or stacked on one another.
    pub fn alike(&mut self, members: &[Members<'_>]) {
        let seats = members.iter().flat_map(Members::all);
        let labels: BTreeSet<&str> = seats.map(|seat| seat.label.as_str()).collect();
        let inputs = self.inputs;
        let models: Vec<Labelled<'_>> = labels
            .into_iter()
            .filter_map(|label| inputs.get_key_value(label))
            .map(|(label, input)| (label.as_str(), &*input.source))
            .collect();
        if !self.config.slices.is_empty() {
            self.faults.extend(stackable(&models));
        } else if let Some((first, others)) =
            models.split_first().filter(|_| !self.config.policies.allow_crimes)
        {
            for message in others.iter().filter_map(|other| foreign(*first, *other)) {
                self.fault("/models", message);
            }
        }
    }
}

/// A model and what it holds.
type Labelled<'a> = (&'a str, &'a dyn TensorSource);

/// Why two models are of different architectures: they share less than half of the names that either has.
fn foreign(one: Labelled<'_>, other: Labelled<'_>) -> Option<String> {
    let names = |source: Labelled<'_>| -> BTreeSet<String> {
        source.1.tensors().iter().map(|info| info.name.clone()).collect()
    };
    let (ours, theirs) = (names(one), names(other));
    let (shared, least) = (ours.intersection(&theirs).count(), ours.len().min(theirs.len()));
    let (a, b) = (one.0, other.0);
    (2 * shared < least).then(|| {
        format!(
            "`{a}` and `{b}` are of different architectures: {shared} of their {} and {} tensors have the same name; \
             `allow_crimes: true` merges those that they have in common",
            ours.len(),
            theirs.len()
        )
    })
}

/// What forbids to stack layers of these models on one another: each kind of tensor in a layer must be in all, with one
/// shape in the layers that both have.
fn stackable(models: &[Labelled<'_>]) -> Vec<Item> {
    let Some((first, others)) = models.split_first() else { return Vec::new() };
    let unlike = |other: &Labelled<'_>| {
        let message = foreign(*first, *other).or_else(|| unlike(*first, *other))?;
        Some(Item { pointer: "/slices".to_owned(), message })
    };
    others.iter().filter_map(unlike).collect()
}

fn unlike((a, one): Labelled<'_>, (b, other): Labelled<'_>) -> Option<String> {
    let in_layers = one.tensors().iter().filter(|info| layer_number(&info.name).is_some());
    for info in in_layers {
        let twin = other.position(&info.name).map(|at| &other.tensors()[at]);
        if let Some(twin) = twin.filter(|twin| twin.shape != info.shape) {
            let (name, ours, theirs) = (&info.name, &info.shape, &twin.shape);
            return Some(format!("layers differ: `{name}` has shape {ours:?} in `{a}`, {theirs:?} in `{b}`"));
        }
    }
    let (ours, theirs) = (kinds(one), kinds(other));
    let lacking = |has: &str, kind: &String, lacks: &str| {
        format!("layers differ: those of `{has}` hold `{kind}`, those of `{lacks}` do not")
    };
    let first = ours.difference(&theirs).next().map(|kind| lacking(a, kind, b));
    first.or_else(|| theirs.difference(&ours).next().map(|kind| lacking(b, kind, a)))
}

/// What layers hold: names without the number of the layer and what is before it.
fn kinds(source: &dyn TensorSource) -> BTreeSet<String> {
    let kind = |info: &TensorInfo| {
        let begin = stack(&info.name)?.len();
        let rest = info.name.get(begin..)?.trim_start_matches('.');
        rest.split_once('.').map(|(_, kind)| kind.to_owned())
    };
    source.tensors().iter().filter(|info| layer_number(&info.name).is_some()).filter_map(kind).collect()
}

/// Tables of the result with one row a token that have not equally many.
pub(super) fn uneven_tables<'r>(tensors: impl Iterator<Item = &'r TensorInfo>) -> Option<Item> {
    let mut tables = tensors.filter(|info| is_table(&info.name) && info.shape.len() == 2);
    let first = tables.next()?;
    let other = tables.find(|other| other.shape[0] != first.shape[0])?;
    let message = format!(
        "`{}` of the first slice has {} rows and `{}` of the last {}: a model has one vocabulary; choose models of one \
         vocabulary for both ends",
        first.name, first.shape[0], other.name, other.shape[0]
    );
    Some(Item { pointer: "/slices".to_owned(), message })
}
