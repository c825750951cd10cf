//! EMR (arXiv 2405.17461): of several fine-tunes one delta that all share, and of one of them its mask and size.
//!
//! `γ = sign(Σ δ_i)` (minus where it is 0), `U = γ·max |δ_i|` over the models that agree with γ, `m = [δ_j·γ > 0]`; the
//! answer is `b + s·m·U` with `s = Σ|δ_j| / Σ|m·U|` over the whole model.

use super::prelude::*;

pub struct Emr;

const MEMBER: ParamSpec =
    ParamSpec::number("member", "Which of the listed models is rebuilt, counted from 1.").or(1.0);

const SPEC: MethodSpec = MethodSpec {
    id: "emr",
    name: "EMR",
    summary: "Rebuilds one model from a delta that all share, its own mask of it and its own size.",
    formula: "b + s·m·U with δᵢ = xᵢ − b, γ = sign(Σ δᵢ), U = γ·max |δᵢ| over the models that agree with γ, m = [δⱼ·γ > 0] of the member j, s = Σ|δⱼ| / Σ|m·U| over all tensors",
    reference: "https://arxiv.org/abs/2405.17461",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[MEMBER],
    laws: &[Law::Identity],
};

impl Method for Emr {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        let (member, count) = (params.number("member"), params.models.len());
        let fits = member.fract() == 0.0 && member >= 1.0 && member <= count as f64;
        let message = format!("`member` is {member}; it must be a whole number from 1 to {count}");
        if fits { Vec::new() } else { vec![Refusal::of("member", message)] }
    }

    fn surveys(&self, _params: &Params) -> bool {
        true
    }

    fn survey(&self, tensors: &[&Operands]) -> Result<Option<Survey>, weights::Error> {
        let (mut whole, mut part) = (0.0, 0.0);
        for operands in tensors {
            let member = member(&operands.params);
            let sums = operands.each_block(|block: &Block| {
                let each = block.deltas();
                let unified = chosen(&each, member).into_iter().enumerate();
                let size: f64 = each.get(member).map_or(0.0, |own| own.iter().map(|d| d.abs()).sum());
                (size, unified.filter_map(|(at, from)| Some(each[from?][at].abs())).sum::<f64>())
            })?;
            for sum in sums {
                (whole, part) = (whole + sum.0, part + sum.1);
            }
        }
        let scale = if part > 0.0 { whole / part } else { 1.0 };
        Ok(Some(vec![Found::Scale(scale); tensors.len()]))
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let member = member(&operands.params);
        let scale = match operands.survey {
            Some(Found::Scale(scale)) => scale,
            _ => 1.0,
        };
        Ok(Arc::new(Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            let each: Vec<&[f64]> = deltas.each().collect();
            for (at, from) in chosen(&each, member).into_iter().enumerate() {
                if let Some(from) = from {
                    factors[from * deltas.len() + at] = scale;
                }
            }
        })))
    }
}

/// Place of the rebuilt model.
fn member(params: &Params) -> usize {
    (params.number("member") as usize).saturating_sub(1)
}

/// Whose delta stands for that of `member` at every element; none where its own sign is not the elected one.
fn chosen(deltas: &[&[f64]], member: usize) -> Vec<Option<usize>> {
    let len = deltas.first().map_or(0, |first| first.len());
    let element = |at: usize| {
        let sign = if deltas.iter().map(|delta| delta[at]).sum::<f64>() > 0.0 { 1.0 } else { -1.0 };
        if deltas.get(member)?[at] * sign <= 0.0 {
            return None;
        }
        let agreeing = (0..deltas.len()).filter(|from| deltas[*from][at] * sign > 0.0);
        agreeing
            .reduce(|best, from| if deltas[from][at].abs() > deltas[best][at].abs() { from } else { best })
    };
    (0..len).map(element).collect()
}
