//! Kinship of two models in each layer by kind of module.

use std::collections::BTreeMap;

use kernels::Gram;
use serde::Serialize;

use super::{
    Layer, MEASURES, Module, Skipped,
    report::{TensorSums, matrices, relative},
    sketched::errors,
    spread::Spread,
};
use crate::computed::is_buffer;

/// Parts kept: names of tensors decide how many there are. Further layers count as `other`.
const MOST: usize = 10_000;

/// Kinship of the tensors of one kind in one layer of two models.
#[derive(Debug, Clone, Serialize)]
pub struct PartReport {
    pub module: Module,
    pub layer: Layer,
    /// Tensors compared.
    pub tensors: usize,
    /// Elements compared.
    pub elements: u64,
    /// `‖δi‖ / ‖base‖` over these tensors, in model order; empty without a base or without a tensor, `null` for a
    /// base that is zero.
    pub relative_norms: Vec<Option<f64>>,
    /// By measure id; `null` where a measure is undefined, empty without a tensor.
    pub values: BTreeMap<String, Option<f64>>,
    /// Standard errors of `values`, by measure id; empty when exact.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub standard_errors: BTreeMap<String, Option<f64>>,
    /// Tensors left out.
    pub left_out: usize,
    /// Why the first of those was left out, or why the angle is undefined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is gathered of the parts of two models.
pub(super) struct Parts(BTreeMap<(Module, Layer), Part>);

struct Part {
    gram: Gram,
    base: f64,
    /// Empty when exact.
    spread: Vec<Spread>,
    tensors: usize,
    left_out: usize,
    reason: Option<String>,
}

impl Parts {
    /// Of `models` models; nothing is gathered unless they are two.
    pub(super) fn of(models: usize) -> Option<Self> {
        (models == 2).then(|| Self(BTreeMap::new()))
    }

    fn part(&mut self, tensor: &str) -> &mut Part {
        let mut key = (Module::of(tensor), Layer::of(tensor));
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            key.1 = Layer::Other;
        }
        self.0.entry(key).or_insert_with(|| Part {
            gram: Gram::new(2),
            base: 0.0,
            spread: Vec::new(),
            tensors: 0,
            left_out: 0,
            reason: None,
        })
    }

    pub(super) fn add(&mut self, tensor: &str, sums: &TensorSums<'_>) {
        let part = self.part(tensor);
        part.tensors += 1;
        part.gram.merge(sums.gram);
        part.base += sums.base;
        part.spread.resize(sums.spread.len(), Spread::default());
        part.spread.iter_mut().zip(sums.spread).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Counts a tensor that could not be compared; buffers are no part of a model's weights.
    pub(super) fn leave_out(&mut self, skipped: &Skipped) {
        if !is_buffer(&skipped.tensor) {
            let part = self.part(&skipped.tensor);
            part.left_out += 1;
            part.reason.get_or_insert_with(|| skipped.reason.clone());
        }
    }

    /// By kind of module and layer, in reading order.
    pub(super) fn report(self, labels: &[String], base: Option<&str>) -> Vec<PartReport> {
        let told =
            |((module, layer), part): ((Module, Layer), Part)| part.told((module, layer), labels, base);
        self.0.into_iter().map(told).collect()
    }
}

impl Part {
    fn told(self, (module, layer): (Module, Layer), labels: &[String], base: Option<&str>) -> PartReport {
        let mut report = PartReport {
            module,
            layer,
            tensors: self.tensors,
            elements: self.gram.elements(),
            relative_norms: Vec::new(),
            values: BTreeMap::new(),
            standard_errors: BTreeMap::new(),
            left_out: self.left_out,
            reason: self.reason,
        };
        if self.tensors == 0 {
            return report;
        }
        let squares = [0, 1].map(|i| self.gram.dot(i, i));
        if base.is_some() {
            report.relative_norms = squares.map(|square| relative(square.sqrt(), self.base.sqrt())).to_vec();
        }
        let all = matrices(&self.gram, 2, |measure| base.is_some() || !measure.needs_base);
        let pair = |matrix: &super::Matrix| matrix.first().and_then(|row| row.get(1).copied().flatten());
        report.values = all.iter().map(|(id, matrix)| (id.clone(), pair(matrix))).collect();
        if !self.spread.is_empty() {
            let errors = errors(&self.gram, &self.spread, &all);
            report.standard_errors = errors.iter().map(|(id, matrix)| (id.clone(), pair(matrix))).collect();
        }
        let angle = |(id, value): (&String, &Option<f64>)| {
            value.is_none() && MEASURES.iter().any(|measure| measure.id == id && measure.needs_base)
        };
        if let Some(base) = base.filter(|_| report.values.iter().any(angle)) {
            let still: Vec<&str> = labels
                .iter()
                .zip(squares)
                .filter(|(_, square)| *square == 0.0)
                .map(|(l, _)| l.as_str())
                .collect();
            report.reason = match still[..] {
                [one] => Some(format!("`{one}` equals `{base}` here")),
                [_, _] => Some(format!("both equal `{base}` here")),
                _ => report.reason,
            };
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use kernels::Dtype;

    use super::*;
    use crate::{
        kinship::{Named, Parity, Partial, Sketched, SketchedTensor, estimate, kinship, testing::sketched},
        testing::{Fixture, noise},
    };

    const Q: [&str; 2] = ["layers.0.self_attn.q_proj.weight", "layers.1.self_attn.q_proj.weight"];
    const BIAS: &str = "layers.0.self_attn.q_proj.bias";
    const UP: &str = "layers.0.mlp.up_proj.weight";

    fn named(label: &str, tensors: &[(&str, &[f64])]) -> Named {
        let add = |fixture: Fixture, (name, values): &(&str, &[f64])| {
            fixture.with(name, Dtype::F32, &[values.len() as u64], values)
        };
        Named {
            label: label.into(),
            source: tensors.iter().fold(Fixture::empty(), add).share(),
            tokens: None,
        }
    }

    fn told(part: &PartReport) -> (String, Option<f64>, Option<&str>) {
        let value = part.values.get("cosine").copied().flatten().map(|value| (value * 1e6).round() / 1e6);
        (format!("{} {}", part.module, part.layer.label()), value, part.reason.as_deref())
    }

    #[test]
    fn every_kind_in_every_layer_has_a_value_or_a_reason() {
        let zero = [0.0; 2];
        let base = named(
            "base",
            &[(Q[0], &zero), (BIAS, &[0.0]), (Q[1], &zero), (UP, &zero), ("norm.weight", &zero)],
        );
        let models = [
            named(
                "a",
                &[
                    (Q[0], &[1.0, 0.0]),
                    (BIAS, &[1.0]),
                    (Q[1], &[1.0, 2.0]),
                    (UP, &zero),
                    ("norm.weight", &[f64::NAN; 2]),
                ],
            ),
            named(
                "b",
                &[
                    (Q[0], &[0.0, 1.0]),
                    (BIAS, &[1.0]),
                    (UP, &[1.0; 2]),
                    ("norm.weight", &zero),
                    ("layers.9.mlp.up_proj.weight", &zero),
                ],
            ),
        ];

        let report = kinship(&models, Some(&base), &|_| Ok(())).unwrap();
        let parity = report.clone().in_parity(Parity::Reference);

        let parts: Vec<_> = report.parts.iter().map(told).collect();
        assert_eq!(
            parts,
            [
                ("q 0".into(), Some(0.5), None),
                ("q 1".into(), None, Some("`b` lacks it")),
                ("up 0".into(), None, Some("`a` equals `base` here")),
                ("up 9".into(), None, Some("`base` has 2 layers")),
                ("norm norm".into(), None, Some("NaN or infinity in `a`")),
            ]
        );
        assert_eq!((report.parts[0].tensors, report.parts[0].elements, report.parts[0].left_out), (2, 3, 0));
        assert_eq!(parity.parts[0].values["cosine"], Some(0.5));
        assert!(report.parts.iter().all(|part| part.standard_errors.is_empty()));
    }

    #[test]
    fn only_a_pair_has_parts_and_without_a_base_only_distances() {
        let model = |label, value: f64| named(label, &[(Q[0], &[value, 0.0]), (UP, &[0.0, value])]);

        let pair = kinship(&[model("a", 1.0), model("b", 4.0)], None, &|_| Ok(())).unwrap();
        let three = kinship(&[model("a", 1.0), model("b", 4.0), model("c", 5.0)], None, &|_| Ok(())).unwrap();

        assert_eq!((pair.parts.len(), three.parts.len()), (2, 0));
        for part in &pair.parts {
            assert_eq!((part.values["euclidean"], part.values["cosine"]), (Some(3.0), None));
            assert!(part.relative_norms.is_empty() && part.reason.is_none());
        }
    }

    #[test]
    fn an_estimate_of_a_part_is_as_far_off_as_it_says() {
        let names = ["layers.0.mlp.up_proj.weight", "layers.1.mlp.up_proj.weight"];
        let model = |label: &str, values: [&[f32]; 2]| {
            let tensor = |(name, values): (&str, &[f32])| {
                let (name, tensor) = sketched(name, &[values.len() as u64], (values, 1_024));
                (name, SketchedTensor { block_sums: Vec::new(), ..tensor })
            };
            let tensors = names.into_iter().zip(values).map(tensor).collect();
            Sketched { label: label.into(), tensors, ..Sketched::default() }
        };
        let of = |seed: u64| noise(seed, 40_000).into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        let (base, common) = (of(1), of(2));
        let tuned = |own: u64, share: f32| -> Vec<f32> {
            let own = of(own);
            (0..base.len()).map(|at| base[at] + common[at] + share * own[at]).collect()
        };
        let (a, b) = ([tuned(3, 0.5), tuned(4, 3.0)], [tuned(5, 0.5), tuned(6, 3.0)]);
        let cosine = |a: &[f32], b: &[f32]| {
            let delta = |x: &[f32]| -> Vec<f64> {
                x.iter().zip(&base).map(|(x, base)| f64::from(*x) - f64::from(*base)).collect()
            };
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (a, b) = (delta(a), delta(b));
            dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
        };

        let models = [model("a", [&a[0], &a[1]]), model("b", [&b[0], &b[1]])];
        let report = estimate(&models, Some(&model("base", [&base, &base])), Partial::Refuse).unwrap();

        let layers: Vec<_> = report.parts.iter().map(|part| part.layer.label()).collect();
        assert_eq!(layers, ["0", "1"]);
        for (part, (a, b)) in report.parts.iter().zip(a.iter().zip(&b)) {
            let (value, error) = (part.values["cosine"].unwrap(), part.standard_errors["cosine"].unwrap());
            assert!(error > 1e-3 && error < 0.05, "{error}");
            let exact = cosine(a, b);
            assert!((value - exact).abs() < 4.0 * error, "{value} ± {error} against {exact}");
        }
    }
}
