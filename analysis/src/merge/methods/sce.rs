//! SCE (arXiv 2408.07990): select the elements that vary most, calculate a weight a model, erase minority signs.

use serde_json::json;

use super::prelude::*;
use crate::{merge::select::sizes, room::Room};

/// What mergekit takes for nothing, in absolute terms.
const LEGACY: f64 = 1e-6;

pub struct Sce;

const SPEC: MethodSpec = MethodSpec {
    id: "sce",
    name: "SCE",
    summary: "Keeps the elements that vary most between the models and weighs each model by the size of its delta.",
    reference: "https://arxiv.org/abs/2408.07990",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::number("select_topk", "Share of the varying elements that is kept.")
            .or(1.0)
            .usually(0.0, 1.0),
        ParamSpec::flag(
            "legacy_eps",
            "mergekit's fixed thresholds, under which small deltas all weigh the same.",
        ),
        ELECTION,
    ],
    ignored: &["weight", "density", "normalize"],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for Sce {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let params = &operands.params;
        let legacy = params.flag("legacy_eps");
        let selected = selected(operands, params.number("select_topk"))?;
        let by_count = params.chose(&ELECTION, "count");
        let squares = operands.each_block(|block| squares(block, selected))?;
        let count = operands.models.len();
        let (mut weights, mut whole, mut kept) = (vec![0.0; count], vec![0.0; count], 0);
        for (parts, here) in squares {
            for ((weight, whole), part) in weights.iter_mut().zip(&mut whole).zip(parts) {
                (*weight, *whole) = (*weight + part.0, *whole + part.1);
            }
            kept += here;
        }
        let energies =
            weights.iter().zip(&whole).map(|(part, whole)| if *whole > 0.0 { part / whole } else { 1.0 });
        let energies: Vec<f64> = energies.collect();
        weights.iter_mut().for_each(|weight| *weight /= operands.elements.max(1) as f64);
        let total: f64 = weights.iter().sum();
        if total == 0.0 || legacy && total < LEGACY {
            weights.fill(1.0 / count as f64);
        } else {
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        let facts = [
            ("weights", json!(weights)),
            ("kept", json!(kept as f64 / operands.elements.max(1) as f64)),
            ("energy", json!(energies)),
        ];
        let combine = Factored(move |start: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            let each: Vec<&[f64]> = deltas.each().collect();
            let kept = keeps(start, &each, selected);
            let floor = if legacy { LEGACY } else { 0.0 };
            if by_count {
                let mut votes = Room::of(deltas.values().len());
                kernels::wide::signs(deltas.values(), &mut votes);
                kernels::task::share_out((&votes, &weights), &kept, floor, factors);
            } else {
                kernels::task::share_out((deltas.values(), &weights), &kept, floor, factors);
            }
        });
        Ok(Arc::new(Told::new(combine, facts)))
    }
}

/// Population variance of the deltas at each element.
fn block_variances(block: &Block) -> Room {
    variances(&block.deltas())
}

fn variances(deltas: &[&[f64]]) -> Room {
    let mut found = Room::of(deltas.first().map_or(0, |first| first.len()));
    kernels::task::variances(deltas, &mut found);
    found
}

/// The elements that vary most; `None` keeps all.
fn selected(operands: &Operands, share: f64) -> Result<Option<Trim>, weights::Error> {
    if share >= 1.0 {
        return Ok(None);
    }
    let varying = |block: &Block| kernels::wide::positive(&block_variances(block));
    let varying: u64 = operands.each_block(varying)?.into_iter().sum();
    let keep = (share.max(0.0) * varying as f64).floor() as u64;
    let magnitudes = |block: &Block, found: &mut Vec<f32>| sizes(&block_variances(block), found);
    Ok(operands.largest(By::Of(&magnitudes), &wanted([keep]))?.first().copied())
}

/// 1 for each element that is selected, 0 for the others.
fn keeps(start: u64, deltas: &[&[f64]], selected: Option<Trim>) -> Room {
    let mut kept = Room::filled(deltas.first().map_or(0, |first| first.len()), 1.0);
    if let Some(trim) = selected {
        kernels::task::keep_largest(trim.from(start).bounds(), &variances(deltas), &mut kept);
    }
    kept
}

/// `Σ δ²` of what is kept of each model and of all of it, and how many elements are kept.
fn squares(block: &Block, selected: Option<Trim>) -> (Vec<(f64, f64)>, u64) {
    let deltas = block.deltas();
    let kept = keeps(block.start, &deltas, selected);
    let mut part = Room::of(block.len());
    let model = |delta: &&[f64]| {
        kernels::wide::product(delta, &kept, &mut part);
        (kernels::wide::dot(&part, &part), kernels::wide::dot(delta, delta))
    };
    (deltas.iter().map(model).collect(), kernels::wide::positive(&kept))
}
