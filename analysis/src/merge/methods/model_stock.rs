//! Model Stock (arXiv 2403.19522): from the base towards the mean of the fine-tunes, as far as their deltas agree.

use super::prelude::*;

/// Divisor below which there is no share; mergekit's product of norms below which deltas have no angle.
const NOTHING: f64 = 1e-6;

pub struct ModelStock;

const SPEC: MethodSpec = MethodSpec {
    id: "model_stock",
    name: "Model Stock",
    summary: "Moves the base towards the mean of its fine-tunes, the further the more their deltas agree.",
    formula: "b + t·(x̄ − b) with x̄ the mean of the k models, c the mean cosine between their deltas and t = k·c / (1 + (k − 1)·c), from 0 to 1 with `clamp_t`",
    reference: "https://arxiv.org/abs/2403.19522",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[
        ParamSpec::flag("filter_wise", "Every row finds its own share."),
        ParamSpec::flag(
            "clamp_t",
            "Keep the share between 0 and 1; off as mergekit, which may step backwards.",
        )
        .on(),
        ParamSpec::flag("legacy_eps", "mergekit's fixed threshold, under which small deltas have no angle."),
    ],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for ModelStock {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn held(&self, operands: &Operands) -> u64 {
        vectors(&operands.params).held(operands)
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let vectors = vectors(&operands.params);
        let found = geometry(operands, vectors)?;
        let count = operands.models.len();
        let clamp = operands.params.flag("clamp_t");
        let least = if operands.params.flag("legacy_eps") { NOTHING } else { f64::MIN_POSITIVE };
        let share = |products: &Products| {
            let t = share(products, least);
            if clamp { t.clamp(0.0, 1.0) } else { t }
        };
        let shares: Vec<f64> = found.products.iter().map(share).collect();
        let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        let factors = shares.into_iter().flat_map(|t| std::iter::repeat_n(t / count as f64, count)).collect();
        Ok(Arc::new(Blend::new(operands, vectors, factors, Common::Blended).told("t", mean)))
    }
}

fn vectors(params: &Params) -> Vectors {
    if params.flag("filter_wise") { Vectors::Rows } else { Vectors::Whole }
}

/// Share of the mean of the fine-tunes: `t = N·c/(1 + (N−1)·c)`, c the mean cosine of their deltas, in which a product of two
/// norms is `least` or more.
fn share(products: &Products, least: f64) -> f64 {
    let count = products.count();
    let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
    let cosine = |(i, j): (usize, usize)| {
        (products.at(i, j) / (products.norm(i) * products.norm(j)).max(least)).clamp(-1.0, 1.0)
    };
    let mean = pairs.map(cosine).sum::<f64>() / (count * (count - 1) / 2) as f64;
    let divisor = 1.0 + (count as f64 - 1.0) * mean;
    if divisor.abs() < NOTHING { 0.0 } else { count as f64 * mean / divisor }
}
