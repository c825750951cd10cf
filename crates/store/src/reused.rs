//! Former names that another model has today: who named one before that model was made meant the renamed one.

use std::collections::{BTreeSet, HashMap};

use domain::RepoId;
use sea_orm::DatabaseTransaction;

use crate::{
    Result,
    rows::get,
    sql::{self, MOST_KEYS, Params},
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
    let mut made: HashMap<String, i64> = HashMap::new();
    for children in Vec::from_iter(children).chunks(MOST_KEYS) {
        let mut params = Params::default();
        let list = params.in_order(tx, children.iter().map(|key| (*key).clone()));
        let sql =
            format!("SELECT key, created_at FROM models WHERE created_at IS NOT NULL AND key IN {list}");
        for row in sql::all(tx, &sql, params).await? {
            made.insert(get(&row, "key")?, get(&row, "created_at")?);
        }
    }
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
    let mut found = HashMap::new();
    if sql::all(tx, "SELECT 1 FROM aliases LIMIT 1", Params::default()).await?.is_empty() {
        return Ok(found);
    }
    let parents: BTreeSet<&String> = keys.iter().map(|(_, parent)| parent).collect();
    for parents in Vec::from_iter(parents).chunks(MOST_KEYS) {
        let mut params = Params::default();
        let list = params.in_order(tx, parents.iter().map(|key| (*key).clone()));
        let sql = format!(
            "SELECT aliases.key AS key, aliases.target AS target, models.created_at AS since
             FROM aliases JOIN models ON models.key = aliases.key
             WHERE NOT models.ghost AND models.created_at IS NOT NULL AND aliases.key IN {list}"
        );
        for row in sql::all(tx, &sql, params).await? {
            let target: String = get(&row, "target")?;
            let Ok(before) = RepoId::parse(&target) else { continue };
            found.insert(get(&row, "key")?, Reused { before, since: get(&row, "since")? });
        }
    }
    Ok(found)
}
