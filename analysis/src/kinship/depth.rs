//! Models of other depths: the layers that only some have are left out, and said to be so once a model.

use std::collections::BTreeMap;

use super::{Skipped, layer_number};

/// Numbers of layers, and how many tensors were left out for them.
pub(super) struct Depths {
    reference: Depth,
    models: Vec<Depth>,
    tensors: Vec<Skipped>,
}

struct Depth {
    label: String,
    layers: u64,
    left_out: usize,
}

impl Depth {
    fn of<'n>((label, names): (&str, impl Iterator<Item = &'n str>)) -> Self {
        let last = names.filter_map(layer_number).max();
        Self { label: label.to_owned(), layers: last.map_or(0, |last| last.saturating_add(1)), left_out: 0 }
    }

    fn told(&self) -> String {
        let layers = if self.layers == 1 { "layer" } else { "layers" };
        format!("`{}` has {} {layers}", self.label, self.layers)
    }
}

impl Depths {
    /// Of the reference and the models, each with the names of its tensors.
    pub(super) fn new<'a, N: Iterator<Item = &'a str>>(
        reference: (&str, N),
        models: impl Iterator<Item = (&'a str, N)>,
    ) -> Self {
        Self { reference: Depth::of(reference), models: models.map(Depth::of).collect(), tensors: Vec::new() }
    }

    /// Whether a tensor of the reference lies in a layer that a model does not have.
    pub(super) fn cut(&mut self, name: &str) -> bool {
        let Some(number) = layer_number(name) else { return false };
        let mut first = None;
        for model in self.models.iter_mut().filter(|model| model.layers <= number) {
            model.left_out += 1;
            first.get_or_insert_with(|| model.told());
        }
        self.tensors.extend(first.clone().map(|reason| Skipped { tensor: name.to_owned(), reason }));
        first.is_some()
    }

    /// Whether a tensor of the model at `at` lies in a layer that the reference does not have.
    pub(super) fn beyond(&mut self, at: usize, name: &str) -> bool {
        let beyond = layer_number(name).is_some_and(|number| number >= self.reference.layers);
        if let (true, Some(model)) = (beyond, self.models.get_mut(at)) {
            model.left_out += 1;
            self.tensors.push(Skipped { tensor: name.to_owned(), reason: self.reference.told() });
        }
        beyond
    }

    /// The tensors that were left out, one by one.
    pub(super) fn tensors(&self) -> &[Skipped] {
        &self.tensors
    }

    /// One line a model.
    pub(super) fn skipped(&self) -> impl Iterator<Item = Skipped> {
        self.models.iter().filter(|model| model.left_out > 0).map(|model| {
            let (low, high) =
                (model.layers.min(self.reference.layers), model.layers.max(self.reference.layers));
            let layers = match high - low {
                1 => format!("layer {low}"),
                _ => format!("layers {low} to {}", high - 1),
            };
            let (own, reference, left_out) = (model.layers, self.reference.layers, model.left_out);
            Skipped {
                tensor: layers,
                reason: format!(
                    "`{}` has {own} layers, `{}` {reference}; {left_out} tensors are left out",
                    model.label, self.reference.label
                ),
            }
        })
    }

    /// Layers by model; empty where all have as many.
    pub(super) fn table(&self) -> BTreeMap<String, u64> {
        let all = || std::iter::once(&self.reference).chain(&self.models);
        if all().all(|model| model.layers == self.reference.layers) {
            return BTreeMap::new();
        }
        all().map(|model| (model.label.clone(), model.layers)).collect()
    }
}
