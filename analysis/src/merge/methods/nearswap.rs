//! Nearswap: every element of the base moves towards the other model's, by at most `t`.

use super::prelude::*;

pub struct Nearswap;

const SPEC: MethodSpec = MethodSpec {
    id: "nearswap",
    name: "NearSwap",
    summary: "Moves every element of the base towards another model's, by at most t.",
    reference: "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
    base: BaseNeed::Delta,
    models: ModelCount::exactly(1),
    parameters: &[ParamSpec::number("t", "The farthest an element moves.").usually(0.0, 0.01)],
    ignored: &["weight", "density", "normalize"],
    laws: &[Law::Identity],
};

impl Method for Nearswap {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn fault(&self, params: &Params) -> Option<String> {
        (params.number("t") < 0.0).then(|| "`t` is a distance; choose 0 or more".to_owned())
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let t = operands.params.number("t");
        Ok(Arc::new(Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            for (factor, delta) in factors.iter_mut().zip(deltas.each().flatten()) {
                *factor = if delta.abs() <= t { 1.0 } else { t / delta.abs() };
            }
        })))
    }
}
