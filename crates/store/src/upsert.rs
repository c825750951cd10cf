//! Writing metadata and edges in batches: nothing known is erased, and a source takes back only what it said itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{Claim, Digest, Metadata, RepoId};
use sea_orm::{DatabaseTransaction, Value};

use crate::{
    Hold, Result, Store,
    connect::bump,
    draft::{Draft, Record},
    models::{changes_of, ids_of, resolve},
    queue,
    sql::{self, wall_clock},
    stated::{self, Ends, Numbers, Withdrawn, ends},
};

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upserted {
    /// Models new to the registry, former ghosts included.
    pub inserted: u64,
    /// Models that were known.
    pub updated: u64,
    /// Records of models that an earlier record of the same file, or of the same batch, is counted for.
    pub repeated: u64,
    /// Distinct edges the batch states, new or known.
    pub edges: u64,
    /// Records that changed nothing, since their models are known to have been changed later.
    pub older: u64,
}

impl Store {
    /// Writes a batch of models and their parents in one transaction. Unknown parents become ghosts; a
    /// field the batch does not know keeps its stored value; notes are replaced, and so are the parents that the same
    /// sources named before.
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
        self.upsert_under(None, draft).await
    }

    /// As [`Self::upsert_draft`], for a job under its fence.
    ///
    /// # Errors
    /// [`crate::Error::LeaseLost`] when the job was handed on, [`crate::Error::Cancelled`]; when the database refuses. Nothing
    /// of the batch is stored then.
    pub async fn upsert_under(&self, fence: Option<&Hold>, draft: Draft) -> Result<Upserted> {
        let tx = self.begin_write().await?;
        if let Some(hold) = fence {
            queue::hold(&tx, hold).await?;
        }
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
        let keys: Vec<Ends> = edges.iter().map(|(child, claim)| ends(child, claim)).collect();
        let (count, touched) = stated::write(&tx, (edges, &keys, &[]), (Numbers::new(), None)).await?;
        bump(&tx, &touched).await?;
        tx.commit().await?;
        Ok(count)
    }
}

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

/// The models of a batch, then their edges; also gives the numbers of the models and of the ends of the edges.
pub async fn write_models(tx: &DatabaseTransaction, mut draft: Draft) -> Result<(Upserted, Vec<i64>)> {
    let mut keys = draft.keys();
    let mut before = ids_of(tx, &keys).await?;
    let mut older = 0;
    if draft.is_dated() {
        let known: Vec<String> = before.keys().cloned().collect();
        older = draft.leave_out_older(changes_of(tx, &known).await?);
        if older > 0 {
            keys = draft.keys();
            before.retain(|key, _| keys.binary_search(key).is_ok());
        }
    }
    let earlier = draft.take_earlier();
    let Draft { columns, records, .. } = draft;
    let all = records.len() as u64;
    let (mut rows, mut claims, mut ends, mut withdrawn) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Record { id, key, row, sources, claims: stated, .. } in records {
        if !sources.is_empty() {
            withdrawn.push(Withdrawn { child: key.clone(), sources, before: claims.len() });
        }
        for (claim, pair) in stated {
            claims.push((id.clone(), claim));
            ends.push(pair);
        }
        rows.push((key, row));
    }
    let known = before.iter().filter(|(_, (_, ghost))| !ghost);
    let (again, updated): (Vec<_>, Vec<_>) = known.partition(|(key, _)| earlier.contains(*key));
    let (again, updated) = (again.len() as u64, updated.len() as u64);
    let inserted = keys.len() as u64 - updated - again;
    let repeated = all - inserted - updated;
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
    sql::insert(tx, ("models", &[&columns[..], &["id"]].concat()), rows, "").await?;
    while !rest.is_empty() {
        // One statement may not touch a row twice; later rows of one model wait for the next round.
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(key, _)| seen.insert(key.clone()));
        let rows = now.into_iter().map(|(_, row)| row).collect();
        sql::insert(tx, ("models", &columns), rows, &updates(&columns)).await?;
        rest = later;
    }

    let old = before.values().map(|(id, _)| *id).collect();
    let mut touched: Vec<i64> = numbers.values().copied().collect();
    let (edges, more) = stated::write(tx, (&claims, &ends, &withdrawn), (numbers, Some(old))).await?;
    touched.extend(more);
    Ok((Upserted { inserted, updated, repeated, edges, older }, touched))
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
    sql::insert(tx, ("models", &columns), rows.collect(), "ON CONFLICT (key) DO NOTHING").await?;
    let keys: Vec<String> = ghosts.keys().cloned().collect();
    Ok(ids_of(tx, &keys).await?.into_iter().map(|(key, (id, _))| (key, id)).collect())
}

/// The name of a set of files: what the revision is, whatever the model is called.
pub fn revision_digest<'a>(files: impl Iterator<Item = (&'a str, Digest)>) -> Digest {
    let sorted: BTreeMap<&str, Digest> = files.collect();
    let lines: String = sorted.iter().map(|(path, digest)| format!("{path}\0{digest}\n")).collect();
    Digest::of(lines.as_bytes())
}
