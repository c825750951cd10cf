//! Recipes of the models between the two bases of a transfer: where a straight way between them loses nothing, a diff of
//! one is more likely to suit the other. Only a run of the models can tell.

use serde::Serialize;
use serde_json::json;

use super::Operands;

/// A model between the source base and the target base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interpolation {
    /// 0 is the source base, 1 the target base.
    pub alpha: f64,
    /// mergekit YAML.
    pub recipe: String,
}

/// Eleven models from one base to the other; none where the bases do not have the same tensors in the same shapes.
pub(super) fn between(operands: &Operands) -> Vec<Interpolation> {
    let Operands { source_base, target_base, .. } = operands;
    let (ours, theirs) = (source_base.source.tensors(), target_base.source.tensors());
    let alike = ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(a, b)| (&a.name, &a.shape) == (&b.name, &b.shape));
    if !alike {
        return Vec::new();
    }
    let of = |tenths: u32| {
        let entry = |model: &str, tenths: u32| {
            format!("- model: {}\n  parameters: {{weight: {}}}\n", json!(model), f64::from(tenths) / 10.0)
        };
        let models = entry(&source_base.label, 10 - tenths) + &entry(&target_base.label, tenths);
        Interpolation {
            alpha: f64::from(tenths) / 10.0,
            recipe: format!("merge_method: linear\nmodels:\n{models}"),
        }
    };
    (0..=10).map(of).collect()
}
