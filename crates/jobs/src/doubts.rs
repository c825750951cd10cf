//! Claims that the dates of the two models speak against.

use std::collections::{HashMap, HashSet};

use analysis::lineage::Late;
use domain::{Known, Source, Told};
use store::{Page, VerdictWord};

use crate::{
    Contradiction, Error, Registry,
    trust::{Ground, names},
};

/// Edges whose evidence is read at once.
const AT_ONCE: usize = 500;

/// One page of claims on parents that were created a day or more after the child, which nothing but claims speaks for; those
/// of the last models first. The cursor is the number of the last model.
///
/// # Errors
/// A cursor of another list; when the database cannot be read.
pub(crate) async fn doubts(
    registry: &Registry,
    cursor: Option<&str>,
    limit: u64,
) -> Result<Page<Contradiction>, Error> {
    let bad = |cursor: &str| store::Error::BadCursor(cursor.chars().take(120).collect());
    let mut before = cursor.map(|cursor| cursor.parse::<i64>().map_err(|_| bad(cursor))).transpose()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    let forest = registry.forests.current().await?;
    let mut found: Vec<Late> = Vec::new();
    let mut ended = false;
    while found.len() <= limit && !ended {
        let (forest, from) = (forest.clone(), before);
        let some: Vec<Late> = tokio::task::spawn_blocking(move || {
            let mut some: Vec<Late> = Vec::new();
            for late in forest.late(from) {
                // A model's edges stay together: the next part begins with another model.
                if some.len() >= AT_ONCE && some.last().is_some_and(|last| last.child != late.child) {
                    break;
                }
                some.push(late);
            }
            some
        })
        .await?;
        ended = some.len() < AT_ONCE;
        before = some.last().map(|late| late.child).or(before);
        let doubted = doubted(registry, &some).await?;
        found.extend(some.into_iter().filter(|late| doubted.contains(&late.link.edge)));
    }
    let mut next = None;
    if found.len() > limit {
        // Whole models again: where one has more edges than a page, the page is longer.
        let last = found[limit - 1].child;
        let end = found.iter().position(|late| late.child < last).unwrap_or(found.len());
        next = (end < found.len() || !ended).then(|| last.to_string());
        found.truncate(end);
    }
    let ids: Vec<i64> = found.iter().flat_map(|late| [late.child, late.link.id]).collect();
    let names = names(registry, &ids).await?;
    let row = |late: &Late| {
        let (model, base) = (names.get(&late.child)?.clone(), names.get(&late.link.id)?.clone());
        let days = match late.days {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        Some(Contradiction {
            sentence: format!("`{base}` was created {days} after it"),
            claimed: base.clone(),
            ground: Ground::Dates,
            model,
            base,
            instead: None,
            cosine: None,
            standard_error: None,
            log10_p: None,
            days: Some(late.days),
            computed_at: None,
        })
    };
    Ok(Page { items: found.iter().filter_map(row).collect(), next })
}

/// The edges among these, by number, that nothing but claims speaks for.
async fn doubted(registry: &Registry, late: &[Late]) -> Result<HashSet<i64>, Error> {
    let children: HashSet<i64> = late.iter().map(|late| late.child).collect();
    let mut children: Vec<i64> = children.into_iter().collect();
    children.sort_unstable();
    let edges = registry.store.edges_of_many(&children).await?;
    let evidence: HashMap<i64, Vec<Source>> = edges
        .into_iter()
        .map(|edge| (edge.id, edge.evidence.into_iter().map(|evidence| evidence.source).collect()))
        .collect();
    let verdicts = registry.store.verdicts_of(&children).await?;
    let said: HashMap<(i64, i64), VerdictWord> =
        verdicts.into_iter().map(|row| ((row.child, row.parent), row.verdict)).collect();
    let is_doubted = |late: &&Late| {
        let verdict = said.get(&(late.child, late.link.id));
        let told = Told {
            evidence: evidence.get(&late.link.edge).map(Vec::as_slice).unwrap_or_default(),
            proposed: late.link.proposed,
            verified: verdict == Some(&VerdictWord::Verified),
            contradicted: verdict == Some(&VerdictWord::Contradicted),
            days: Some(-late.days),
        };
        Known::of(told) == Some(Known::Doubted)
    };
    Ok(late.iter().filter(is_doubted).map(|late| late.link.edge).collect())
}
