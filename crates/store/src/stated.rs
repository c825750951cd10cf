//! What is stated of parents: united with what others said before, and taken back by who said it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::{Claim, EdgeStatus, Evidence, Relation, RepoId, Source};
use sea_orm::DatabaseTransaction;

use crate::{
    Result,
    edges::{self, EdgeRow},
    exact, reused,
    sql::text,
    standins, unnamed,
    upsert::ensure_models,
};

/// A model and a parent that it names.
pub type Stated = (RepoId, Claim);

/// Keys of a model and of a parent that it names.
pub type Ends = (String, String);

/// Row numbers by key.
pub type Numbers = HashMap<String, i64>;

/// What sources said of a model's parents before is taken back.
pub struct Withdrawn {
    /// Key of the model.
    pub child: String,
    pub sources: Vec<Source>,
    /// Place of the first claim that is stated after it.
    pub before: usize,
}

/// The keys of a model and of the parent of its claim.
pub fn ends(child: &RepoId, claim: &Claim) -> Ends {
    (child.key(), claim.parent.key())
}

/// Takes back what `gone` tells of an edge; what only the weights say of it then is a proposal.
pub fn take_back(edge: &mut EdgeRow, gone: impl Fn(&Evidence) -> bool) {
    edge.evidence.retain(|evidence| !gone(evidence));
    if matches!(edge.status, EdgeStatus::Accepted | EdgeStatus::RejectedCycle) && !edge.declared() {
        edge.status = EdgeStatus::Proposed;
    }
}

/// Whether an edge is kept: somebody speaks for it, or a person rejected it.
pub fn speaks(edge: &EdgeRow) -> bool {
    !edge.evidence.is_empty() || edge.status == EdgeStatus::RejectedPerson
}

/// Writes changed edges; those that nobody speaks for any more are deleted, but for what a person rejected, and with them
/// the ghosts that only they named.
pub async fn write_changed(
    tx: &DatabaseTransaction,
    changed: impl IntoIterator<Item = EdgeRow>,
) -> Result<()> {
    let (kept, gone): (Vec<_>, Vec<_>) = changed.into_iter().partition(speaks);
    edges::delete(tx, &gone.iter().map(|edge| edge.id).collect::<Vec<_>>()).await?;
    edges::write(tx, kept.into_iter()).await?;
    unnamed::forget(tx, &gone.iter().map(|edge| edge.parent).collect::<Vec<_>>()).await
}

/// Merges `stated` into the stored edges, after what is withdrawn; gives the number of distinct edges stated and the
/// models at the ends of all changed. Of models that are surely more than names the numbers may be known, and which
/// models alone may have parents already.
pub async fn write(
    tx: &DatabaseTransaction,
    (stated, keys, withdrawn): (&[Stated], &[Ends], &[Withdrawn]),
    (mut ids, old): (Numbers, Option<HashSet<i64>>),
) -> Result<(u64, Vec<i64>)> {
    let preferred = exact::preferred(tx, stated).await?;
    let (stated, keys) = preferred.as_ref().map_or((stated, keys), |(stated, keys)| (stated, keys));
    let meant = reused::meant(tx, (stated, keys)).await?;
    let (stated, keys) = meant.as_ref().map_or((stated, keys), |(stated, keys)| (stated, keys));
    let named =
        stated.iter().zip(keys).flat_map(|((child, claim), (from, to))| [(child, from), (&claim.parent, to)]);
    let unknown: Vec<&RepoId> = named.filter(|(_, key)| !ids.contains_key(*key)).map(|(id, _)| id).collect();
    ids.extend(ensure_models(tx, &unknown).await?);
    let stand_ins = standins::of_claims(tx, (stated, keys), &ids).await?;
    let named = keys.iter().map(|(child, _)| child).chain(withdrawn.iter().map(|one| &one.child));
    let mut children: Vec<i64> = named.filter_map(|child| ids.get(child).copied()).collect();
    children.sort_unstable();
    children.dedup();
    children.retain(|child| old.as_ref().is_none_or(|old| old.contains(child)));
    let mut edges = Known::default();
    for edge in edges::of_children(tx, &children).await? {
        edges.known.insert((edge.child, edge.parent), edge);
    }
    let mut withdrawn = withdrawn.iter().peekable();
    let mut named = BTreeSet::new();
    for (at, ((_, claim), keys)) in stated.iter().zip(keys).enumerate() {
        while let Some(earlier) = withdrawn.next_if(|one| one.before <= at) {
            edges.withdraw(earlier, &ids);
        }
        let parent = stand_ins.get(keys).or_else(|| ids.get(&keys.1));
        let (Some(child), Some(parent)) = (ids.get(&keys.0), parent) else { continue };
        edges.state((*child, *parent), claim);
        named.insert((*child, *parent));
    }
    withdrawn.for_each(|last| edges.withdraw(last, &ids));
    let Known { mut known, changed } = edges;
    let mut touched: Vec<i64> = ids.into_values().chain(stand_ins.into_values()).collect();
    touched.extend(changed.iter().map(|(_, parent)| *parent));
    write_changed(tx, changed.iter().filter_map(|pair| known.remove(pair))).await?;
    Ok((named.len() as u64, touched))
}

/// Edges by child and parent, and which of them changed.
#[derive(Default)]
struct Known {
    known: BTreeMap<(i64, i64), EdgeRow>,
    changed: BTreeSet<(i64, i64)>,
}

impl Known {
    fn withdraw(&mut self, withdrawn: &Withdrawn, ids: &Numbers) {
        let Some(&child) = ids.get(&withdrawn.child) else { return };
        // What was inferred rests on what was declared beside it.
        let gone = |evidence: &Evidence| {
            let said = evidence.source == Source::Inferred || withdrawn.sources.contains(&evidence.source);
            said && !evidence.is_listed()
        };
        for (pair, edge) in self.known.range_mut((child, i64::MIN)..=(child, i64::MAX)) {
            if edge.evidence.iter().any(gone) {
                take_back(edge, gone);
                self.changed.insert(*pair);
            }
        }
    }

    fn state(&mut self, pair: (i64, i64), claim: &Claim) {
        let status = if pair.0 == pair.1 { EdgeStatus::RejectedSelf } else { claim.status };
        let new = || EdgeRow::new(pair, text(&claim.as_written), claim.relation, status);
        let edge = self.known.entry(pair).or_insert_with(new);
        join(edge, claim.relation, status, claim.evidence.clone());
        self.changed.insert(pair);
    }
}

/// Adds evidence by (source, detail); the relation follows the strongest evidence, the newest on a tie. What was only
/// proposed is accepted once somebody declares it.
pub fn join(edge: &mut EdgeRow, relation: Relation, status: EdgeStatus, evidence: Vec<Evidence>) {
    let declared = |e: &&Evidence| e.source != Source::Weights;
    let strength = |all: &[Evidence]| all.iter().filter(declared).map(|e| e.confidence).fold(0.0, f64::max);
    if edge.status == EdgeStatus::Proposed && evidence.iter().any(|e| declared(&e)) {
        edge.status = EdgeStatus::Accepted;
    }
    if strength(&evidence) >= strength(&edge.evidence) {
        edge.relation = relation;
    }
    if status == EdgeStatus::RejectedSelf {
        edge.status = status;
    }
    for new in evidence {
        match edge.evidence.iter_mut().find(|old| old.source == new.source && old.detail == new.detail) {
            Some(old) => old.confidence = old.confidence.max(new.confidence),
            None => edge.evidence.push(new),
        }
    }
}
