//! Two models side by side.

use super::{Count, Fraction, Name, encoded, plural};

/// Rows of a list that are shown; the API has all of them.
pub const MOST_ROWS: usize = 1000;

/// The first rows of a list.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a, T> {
    pub shown: &'a [T],
    pub all: Count,
    /// How many are not shown, where there are any.
    pub more: Option<Count>,
}

impl<'a, T> Cut<'a, T> {
    pub fn of(rows: &'a [T]) -> Self {
        let shown = &rows[..rows.len().min(MOST_ROWS)];
        let more = (rows.len() - shown.len()) as u64;
        Self { shown, all: Count(rows.len() as u64), more: (more > 0).then_some(Count(more)) }
    }
}

/// How many models a comparison sets side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    Two,
    /// The two and their nearest common ancestor.
    Three,
}

/// What the numbers of a comparison are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// The weights, or where much differs stored sketches.
    AtHand,
    /// The weights.
    Exact,
}

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
    /// The kind of module, as `q` or `norm`, and its place among the kinds.
    pub module: String,
    pub module_rank: u8,
    /// The number of the layer or the part, as `embed`, and its place in reading order.
    pub layer: String,
    pub layer_rank: i64,
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

/// A file of both models or of one.
#[derive(Debug, Clone, Default)]
pub struct FileDiff {
    pub path: String,
    /// `the same`, `differs`, `only in the first` or `only in the second`.
    pub word: &'static str,
}

/// The vocabularies of both models.
#[derive(Debug, Clone, Default)]
pub struct VocabularyDiff {
    pub tokens: [u64; 2],
    /// Tokens of both in one row, and in different rows.
    pub same: u64,
    pub moved: u64,
    /// Tokens of one alone: how many, and the first of them.
    pub only: [(u64, Vec<String>); 2],
}

/// A tensor of the common ancestor beside those of both models.
#[derive(Debug, Clone, Default)]
pub struct ThreeWayTensor {
    /// As the ancestor calls it.
    pub name: String,
    /// Relative change of the first and of the second; 0 where nothing changed.
    pub changes: [Option<f64>; 2],
    /// Changed in the first, in the second; none where that model has no such tensor or has it in another shape.
    pub changed: [Option<bool>; 2],
}

impl ThreeWayTensor {
    /// Who changed it.
    pub(crate) fn word(&self) -> &'static str {
        match self.changed {
            [Some(true), Some(true)] => "both",
            [Some(true), Some(false)] => "the first",
            [Some(false), Some(true)] => "the second",
            [Some(false), Some(false)] => "neither",
            _ => "not comparable",
        }
    }

    pub(crate) fn numbers(&self) -> [String; 2] {
        self.changes.map(|change| change.map_or_else(|| "–".to_owned(), |value| Fraction(value).to_string()))
    }
}

/// Both models against their nearest common ancestor.
#[derive(Debug, Clone, Default)]
pub struct ThreeWay {
    pub base: Name,
    pub tensors: Vec<ThreeWayTensor>,
}

impl ThreeWay {
    pub(crate) fn rows(&self) -> Cut<'_, ThreeWayTensor> {
        Cut::of(&self.tensors)
    }

    fn count(&self, word: &str) -> u64 {
        self.tensors.iter().filter(|tensor| tensor.word() == word).count() as u64
    }

    /// Tensors that neither, the first, the second or both changed.
    pub(crate) fn counts(&self) -> Vec<(&'static str, Count)> {
        ["neither", "the first", "the second", "both"].map(|word| (word, Count(self.count(word)))).to_vec()
    }

    /// How many cannot be compared on one side; none where all can.
    pub(crate) fn apart(&self) -> Option<String> {
        let apart = self.count("not comparable");
        (apart > 0).then(|| plural(apart, "tensor", "tensors"))
    }
}

/// The comparison of two models.
#[derive(Debug, Clone, Default)]
pub struct ComparePage {
    pub a: Name,
    pub b: Name,
    /// The revisions that were asked for; none for a model as it is now.
    pub at: [Option<String>; 2],
    /// The digests of the contents that are compared.
    pub digests: [Option<String>; 2],
    /// One sentence.
    pub verdict: String,
    /// Whether some numbers are estimates.
    pub estimated: bool,
    /// Why no weights are compared, in a sentence; none where they are.
    pub unmeasured: Option<String>,
    /// The nearest common ancestor.
    pub merge_base: Option<Name>,
    pub fields: Vec<FieldDiff>,
    /// Values of the configuration that differ, and how many are the same.
    pub config: Vec<FieldDiff>,
    pub config_same: u64,
    pub files: Vec<FileDiff>,
    pub vocabulary: Option<VocabularyDiff>,
    pub three_way: Option<ThreeWay>,
    pub tensors: Vec<TensorDiff>,
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
    pub shape_mismatches: Vec<String>,
    /// Both names of tensors that the two call otherwise.
    pub renamed: Vec<String>,
}

impl ComparePage {
    /// Its own address, with the revisions that were asked for.
    pub(crate) fn address(&self) -> String {
        Self::between([(&self.a, &self.at[0]), (&self.b, &self.at[1])])
    }

    /// The address of the same with the second before the first.
    pub(crate) fn swapped(&self) -> String {
        Self::between([(&self.b, &self.at[1]), (&self.a, &self.at[0])])
    }

    /// The address that always means the same bytes, where both are stored here.
    pub(crate) fn permanent(&self) -> Option<String> {
        let [Some(_), Some(_)] = &self.digests else { return None };
        Some(Self::between([(&self.a, &self.digests[0]), (&self.b, &self.digests[1])]))
    }

    /// Where two names at their revisions are compared.
    fn between(sides: [(&Name, &Option<String>); 2]) -> String {
        let side = |(name, at): (&Name, &Option<String>)| match at {
            Some(at) => format!("{}@{}", name.href(), encoded(at)),
            None => name.href(),
        };
        let [a, b] = sides.map(side);
        format!("/compare{a}...{}", b.trim_start_matches('/'))
    }

    /// Those that are compared as they were at a revision.
    pub(crate) fn pinned(&self) -> Vec<(&Name, &String)> {
        [&self.a, &self.b]
            .into_iter()
            .zip(&self.at)
            .filter_map(|(name, at)| Some((name, at.as_ref()?)))
            .collect()
    }

    /// The two as operands over REST.
    pub(crate) fn operands(&self) -> [String; 2] {
        let one = |name: &Name, at: &Option<String>| match at {
            Some(at) => encoded(&format!("{name}@{at}")),
            None => name.query(),
        };
        [one(&self.a, &self.at[0]), one(&self.b, &self.at[1])]
    }
}
