//! SCE (arXiv 2408.07990): select the elements that vary most, calculate a weight a model, erase minority signs.

use super::prelude::*;
use crate::merge::select::sizes;

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
        let squares = operands.each_block(|block| squares(block, selected))?;
        let count = operands.models.len();
        let mut weights = vec![0.0; count];
        for part in squares {
            weights.iter_mut().zip(part).for_each(|(weight, part)| *weight += part);
        }
        weights.iter_mut().for_each(|weight| *weight /= operands.elements.max(1) as f64);
        let total: f64 = weights.iter().sum();
        if total == 0.0 || legacy && total < LEGACY {
            weights.fill(1.0 / count as f64);
        } else {
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        Ok(Arc::new(Factored(move |start: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            let each: Vec<&[f64]> = deltas.each().collect();
            let kept = keeps(start, &each, selected);
            kernels::task::share_out(
                (deltas.values(), &weights),
                &kept,
                if legacy { LEGACY } else { 0.0 },
                factors,
            );
        })))
    }
}

/// Population variance of the deltas at each element.
fn block_variances(block: &Block) -> Vec<f64> {
    let deltas = block.deltas();
    variances(&deltas.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn variances(deltas: &[&[f64]]) -> Vec<f64> {
    let mut found = vec![0.0; deltas.first().map_or(0, |first| first.len())];
    kernels::task::variances(deltas, &mut found);
    found
}

/// The elements that vary most; `None` keeps all.
fn selected(operands: &Operands, share: f64) -> Result<Option<Trim>, weights::Error> {
    if share >= 1.0 {
        return Ok(None);
    }
    let varying = |block: &Block| block_variances(block).iter().filter(|v| **v > 0.0).count() as u64;
    let varying: u64 = operands.each_block(varying)?.into_iter().sum();
    let keep = (share.max(0.0) * varying as f64).floor() as u64;
    let magnitudes = |block: &Block| vec![sizes(&block_variances(block))];
    Ok(operands.largest(By::Of(&magnitudes), &wanted([keep]))?.first().copied())
}

/// 1 for each element that is selected, 0 for the others.
fn keeps(start: u64, deltas: &[&[f64]], selected: Option<Trim>) -> Vec<f64> {
    let mut kept = vec![1.0; deltas.first().map_or(0, |first| first.len())];
    if let Some(trim) = selected {
        kernels::task::keep_largest(trim.from(start).bounds(), &variances(deltas), &mut kept);
    }
    kept
}

/// `Σ δ²` of what is kept of each model.
fn squares(block: &Block, selected: Option<Trim>) -> Vec<f64> {
    let deltas = block.deltas();
    let kept = keeps(block.start, &deltas.iter().map(Vec::as_slice).collect::<Vec<_>>(), selected);
    let model = |delta: &Vec<f64>| {
        let part: Vec<f64> = delta.iter().zip(&kept).map(|(delta, kept)| delta * kept).collect();
        kernels::wide::dot(&part, &part)
    };
    deltas.iter().map(model).collect()
}
