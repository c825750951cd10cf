//! CABS (arXiv 2503.01874): of every m elements each model keeps n, no two models the same ones while there are others.

use super::prelude::*;
use crate::merge::bits::{self, Masks};

/// Longest group: one is held at a time.
const LONGEST: f64 = 4_096.0;

pub struct Cabs;

const SPEC: MethodSpec = MethodSpec {
    id: "cabs",
    name: "CABS",
    summary: "Keeps n of every m elements of each delta, different ones for each model; the first listed chooses first.",
    formula: "b + λ·Σ wᵢ·δ̃ᵢ with δ̃ᵢ the n largest of every m elements of δᵢ = xᵢ − b that no model listed before has, while there are any",
    reference: "https://arxiv.org/abs/2503.01874",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        WEIGHT.or(1.0),
        ParamSpec::number("n", "Elements kept of every group.").or(64.0).usually(1.0, 256.0),
        ParamSpec::number("m", "Elements of a group.").or(256.0).usually(2.0, 4096.0),
        LAMBDA,
    ],
    laws: &[Law::Identity],
};

impl Method for Cabs {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        let (n, m) = (params.number("n"), params.number("m"));
        let whole = n.fract() == 0.0 && m.fract() == 0.0;
        if whole && n >= 0.0 && m >= 1.0 && n <= m && m <= LONGEST {
            return Vec::new();
        }
        vec![Refusal::of_all(format!(
            "`n` {n} of `m` {m} cannot be kept; choose whole numbers, `n` up to `m`, `m` up to {LONGEST}"
        ))]
    }

    fn scratch(&self, operands: &Operands) -> u64 {
        bits::numbers(operands)
    }

    fn kept(&self, operands: &Operands) -> u64 {
        self.scratch(operands)
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let params = &operands.params;
        let lambda = params.number("lambda");
        let (n, m) = (params.number("n") as usize, params.number("m") as usize);
        let masks = Masks::new((operands.models.len(), operands.elements), &operands.scratch)?;
        // Runs of whole groups.
        operands.each_run((64 * m) as u64, |block| {
            let deltas = block.deltas();
            let mut kept = vec![Vec::with_capacity(block.len()); deltas.len()];
            for start in (0..block.len()).step_by(m) {
                let end = (start + m).min(block.len());
                let group: Vec<&[f64]> = deltas.iter().map(|delta| &delta[start..end]).collect();
                kept.iter_mut().zip(choose(&group, n, m)).for_each(|(kept, chosen)| kept.extend(chosen));
            }
            for (at, kept) in kept.iter().enumerate() {
                masks.put(at, (block.start, block.len()), &kernels::task::packed(kept));
            }
        })?;
        let masks = masks.done();
        let weights = params.each("weight");
        Ok(Arc::new(Factored(move |start: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            for ((factors, mask), weight) in factors.chunks_mut(deltas.len().max(1)).zip(&masks).zip(&weights)
            {
                factors.fill(lambda * weight);
                mask.mask(start, factors);
            }
        })))
    }
}

/// What each model keeps of a group: its largest elements among those that no model before it keeps, then, when
/// these run out, among the others. A group cut short by the end of the tensor keeps its share.
fn choose(group: &[&[f64]], n: usize, m: usize) -> Vec<Vec<bool>> {
    let len = group.first().map_or(0, |first| first.len());
    let keep = (n * len).div_ceil(m);
    let mut taken = vec![false; len];
    let mut order: Vec<(u64, u32)> = Vec::with_capacity(len);
    let model = |delta: &&[f64]| {
        order.clear();
        // The bits of magnitudes order like them; the largest come first, those that are taken last.
        let key =
            |(delta, taken): (&f64, &bool)| u64::from(*taken) << 63 | (!delta.to_bits() & u64::MAX >> 1);
        order.extend(delta.iter().zip(&taken).map(key).zip(0..));
        if keep < len && keep > 0 {
            order.select_nth_unstable(keep - 1);
        }
        let mut chosen = vec![false; len];
        for (_, at) in order.iter().take(keep) {
            chosen[*at as usize] = true;
            taken[*at as usize] = true;
        }
        chosen
    };
    group.iter().map(model).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_models_take_what_earlier_ones_left_and_share_when_nothing_is_left() {
        let first = [4.0, -3.0, 2.0, 1.0];
        let second = [9.0, 8.0, 1.0, -2.0];
        let third = [1.0, -7.0, 6.0, 0.0];

        let chosen = choose(&[&first, &second, &third], 2, 4);
        let tail = choose(&[&first[..3], &second[..3]], 2, 4);

        assert_eq!(chosen[0], [true, true, false, false]);
        assert_eq!(chosen[1], [false, false, true, true]);
        assert_eq!(chosen[2], [false, true, true, false]);
        assert_eq!(tail, [[true, true, false], [true, false, true]]);
    }
}
