//! What is known of an edge in numbers, in clauses of a sentence.

use domain::{Evidence, Source};

use super::plural;

/// Clauses that a sentence takes.
const CLAUSES: usize = 2;

/// What the weights say of an edge in numbers: `the step is 1.400 % of the weights`.
pub fn measured(evidence: &[Evidence]) -> Vec<String> {
    let weighed = evidence.iter().find(|evidence| evidence.source == Source::Weights);
    let clauses = weighed.into_iter().flat_map(|evidence| evidence.detail.split("; ").skip(1));
    let told = |clause: &&str| {
        clause.contains(|c: char| c.is_ascii_digit())
            && (clause.contains(" % ") || clause.contains(" tensors "))
    };
    clauses.filter(told).take(CLAUSES).map(str::to_owned).collect()
}

/// What the weights call the relation: `duplicate`.
pub(crate) fn kind(evidence: &[Evidence]) -> Option<&str> {
    let weighed = evidence.iter().find(|evidence| evidence.source == Source::Weights)?;
    weighed.detail.split("; ").next()?.strip_suffix(" by its weights")
}

/// Whole days between two moments in unix seconds.
pub fn days(parent: Option<i64>, child: Option<i64>) -> Option<i64> {
    Some(domain::days_between(parent?, child?))
}

/// So many days after its parent a model was created.
pub(crate) fn later(days: i64) -> String {
    match days {
        0 => "created the same day".to_owned(),
        1.. => format!("created {} later", plural(days.unsigned_abs(), "day", "days")),
        _ => format!("created {} earlier", plural(days.unsigned_abs(), "day", "days")),
    }
}
