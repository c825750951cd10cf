//! Which values every tensor of a result gets: what the settings, filters and gradients of a recipe come to.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Kind, MethodSpec,
    operands::Operands,
    source::{Part, Row},
};
use crate::computed::SourceTensor;

/// One tensor of a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    pub tensor: String,
    /// `merged`, or `copied` from one model or from all that hold it alike.
    pub made: &'static str,
    /// What of the recipe decided about it, e.g. `exclude`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The method's parameters that all models share.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<&'static str, Value>,
    /// In the order in which the method takes them.
    pub models: Vec<Source>,
    /// What deltas are taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Source>,
}

/// A tensor of one model that goes into a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    pub model: String,
    /// Its name there: another one in a model of which other layers are taken, or that ties its head.
    pub tensor: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<&'static str, Value>,
}

impl Source {
    fn of(stored: &SourceTensor) -> Self {
        let tensor = stored.source.tensors().get(stored.index).map(|info| info.name.clone());
        Self { model: stored.label.clone(), tensor: tensor.unwrap_or_default(), parameters: BTreeMap::new() }
    }
}

/// Values as recipes write them: flags and words of choices again. A file has no value.
fn written(spec: &MethodSpec, values: &BTreeMap<&'static str, f64>) -> BTreeMap<&'static str, Value> {
    let value = |(name, value): (&&'static str, &f64)| {
        let spec = spec.parameters.iter().find(|spec| spec.name == *name)?;
        let word = || spec.choices.get(*value as usize).map(|word| json!(word));
        let shown = match spec.kind {
            Kind::File => None,
            Kind::Flag => Some(json!(*value != 0.0)),
            Kind::Choice => word(),
            Kind::Number => Some(json!(value)),
        };
        Some((*name, shown?))
    };
    values.iter().filter_map(value).collect()
}

/// How one tensor is made by a method.
pub(super) fn explained(spec: &MethodSpec, row: &Row) -> Explained {
    let (made, parameters, models, base) = match row.part() {
        Part::Merged(operands) => {
            let Operands { params, models, contents, base, .. } = &**operands;
            // Behind the models is what files hold beside them.
            let own = models.iter().take(contents.len()).zip(&params.models);
            let models =
                own.map(|(stored, own)| Source { parameters: written(spec, own), ..Source::of(stored) });
            ("merged", written(spec, &params.global), models.collect(), base.as_ref().map(Source::of))
        }
        Part::Single(operands) => {
            let models = operands.models.iter().map(Source::of).collect();
            ("copied", BTreeMap::new(), models, None)
        }
        Part::Copied(held) => ("copied", BTreeMap::new(), held.iter().map(Source::of).collect(), None),
    };
    let policy = row.account().get("policy").and_then(Value::as_str).map(str::to_owned);
    Explained { tensor: row.name().to_owned(), made, policy, parameters, models, base }
}
