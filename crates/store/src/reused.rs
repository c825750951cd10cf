//! Former names that another model has today: who named one before that model was made meant the renamed one.

use std::collections::{BTreeSet, HashMap};

use domain::RepoId;
use sea_orm::{DatabaseTransaction, QueryResult};

use crate::{
    Result,
    rows::get,
    sql::{self, Params},
    stated::{Ends, Stated, ends},
};

/// A name that was given again.
struct Reused {
    /// The model that had it before.
    before: RepoId,
    /// When the one that has it now was made, unix seconds.
    since: i64,
}

/// The claims with the renamed models as parents of those children that are older than who has their names now; none
/// where no name is like that.
///
/// # Errors
/// When the database refuses.
pub async fn meant(
    tx: &DatabaseTransaction,
    (stated, keys): (&[Stated], &[Ends]),
) -> Result<Option<(Vec<Stated>, Vec<Ends>)>> {
    let reused = reused(tx, keys).await?;
    if reused.is_empty() {
        return Ok(None);
    }
    let named = |(_, parent): &&Ends| reused.contains_key(parent);
    let children: BTreeSet<&String> = keys.iter().filter(named).map(|(child, _)| child).collect();
    let children: Vec<String> = children.into_iter().cloned().collect();
    let sql = |list: &str| {
        format!("SELECT key, created_at FROM models WHERE created_at IS NOT NULL AND key IN {list}")
    };
    let read = |row: &QueryResult| Ok((get(row, "key")?, get(row, "created_at")?));
    let made: HashMap<String, i64> = sql::by_keys(tx, &children, sql, read).await?.into_iter().collect();
    let mut stated = stated.to_vec();
    for ((_, claim), (child, parent)) in stated.iter_mut().zip(keys) {
        let Some(name) = reused.get(parent) else { continue };
        if made.get(child).is_some_and(|made| *made < name.since) {
            claim.parent = name.before.clone();
        }
    }
    let keys = stated.iter().map(|(child, claim)| ends(child, claim)).collect();
    Ok(Some((stated, keys)))
}

/// Those of the parents' keys that were another model's before, and whose model of today has a date.
async fn reused(tx: &DatabaseTransaction, keys: &[Ends]) -> Result<HashMap<String, Reused>> {
    if sql::all(tx, "SELECT 1 FROM aliases LIMIT 1", Params::default()).await?.is_empty() {
        return Ok(HashMap::new());
    }
    let parents: BTreeSet<&String> = keys.iter().map(|(_, parent)| parent).collect();
    let parents: Vec<String> = parents.into_iter().cloned().collect();
    let sql = |list: &str| {
        format!(
            "SELECT aliases.key AS key, aliases.target AS target, models.created_at AS since
             FROM aliases JOIN models ON models.key = aliases.key
             WHERE NOT models.ghost AND models.created_at IS NOT NULL AND aliases.key IN {list}"
        )
    };
    let read = |row: &QueryResult| {
        let Ok(before) = RepoId::parse(&get::<String>(row, "target")?) else { return Ok(None) };
        Ok(Some((get(row, "key")?, Reused { before, since: get(row, "since")? })))
    };
    Ok(sql::by_keys(tx, &parents, sql, read).await?.into_iter().flatten().collect())
}
