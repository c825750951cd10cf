//! Values too large for the number format that they are written in: what makes them so, and what to do.

use kernels::Dtype;
use weights::TensorInfo;

/// What is at fault where all inputs are finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The number format, which the request chooses.
    Format,
    /// The weights of a recipe, or its number format.
    Weights,
    /// The strength of a transfer, whose result keeps the target's number format.
    Lambda,
}

impl Excess {
    /// The refusal of `count` values of a tensor.
    pub fn refusal(self, info: &TensorInfo, count: u64) -> weights::Error {
        let advice = match (self, wider(info.dtype)) {
            (Self::Lambda, _) => {
                "the inputs are finite, so that λ is the cause: choose a smaller one".to_owned()
            }
            (Self::Weights, None) => "the inputs are finite: choose smaller weights".to_owned(),
            (Self::Weights, Some(wider)) => {
                format!(
                    "the inputs are finite: choose smaller weights, or a wider number format: `dtype: {wider}`"
                )
            }
            (Self::Format, None) => "no number format holds them".to_owned(),
            (Self::Format, Some(wider)) => format!("a wider number format holds them: {wider}"),
        };
        weights::Error::Overflow { tensor: info.name.clone(), count, dtype: info.dtype, advice }
    }
}

/// The formats that hold larger values; BF16 and F32 have the same exponents.
fn wider(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F64 => None,
        Dtype::F32 | Dtype::Bf16 => Some("float64"),
        _ => Some("bfloat16, float32 or float64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wider_formats_are_offered_and_a_transfer_is_told_of_its_strength() {
        let told = |excess: Excess, dtype| {
            let info = TensorInfo { name: "w".to_owned(), dtype, shape: vec![2] };
            excess.refusal(&info, 2).to_string()
        };

        assert!(told(Excess::Weights, Dtype::F16).ends_with("`dtype: bfloat16, float32 or float64`"));
        let brain = told(Excess::Weights, Dtype::Bf16);
        assert!(brain.ends_with("`dtype: float64`") && brain.contains("smaller weights"), "{brain}");
        assert!(!told(Excess::Weights, Dtype::F64).contains("dtype"));
        assert!(
            told(Excess::Lambda, Dtype::Bf16).contains("λ")
                && !told(Excess::Lambda, Dtype::Bf16).contains("dtype")
        );
    }
}
