//! Names without an organisation that a model has today, where the Hub's first years knew another one by them.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Claim, RepoId};
use sea_orm::DatabaseTransaction;

use crate::{
    Result,
    rows::get,
    sql,
    stated::{Ends, Stated, ends},
};

/// The claims with the parents that are here under the very name that was written, in place of the one that the name once
/// meant; none where no name is like that.
///
/// # Errors
/// When the database refuses.
pub async fn preferred(
    tx: &DatabaseTransaction,
    stated: &[Stated],
) -> Result<Option<(Vec<Stated>, Vec<Ends>)>> {
    let bare: BTreeMap<usize, RepoId> =
        stated.iter().enumerate().filter_map(|(at, (_, claim))| Some((at, written(claim)?))).collect();
    let keys: BTreeSet<String> = bare.values().map(RepoId::key).collect();
    let sql =
        |keys: &str| format!("SELECT key FROM models WHERE NOT ghost AND NOT private AND key IN {keys}");
    let here = sql::by_keys(tx, &Vec::from_iter(keys), sql, |row| get::<String>(row, "key")).await?;
    let here = BTreeSet::from_iter(here);
    if here.is_empty() {
        return Ok(None);
    }
    let mut stated = stated.to_vec();
    for (at, id) in bare.into_iter().filter(|(_, id)| here.contains(&id.key())) {
        stated[at].1.parent = id;
    }
    let keys = stated.iter().map(|(child, claim)| ends(child, claim)).collect();
    Ok(Some((stated, keys)))
}

/// The name as it was written, if it has no organisation and the claim gave it one.
fn written(claim: &Claim) -> Option<RepoId> {
    claim.parent.org()?;
    let id = RepoId::parse(claim.as_written.trim()).ok().filter(|id| id.org().is_none())?;
    (id.key() == claim.parent.name().to_ascii_lowercase()).then_some(id)
}
