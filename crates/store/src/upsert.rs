//! Writing metadata and edges in batches: nothing known is erased, evidence only grows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::{Claim, Digest, EdgeStatus, Evidence, Metadata, Relation, RepoId, Source};
use sea_orm::{DatabaseTransaction, Value};

use crate::{
    Result, Store,
    connect::bump,
    edges::{self, EdgeRow},
    models::{ids_of, resolve},
    rows::to_json,
    sql::{self, maybe_text, text, wall_clock},
    standins,
};

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upserted {
    /// Models new to the registry, former ghosts included.
    pub inserted: u64,
    /// Models that were known.
    pub updated: u64,
    /// Distinct edges the batch states, new or known.
    pub edges: u64,
}

impl Store {
    /// Writes a batch of models and their parents in one transaction. Unknown parents become ghosts; a
    /// field the batch does not know keeps its stored value; notes are replaced.
    ///
    /// # Errors
    /// When the database refuses; nothing of the batch is stored then.
    pub async fn upsert(&self, batch: &[(Metadata, Vec<Claim>)]) -> Result<Upserted> {
        self.upsert_draft(Draft::of(batch.iter().cloned())?).await
    }

    /// As [`Self::upsert`], of models that were made ready before.
    ///
    /// # Errors
    /// When the database refuses; nothing of the batch is stored then.
    pub async fn upsert_draft(&self, draft: Draft) -> Result<Upserted> {
        let tx = self.begin_write().await?;
        let (done, touched) = write_models(&tx, draft).await?;
        bump(&tx, &touched).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Writes edges between models, known or not, in one transaction; gives the number of distinct edges.
    ///
    /// # Errors
    /// When the database refuses; nothing of the batch is stored then.
    pub async fn add_edges(&self, edges: &[(RepoId, Claim)]) -> Result<u64> {
        let tx = self.begin_write().await?;
        let (count, touched) = write_edges(&tx, (edges, &ends_of(edges)), (Numbers::new(), None)).await?;
        bump(&tx, &touched).await?;
        tx.commit().await?;
        Ok(count)
    }
}

const COLUMNS: [&str; 25] = [
    "key",
    "name",
    "org",
    "ghost",
    "author",
    "sha",
    "created_at",
    "last_modified",
    "downloads",
    "likes",
    "license",
    "pipeline_tag",
    "library",
    "model_type",
    "architecture",
    "dtype",
    "parameters",
    "languages",
    "datasets",
    "tags",
    "new_version",
    "card",
    "config",
    "ingested_at",
    "notes",
];

/// Some columns that a row that was there may have, with what becomes of them.
fn updates(columns: &[&str]) -> String {
    let update = |column: &&str| match *column {
        "name" | "org" | "ghost" | "notes" | "ingested_at" => format!("{column} = excluded.{column}"),
        "languages" | "datasets" | "tags" => format!(
            "{column} = CASE WHEN excluded.{column} = '[]' THEN models.{column} ELSE excluded.{column} END"
        ),
        _ => format!("{column} = COALESCE(excluded.{column}, models.{column})"),
    };
    let all: Vec<String> = columns.iter().filter(|column| **column != "key").map(update).collect();
    format!("ON CONFLICT (key) DO UPDATE SET {}", all.join(", "))
}

/// A model and a parent that it names.
pub type Stated = (RepoId, Claim);

/// Keys of a model and of a parent that it names.
pub type Ends = (String, String);

/// Row numbers by key.
type Numbers = HashMap<String, i64>;

/// Models and their parents as the database takes them: made without it, so that one batch is made ready while the one
/// before is written.
#[derive(Default)]
pub struct Draft {
    /// Distinct keys of the models, ascending.
    keys: Vec<String>,
    /// The columns that any of the models fills; the others are null.
    columns: Vec<&'static str>,
    /// Keys of the models, and these columns.
    rows: Vec<(String, Vec<Value>)>,
    claims: Vec<Stated>,
    /// Of each claim.
    ends: Vec<Ends>,
}

impl Draft {
    /// Makes models ready.
    ///
    /// # Errors
    /// When something of a model cannot be a column.
    pub fn of(models: impl IntoIterator<Item = (Metadata, Vec<Claim>)>) -> Result<Self> {
        let now = wall_clock();
        let mut draft = Self::default();
        for (metadata, claims) in models {
            let key = metadata.id.key();
            draft.rows.push((key.clone(), row_of(key, &metadata, now)?));
            draft.claims.extend(claims.into_iter().map(|claim| (metadata.id.clone(), claim)));
        }
        let filled: Vec<bool> = (0..COLUMNS.len())
            .map(|at| {
                draft
                    .rows
                    .iter()
                    .any(|(_, row)| !matches!(row[at], Value::String(None) | Value::BigInt(None)))
            })
            .collect();
        let keep = |at: usize| filled[at];
        draft.columns = (0..).zip(COLUMNS).filter(|(at, _)| keep(*at)).map(|(_, column)| column).collect();
        for (_, row) in &mut draft.rows {
            let mut at = 0..;
            row.retain(|_| at.next().is_some_and(keep));
        }
        draft.keys = draft.rows.iter().map(|(key, _)| key.clone()).collect();
        draft.keys.sort_unstable();
        draft.keys.dedup();
        draft.ends = ends_of(&draft.claims);
        Ok(draft)
    }

    /// Whether it has no model.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn ends_of(claims: &[Stated]) -> Vec<Ends> {
    claims.iter().map(|(child, claim)| (child.key(), claim.parent.key())).collect()
}

/// The models of a batch, then their edges; also gives the numbers of the models and of the ends of the edges.
pub async fn write_models(tx: &DatabaseTransaction, draft: Draft) -> Result<(Upserted, Vec<i64>)> {
    let Draft { keys, columns, rows, claims, ends } = draft;
    let before = ids_of(tx, &keys).await?;
    let updated = before.values().filter(|(_, ghost)| !ghost).count() as u64;
    let mut numbers: Numbers = before.iter().map(|(key, (id, _))| (key.clone(), *id)).collect();

    let mut seen = HashSet::new();
    let (mut new, mut rest): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(key, _)| !before.contains_key(key) && seen.insert(key.clone()));
    let ids = sql::numbers(tx, "models", new.len()).await?;
    for ((key, row), id) in new.iter_mut().zip(ids) {
        row.push(id.into());
        numbers.insert(key.clone(), id);
    }
    let rows = new.into_iter().map(|(_, row)| row).collect();
    sql::insert(tx, "models", &[&columns[..], &["id"]].concat(), rows, "").await?;
    while !rest.is_empty() {
        // One statement may not touch a row twice; later rows of one model wait for the next round.
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(key, _)| seen.insert(key.clone()));
        let rows = now.into_iter().map(|(_, row)| row).collect();
        sql::insert(tx, "models", &columns, rows, &updates(&columns)).await?;
        rest = later;
    }

    let old = before.values().map(|(id, _)| *id).collect();
    let mut touched: Vec<i64> = numbers.values().copied().collect();
    let (edges, more) = write_edges(tx, (&claims, &ends), (numbers, Some(old))).await?;
    touched.extend(more);
    Ok((Upserted { inserted: keys.len() as u64 - updated, updated, edges }, touched))
}

fn row_of(key: String, m: &Metadata, now: i64) -> Result<Vec<Value>> {
    let config = m.config.as_ref().map(to_json).transpose()?;
    Ok(vec![
        key.into(),
        m.id.as_str().into(),
        m.id.org().map(str::to_owned).into(),
        false.into(),
        maybe_text(m.author.as_ref()),
        maybe_text(m.sha.as_ref()),
        m.created_at.into(),
        m.last_modified.into(),
        m.downloads.into(),
        m.likes.into(),
        maybe_text(m.license.as_ref()),
        maybe_text(m.pipeline_tag.as_ref()),
        maybe_text(m.library.as_ref()),
        maybe_text(m.model_type.as_ref()),
        maybe_text(m.architecture.as_ref()),
        maybe_text(m.dtype.as_ref()),
        m.parameters.into(),
        to_json(&m.languages)?.into(),
        to_json(&m.datasets)?.into(),
        to_json(&m.tags)?.into(),
        maybe_text(m.new_version.as_ref()),
        maybe_text(m.card.as_ref()),
        config.into(),
        now.into(),
        to_json(&m.notes)?.into(),
    ])
}

/// Rows for all `ids`, ghosts for the unknown; gives the row number behind each key, aliases followed.
pub async fn ensure_models(tx: &DatabaseTransaction, ids: &[&RepoId]) -> Result<HashMap<String, i64>> {
    let spelled: BTreeMap<String, &RepoId> = ids.iter().map(|id| (id.key(), *id)).collect();
    let keys: Vec<String> = spelled.keys().cloned().collect();
    let mut places = resolve(tx, &keys).await?;
    let mut ghosts = BTreeMap::new();
    for (key, place) in &places {
        if place.id.is_none() {
            let written = spelled.get(key).filter(|_| *key == place.key).map(|id| id.as_str());
            let name = spelled.get(&place.key).map(|id| id.as_str()).or(written).unwrap_or(&place.key);
            ghosts.insert(place.key.clone(), name);
        }
    }
    let made = insert_ghosts(tx, &ghosts).await?;
    for place in places.values_mut().filter(|place| place.id.is_none()) {
        place.id = made.get(&place.key).copied();
    }
    Ok(places.into_iter().filter_map(|(key, place)| Some((key, place.id?))).collect())
}

/// Ghosts of these names by their keys; gives the row number behind each key.
pub async fn insert_ghosts(
    tx: &DatabaseTransaction,
    ghosts: &BTreeMap<String, &str>,
) -> Result<HashMap<String, i64>> {
    if ghosts.is_empty() {
        return Ok(HashMap::new());
    }
    let now = wall_clock();
    let rows = ghosts.iter().map(|(key, name)| -> Vec<Value> {
        let org = name.split_once('/').map(|(org, _)| org.to_owned());
        vec![key.clone().into(), (*name).into(), org.clone().into(), true.into(), org.into(), now.into()]
    });
    let columns = ["key", "name", "org", "ghost", "author", "ingested_at"];
    sql::insert(tx, "models", &columns, rows.collect(), "ON CONFLICT (key) DO NOTHING").await?;
    let keys: Vec<String> = ghosts.keys().cloned().collect();
    Ok(ids_of(tx, &keys).await?.into_iter().map(|(key, (id, _))| (key, id)).collect())
}

/// Merges `stated` into the stored edges; gives the number of distinct edges stated and those of their ends. Of
/// models that are surely more than names the numbers may be known, and which models alone may have parents already.
async fn write_edges(
    tx: &DatabaseTransaction,
    (stated, keys): (&[Stated], &[Ends]),
    (mut ids, old): (Numbers, Option<HashSet<i64>>),
) -> Result<(u64, Vec<i64>)> {
    let named =
        stated.iter().zip(keys).flat_map(|((child, claim), (from, to))| [(child, from), (&claim.parent, to)]);
    let unknown: Vec<&RepoId> = named.filter(|(_, key)| !ids.contains_key(*key)).map(|(id, _)| id).collect();
    ids.extend(ensure_models(tx, &unknown).await?);
    let stand_ins = standins::of_claims(tx, (stated, keys), &ids).await?;
    let mut children: Vec<i64> = keys.iter().filter_map(|(child, _)| ids.get(child).copied()).collect();
    children.sort_unstable();
    children.dedup();
    children.retain(|child| old.as_ref().is_none_or(|old| old.contains(child)));
    let mut known: BTreeMap<(i64, i64), EdgeRow> = edges::of_children(tx, &children)
        .await?
        .into_iter()
        .map(|edge| ((edge.child, edge.parent), edge))
        .collect();
    let mut touched = BTreeSet::new();
    for ((_, claim), keys) in stated.iter().zip(keys) {
        let parent = stand_ins.get(keys).or_else(|| ids.get(&keys.1));
        let (Some(child), Some(parent)) = (ids.get(&keys.0), parent) else { continue };
        let pair = (*child, *parent);
        let status = if child == parent { EdgeStatus::RejectedSelf } else { claim.status };
        touched.insert(pair);
        match known.get_mut(&pair) {
            Some(edge) => join(edge, claim.relation, status, claim.evidence.clone()),
            None => {
                let mut edge = EdgeRow {
                    id: 0,
                    child: pair.0,
                    parent: pair.1,
                    as_written: text(&claim.as_written),
                    relation: claim.relation,
                    status,
                    evidence: Vec::new(),
                };
                join(&mut edge, claim.relation, status, claim.evidence.clone());
                known.insert(pair, edge);
            }
        }
    }
    let count = touched.len() as u64;
    edges::write(tx, touched.iter().filter_map(|pair| known.remove(pair))).await?;
    Ok((count, ids.into_values().chain(stand_ins.into_values()).collect()))
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

/// The name of a set of files: what the revision is, whatever the model is called.
pub fn revision_digest<'a>(files: impl Iterator<Item = (&'a str, Digest)>) -> Digest {
    let sorted: BTreeMap<&str, Digest> = files.collect();
    let lines: String = sorted.iter().map(|(path, digest)| format!("{path}\0{digest}\n")).collect();
    Digest::of(lines.as_bytes())
}
