//! The definitions of the tool that came with the paper, so that its figures can be compared with ours.

use std::str::FromStr;

use serde::Serialize;

/// What that tool (arXiv 2410.12613) computes where it differs from the definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// The cosine without its sign: opposed deltas look like perfect kin.
    Reference,
    /// As [`Self::Reference`], and every value is the mean of the tensors' values, weighted by their elements.
    /// Tensors where it is undefined do not count. There are no standard errors of it.
    ReferenceSplit,
}

impl Parity {
    /// Both, by the word a caller uses.
    pub const ALL: [(&'static str, Self); 2] =
        [("reference", Self::Reference), ("reference_split", Self::ReferenceSplit)];
}

impl FromStr for Parity {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == word.replace('-', "_"));
        let known = Self::ALL.map(|(known, _)| known).join(", ");
        found.map(|(_, parity)| *parity).ok_or_else(|| format!("unknown parity `{word}`; use {known}"))
    }
}
