//! One model as it is, perhaps scaled: what remains when the recipe only renames, converts or switches parts off.

use super::prelude::*;

pub struct Passthrough;

const SPEC: MethodSpec = MethodSpec {
    id: "passthrough",
    name: "Passthrough",
    summary: "One model as it is; tensors chosen by name may be scaled.",
    formula: "scale·x",
    reference: "https://arxiv.org/abs/2312.15166",
    base: BaseNeed::Unused,
    models: ModelCount::exactly(1),
    parameters: &[ParamSpec::number("scale", "Factor of the tensor.").per_model().or(1.0).usually(0.0, 1.0)],
    laws: &[Law::Identity],
};

impl Method for Passthrough {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let scales = operands.params.each("scale");
        Ok(Arc::new(Blend::new(operands, Vectors::Whole, scales, Common::Blended)))
    }
}
