//! Stand-ins: whoever may not see a private model and names it as a parent gets what any name gets that nobody has, a
//! ghost. Its key ends in a mark that no id holds, so that the model itself keeps its name.

use std::collections::{BTreeMap, HashMap};

use domain::{RepoId, Source};
use sea_orm::{DatabaseTransaction, QueryResult};

use crate::{
    Error, Result,
    aliases::move_ghost,
    models::{ids_of, resolve},
    rows::get,
    sql::{self, Params},
    stated::{Ends, Stated},
    upsert::insert_ghosts,
};

/// What ends the key of a stand-in. In order it is before all that an id holds, so that nothing is listed between a
/// name and its stand-in.
const MARK: char = '!';

/// The key of the stand-in for a name.
pub fn key_of(key: &str) -> String {
    format!("{key}{MARK}")
}

/// A key as it is told: that of a stand-in as any ghost's.
pub fn told_key(key: &str) -> &str {
    key.strip_suffix(MARK).unwrap_or(key)
}

/// Namespaces, in lower case, of the private ones among some models, by number.
async fn private_among(tx: &DatabaseTransaction, models: &[i64]) -> Result<HashMap<i64, String>> {
    let sql = |ids: &str| {
        format!("SELECT id, lower(COALESCE(org, '')) AS org FROM models WHERE private AND id IN {ids}")
    };
    let read = |row: &QueryResult| Ok((get(row, "id")?, get(row, "org")?));
    Ok(sql::by_keys(tx, models, sql, read).await?.into_iter().collect())
}

/// The stand-in of a name, made where there is none yet.
///
/// # Errors
/// When the database refuses.
pub async fn ensure(tx: &DatabaseTransaction, name: &RepoId) -> Result<i64> {
    let key = key_of(&name.key());
    if let Some((id, _)) = ids_of(tx, std::slice::from_ref(&key)).await?.get(&key) {
        return Ok(*id);
    }
    let made = insert_ghosts(tx, &BTreeMap::from([(key.clone(), name.as_str())])).await?;
    made.get(&key).copied().ok_or_else(|| Error::stored("model", format!("`{name}` vanished")))
}

/// Stand-ins for the private parents that models of other namespaces name, by the keys of child and parent, which come with
/// what is stated. What was
/// made here of a private model keeps it as its parent.
///
/// # Errors
/// When the database refuses.
pub async fn of_claims(
    tx: &DatabaseTransaction,
    (stated, keys): (&[Stated], &[Ends]),
    ids: &HashMap<String, i64>,
) -> Result<HashMap<Ends, i64>> {
    let mut parents: Vec<i64> = keys.iter().filter_map(|(_, parent)| ids.get(parent).copied()).collect();
    parents.sort_unstable();
    parents.dedup();
    let private = private_among(tx, &parents).await?;
    let mut found = HashMap::new();
    if private.is_empty() {
        return Ok(found);
    }
    for ((child, claim), keys) in stated.iter().zip(keys) {
        let Some(org) = ids.get(&keys.1).and_then(|id| private.get(id)) else { continue };
        let made_here = claim.evidence.iter().any(|evidence| evidence.source == Source::Recipe);
        if !made_here && !org.eq_ignore_ascii_case(child.org().unwrap_or_default()) {
            found.insert(keys.clone(), ensure(tx, &claim.parent).await?);
        }
    }
    Ok(found)
}

/// Leaves a stand-in where a model that is private from its first day was named before: nobody else can tell.
///
/// # Errors
/// When the database refuses.
pub async fn leave(tx: &DatabaseTransaction, model: i64) -> Result<()> {
    let others = "SELECT children.id FROM models AS children JOIN models AS own ON own.id = $1
        WHERE lower(COALESCE(children.org, '')) <> lower(COALESCE(own.org, ''))";
    let mut params = Params::default();
    params.add(model);
    let named = format!(
        "SELECT name FROM models WHERE id = $1 AND EXISTS
             (SELECT 1 FROM edges WHERE parent = $1 AND child IN ({others}))"
    );
    let Some(row) = sql::one(tx, &named, params).await? else { return Ok(()) };
    let name: String = get(&row, "name")?;
    let name = RepoId::parse(&name).map_err(|error| Error::stored("name", error))?;
    let ghost = ensure(tx, &name).await?;
    for sql in [
        format!(
            "UPDATE edges SET parent = $2 WHERE parent = $1 AND child IN ({others})
             AND NOT EXISTS (SELECT 1 FROM edges AS twin WHERE twin.child = edges.child AND twin.parent = $2)"
        ),
        format!("UPDATE decisions SET parent = $2 WHERE parent = $1 AND child IN ({others})"),
        "UPDATE advisories SET model = $2 WHERE model = $1".to_owned(),
    ] {
        let mut params = Params::default();
        params.add(model);
        params.add(ghost);
        sql::run(tx, &sql, params).await?;
    }
    Ok(())
}

/// Gives a model that everybody sees now what its stand-ins were named for; the models that this touched.
///
/// # Errors
/// When the database refuses.
pub async fn join(tx: &DatabaseTransaction, model: i64) -> Result<Vec<i64>> {
    let mut params = Params::default();
    let id = params.add(model);
    let sql = format!(
        "SELECT name, key FROM models WHERE id = {id} UNION
         SELECT models.name AS name, aliases.key AS key
         FROM models JOIN aliases ON aliases.target = models.key WHERE models.id = {id}"
    );
    let mut touched = Vec::new();
    for row in sql::all(tx, &sql, params).await? {
        let (name, key): (String, String) = (get(&row, "name")?, get(&row, "key")?);
        let to = RepoId::parse(&name).map_err(|error| Error::stored("name", error))?;
        let key = key_of(&key);
        if let Some((ghost, _)) = ids_of(tx, std::slice::from_ref(&key)).await?.get(&key) {
            touched.extend(move_ghost(tx, *ghost, &key, &to).await?);
        }
    }
    Ok(touched)
}

/// Whether a name leads to a private model.
///
/// # Errors
/// When the database refuses.
pub async fn is_private(tx: &DatabaseTransaction, key: &str) -> Result<bool> {
    let places = resolve(tx, &[key.to_owned()]).await?;
    match places.get(key).and_then(|place| place.id) {
        Some(id) => Ok(!private_among(tx, &[id]).await?.is_empty()),
        None => Ok(false),
    }
}

/// Makes an ordinary ghost of the stand-in, and a stand-in of the ghost, of a name: `from` and `to` are keys. Nothing
/// happens where `to` is taken.
///
/// # Errors
/// When the database refuses.
pub async fn rename(tx: &DatabaseTransaction, from: &str, to: &str) -> Result<bool> {
    let mut params = Params::default();
    let (from, to) = (params.add(from), params.add(to));
    let sql = format!(
        "UPDATE models SET key = {to} WHERE key = {from} AND ghost
         AND NOT EXISTS (SELECT 1 FROM models AS other WHERE other.key = {to})"
    );
    Ok(sql::run(tx, &sql, params).await? > 0)
}
