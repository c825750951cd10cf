//! What weights and people say of edges, as the pages show it.

use ::web::{
    Failure,
    view::{ContradictionRow, Contradictions, DecisionMark, EdgeForm, Name, VerdictMark},
};
use domain::{Class, Relation};
use jobs::{Ground, Registry, Ruling};
use store::{Decision, DecisionRow, VerdictRow, VerdictWord};

use super::Result;

/// One page of contradicted claims.
pub async fn contradictions(
    registry: &Registry,
    ground: &str,
    cursor: Option<&str>,
) -> Result<Contradictions> {
    let ground: Ground =
        ground.parse().map_err(|error| Failure::new(Class::Invalid, "invalid_request", error))?;
    let page = jobs::contradictions(registry, ground, (cursor, registry.limits.page)).await?;
    let row = |found: jobs::Contradiction| ContradictionRow {
        model: Name(found.model),
        base: Name(found.base),
        instead: found.instead.map(Name),
        sentence: found.sentence,
    };
    Ok((page.items.into_iter().map(row).collect(), page.next))
}

/// Lets an edge follow a person's decision.
pub async fn decide(registry: &Registry, form: &EdgeForm, person: &str) -> Result<()> {
    let bad = |error: String| Failure::new(Class::Invalid, "invalid_request", error);
    let decision: Decision = form.decision.parse().map_err(bad)?;
    let relation: Option<Relation> = match form.relation.as_str() {
        "" => None,
        word => Some(word.parse().map_err(bad)?),
    };
    let ruling = Ruling {
        child: form.model.clone(),
        parent: form.parent.clone(),
        decision,
        relation,
        person: person.to_owned(),
        reason: form.reason.clone(),
    };
    jobs::rule(registry, ruling).await?;
    Ok(())
}

/// A verdict as a mark.
pub fn mark(row: &VerdictRow) -> VerdictMark {
    VerdictMark { contradicted: row.verdict == VerdictWord::Contradicted, sentence: row.sentence.clone() }
}

/// A decision as a line of history.
pub fn decided(row: &DecisionRow) -> DecisionMark {
    DecisionMark {
        word: row.decision.past(),
        person: row.person.clone(),
        reason: row.reason.clone(),
        decided_at: row.decided_at,
    }
}
