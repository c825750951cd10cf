//! Which tensors of the inputs make which tensor of the result: those of the same name, or those of a slice.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::MergeModule;
use crate::kinship::layer_number;

/// A model and the layer of it that becomes the first of its slice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub label: String,
    pub first: u64,
}

/// Where along a gradient the tensors behind the layers stand, such as the last norm and the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behind {
    /// At its first value, as mergekit has it.
    #[default]
    First,
    /// At its last value, as the layers before them.
    Last,
}

impl Behind {
    /// The place 0 or 1.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let place = value.as_f64()?;
        [Self::First, Self::Last].into_iter().find(|behind| behind.place() == place)
    }

    pub(super) fn is_first(&self) -> bool {
        *self == Self::First
    }

    const fn place(self) -> f64 {
        match self {
            Self::First => 0.0,
            Self::Last => 1.0,
        }
    }
}

impl Serialize for Behind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(!self.is_first()))
    }
}

/// Consecutive layers of the result that are merged from the same models.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    /// First layer of the result.
    pub first: u64,
    pub layers: u64,
    pub place: Place,
    /// Only its tensors are given.
    pub module: Option<MergeModule>,
}

/// What else than its layers a section gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Everything: whole models are merged.
    Whole,
    /// The only slice.
    Only,
    /// Also the tensors before the layers.
    First,
    Middle,
    /// Also the tensors after the layers.
    Last,
}

impl Section {
    /// The tensor of the result that `input` goes into, if this section gives one.
    pub fn output(&self, seat: &Seat, input: &str) -> Option<String> {
        if self.module.is_some_and(|module| !module.holds(input)) {
            return None;
        }
        let Some(layer) = layer_number(input) else {
            let here = match self.place {
                Place::Whole | Place::Only => true,
                Place::First => is_before(input),
                Place::Middle => false,
                Place::Last => !is_before(input),
            };
            return here.then(|| input.to_owned());
        };
        if self.place == Place::Whole {
            return Some(input.to_owned());
        }
        let within = layer.checked_sub(seat.first).filter(|within| *within < self.layers)?;
        Some(renumbered(input, self.first + within))
    }

    /// The tensor of a model that goes into `output`.
    pub fn input(&self, seat: &Seat, output: &str) -> String {
        match layer_number(output) {
            Some(layer) if self.place != Place::Whole => {
                renumbered(output, layer.saturating_sub(self.first).saturating_add(seat.first))
            }
            _ => output.to_owned(),
        }
    }

    /// Place of a tensor along a gradient.
    pub fn position(&self, output: &str, behind: Behind) -> f64 {
        position(output, (self.first, self.layers), behind)
    }
}

/// Place of a tensor along a gradient over `layers` layers from `first` on; 0 before them.
pub(super) fn position(name: &str, (first, layers): (u64, u64), behind: Behind) -> f64 {
    match layer_number(name) {
        Some(_) if layers <= 1 => 1.0,
        Some(layer) => layer.saturating_sub(first) as f64 / (layers - 1) as f64,
        None if is_before(name) => 0.0,
        None => behind.place(),
    }
}

/// Whether a tensor outside the layers is used before them: embeddings and what belongs to them.
fn is_before(name: &str) -> bool {
    let has = |part| name.contains(part);
    !has("embed_out") && (has("emb") || has("wte") || has("wpe") || has("project_in"))
}

fn renumbered(name: &str, layer: u64) -> String {
    let at = name.split('.').position(|part| part.parse::<u64>().is_ok());
    let layer = layer.to_string();
    let parts: Vec<&str> =
        name.split('.').enumerate().map(|(i, part)| if Some(i) == at { &layer } else { part }).collect();
    parts.join(".")
}

/// What stands before the number of the layer, e.g. `model.layers`.
pub(super) fn stack(name: &str) -> Option<String> {
    let at = name.split('.').position(|part| part.parse::<u64>().is_ok())?;
    Some(name.split('.').take(at).collect::<Vec<_>>().join("."))
}

/// Layers of a model whose tensors have these names.
pub(crate) fn layer_count<'n>(names: impl Iterator<Item = &'n str>) -> u64 {
    names.filter_map(layer_number).max().map_or(0, |last| last.saturating_add(1))
}
