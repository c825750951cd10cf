//! SCE (arXiv 2408.07990): select the elements that vary most, calculate a weight a model, erase minority signs.

use kernels::{
    Dtype, Encoded,
    direct::{MOST, Shares, Tuned, Vote, Voters},
    task::{By as Votes, Strip, ZeroSign, add_deltas, share_out},
};
use serde_json::json;

use super::prelude::*;
use crate::{
    computed::CHUNK,
    merge::{direct::Masks, select::variances},
    room::Room,
};

/// What mergekit takes for nothing, in absolute terms.
const LEGACY: f64 = 1e-6;

pub struct Sce;

const SPEC: MethodSpec = MethodSpec {
    id: "sce",
    name: "SCE",
    summary: "Keeps the elements that vary most between the models and weighs each model by the size of its delta.",
    formula: "b + Σ_A vᵢ·δ̃ᵢ / Σ_A vᵢ with δ̃ᵢ what δᵢ = xᵢ − b has at the `select_topk` elements of largest variance over the models, vᵢ = Σ δ̃ᵢ² and A the models where δ̃ᵢ has the sign of Σ δ̃ᵢ",
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
        let direct = |start: u64, tuned: &Tuned<'_>| {
            let masks = Masks::varying(selected, start, tuned)?;
            let [kept, ..] = masks.each();
            let model = |at: usize| tuned.squares(at, kept);
            Some(((0..operands.models.len()).map(model).collect(), tuned.count(kept)))
        };
        let squares = operands.each_direct(CHUNK as u64, direct, |block| squares(block, selected))?;
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
        let floor = if legacy { LEGACY } else { 0.0 };
        let shares = Shares::shared(&weights, floor);
        let by = if by_count { Votes::Count } else { Votes::Sum };
        Ok(Arc::new(Told::new(Erased { selected, weights, floor, by, shares }, facts)))
    }
}

/// What is selected, with the weight of each model, where it has the sign of most.
struct Erased {
    selected: Option<Trim>,
    weights: Vec<f64>,
    /// The least that weights are divided by.
    floor: f64,
    by: Votes,
    /// Factors for every set of models, where there are few.
    shares: Option<Shares>,
}

impl Combine for Erased {
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        let deltas = Deltas::new(models, base);
        let kept = keeps(start, &deltas.each().collect::<Vec<_>>(), self.selected);
        let mut factors = Room::of(deltas.values().len());
        match self.by {
            Votes::Count => {
                let mut votes = Room::of(deltas.values().len());
                kernels::wide::signs(deltas.values(), &mut votes);
                share_out((&votes, &self.weights), &kept, self.floor, &mut factors);
            }
            Votes::Sum => share_out((deltas.values(), &self.weights), &kept, self.floor, &mut factors),
        }
        add_deltas(Strip { base, models }, &factors, out);
    }

    fn encode(&self, start: u64, inputs: &[Encoded<'_>], (dtype, out): (Dtype, &mut [u8])) -> Option<u64> {
        let shares = self.shares.as_ref().filter(|_| dtype == Dtype::Bf16)?;
        let tuned = Tuned::of(inputs)?;
        let masks = Masks::varying(self.selected, start, &tuned)?;
        let weights = &[1.0; MOST];
        let vote = Vote { weights, by: self.by, zero: ZeroSign::Plus, voters: Voters::All };
        Some(tuned.blend(&masks.each(), (shares, Some(vote)), out))
    }
}

/// The elements that vary most; `None` keeps all.
fn selected(operands: &Operands, share: f64) -> Result<Option<Trim>, weights::Error> {
    if share >= 1.0 {
        return Ok(None);
    }
    Ranked { tensors: &[(0, operands)], by: By::Varying }.most_varying(share).map(Some)
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
