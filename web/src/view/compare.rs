//! Two models side by side.

use super::{Count, Fraction, Name};

/// One metadata field of both models.
#[derive(Debug, Clone, Default)]
pub struct FieldDiff {
    pub field: String,
    pub a: Option<String>,
    pub b: Option<String>,
}

impl FieldDiff {
    pub(crate) fn same(&self) -> bool {
        self.a == self.b
    }
}

/// One tensor of both models.
#[derive(Debug, Clone, Default)]
pub struct TensorDiff {
    pub name: String,
    pub dtype_a: String,
    pub dtype_b: String,
    pub shape: Vec<u64>,
    pub elements: u64,
    pub relative_l2: Option<f64>,
    pub cosine: Option<f64>,
    pub max_abs: Option<f64>,
    /// Share of weights that are equal, 0..=1.
    pub unchanged_share: Option<f64>,
    pub identical: bool,
}

impl TensorDiff {
    pub(crate) fn shape_text(&self) -> String {
        let sides: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        if sides.is_empty() { "scalar".to_owned() } else { sides.join(" × ") }
    }

    pub(crate) fn dtype_text(&self) -> String {
        if self.dtype_a == self.dtype_b {
            self.dtype_a.clone()
        } else {
            format!("{} → {}", self.dtype_a, self.dtype_b)
        }
    }

    pub(crate) fn elements_text(&self) -> Count {
        Count(self.elements)
    }

    /// Relative distance, cosine, largest change and unchanged share as text.
    pub(crate) fn numbers(&self) -> [String; 4] {
        [self.relative_l2, self.cosine, self.max_abs, self.unchanged_share]
            .map(|value| value.map_or_else(|| "–".to_owned(), |value| Fraction(value).to_string()))
    }
}

/// The comparison of two models.
#[derive(Debug, Clone, Default)]
pub struct ComparePage {
    pub a: Name,
    pub b: Name,
    /// One sentence.
    pub verdict: String,
    /// The nearest common ancestor.
    pub merge_base: Option<Name>,
    pub fields: Vec<FieldDiff>,
    pub tensors: Vec<TensorDiff>,
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    pub shape_mismatches: Vec<String>,
}
