//! The kinship measures (arXiv 2410.12613). All follow from one set of sums; add one here to add a measure.

use kernels::PairSums;

/// One way to compare two weight deltas.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub id: &'static str,
    /// What the paper calls it.
    pub short: &'static str,
    pub name: &'static str,
    pub formula: &'static str,
    pub reference: &'static str,
    /// Whether it compares deltas, so that it means nothing without a base.
    pub needs_base: bool,
    /// `None` when undefined, e.g. the angle to a model that did not change.
    pub of: fn(&PairSums) -> Option<f64>,
}

const PAPER: &str = "https://arxiv.org/abs/2410.12613";

/// Every measure.
pub const MEASURES: &[Measure] = &[
    Measure {
        id: "cosine",
        short: "cs",
        name: "Cosine",
        formula: "⟨δa,δb⟩ / (‖δa‖·‖δb‖)",
        reference: PAPER,
        needs_base: true,
        of: |sums| sums.cosine(),
    },
    Measure {
        id: "pearson",
        short: "pcc",
        name: "Pearson",
        formula: "cosine of δa − mean(δa) and δb − mean(δb)",
        reference: PAPER,
        needs_base: true,
        of: |sums| sums.pearson(),
    },
    Measure {
        id: "euclidean",
        short: "ed",
        name: "Euclidean distance",
        formula: "‖δa − δb‖",
        reference: PAPER,
        needs_base: false,
        of: |sums| Some(sums.euclidean()),
    },
];

/// The measures that `text` names, by id or as the paper calls them, with commas or white space between; each once.
///
/// # Errors
/// The words that are no measure, and those that are.
pub fn measures_of(text: &str) -> Result<Vec<&'static str>, String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let (mut ids, mut unknown) = (Vec::new(), Vec::new());
    for word in words {
        let named = |measure: &&Measure| {
            [measure.id, measure.short].iter().any(|known| known.eq_ignore_ascii_case(word))
        };
        let Some(measure) = MEASURES.iter().find(named) else {
            unknown.push(format!("`{word}`"));
            continue;
        };
        if !ids.contains(&measure.id) {
            ids.push(measure.id);
        }
    }
    if unknown.is_empty() {
        return Ok(ids);
    }
    let known = MEASURES.iter().map(|measure| format!("{} ({})", measure.id, measure.short));
    let known: Vec<String> = known.collect();
    let what = if unknown.len() == 1 { "measure" } else { "measures" };
    Err(format!("unknown {what} {}; use {}", unknown.join(", "), known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::measures_of;

    #[test]
    fn measures_are_named_in_full_or_in_short_with_commas_or_spaces() {
        assert_eq!(measures_of("cosine,pearson"), Ok(vec!["cosine", "pearson"]));
        assert_eq!(measures_of("cs pcc, ED"), Ok(vec!["cosine", "pearson", "euclidean"]));
        assert_eq!(measures_of("cs,cosine"), Ok(vec!["cosine"]));
        assert_eq!(measures_of(""), Ok(vec![]));
        assert!(measures_of("cosine,zork").is_err_and(|told| told.starts_with("unknown measure `zork`;")));
        assert!(measures_of("a,ed b").is_err_and(|told| told.starts_with("unknown measures `a`, `b`;")));
    }
}
