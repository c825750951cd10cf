//! Older names of models, and what moves when a name turns out to be one.

use std::collections::BTreeMap;

use domain::{EdgeStatus, RepoId};
use sea_orm::DatabaseTransaction;

use crate::{
    Result, Store,
    connect::bump,
    edges,
    models::ids_of,
    sql::{self, Params},
    standins,
    stated::join,
    upsert::ensure_models,
};

impl Store {
    /// Records that `from` is an older name of `to`. Edges to a ghost of that name move over.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_alias(&self, from: &RepoId, to: &RepoId) -> Result<()> {
        let (old, new) = (from.key(), to.key());
        if old == new {
            return Ok(());
        }
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "INSERT INTO aliases (key, target) VALUES ({}, {})
             ON CONFLICT (key) DO UPDATE SET target = excluded.target",
            params.add(old.as_str()),
            params.add(new.as_str())
        );
        sql::run(&tx, &sql, params).await?;
        let mut touched = Vec::new();
        if let Some((ghost, true)) = ids_of(&tx, std::slice::from_ref(&old)).await?.get(&old).copied() {
            touched = match standins::is_private(&tx, &new).await? {
                true if standins::rename(&tx, &old, &standins::key_of(&old)).await? => vec![ghost],
                _ => move_ghost(&tx, ghost, &old, to).await?,
            };
        }
        bump(&tx, &touched).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Takes a name from the model that once had it: it is another one's from here on, also after that is gone.
pub async fn free(tx: &DatabaseTransaction, key: &str) -> Result<()> {
    let mut params = Params::default();
    let sql = format!("DELETE FROM aliases WHERE key = {}", params.add(key));
    sql::run(tx, &sql, params).await.map(drop)
}

/// Gives the edges of a ghost to the model its name now leads to, then drops the ghost; the models that this touched.
pub async fn move_ghost(tx: &DatabaseTransaction, ghost: i64, old: &str, to: &RepoId) -> Result<Vec<i64>> {
    let ids = ensure_models(tx, &[to]).await?;
    let Some(target) = ids.get(&to.key()).copied().filter(|target| *target != ghost) else {
        // The alias leads back to the ghost itself: a circle of names; the row stays.
        tracing::debug!("alias `{old}` leads back to itself through `{to}`");
        return Ok(ids.into_values().collect());
    };
    let mut merged = BTreeMap::new();
    for mut edge in edges::touching(tx, ghost).await? {
        let end = if edge.parent == ghost { &mut edge.parent } else { &mut edge.child };
        *end = target;
        if edge.parent == edge.child {
            edge.status = EdgeStatus::RejectedSelf;
        }
        merged.insert((edge.child, edge.parent), edge);
    }
    let mut children: Vec<i64> = merged.keys().map(|(child, _)| *child).collect();
    for known in edges::of_children(tx, &children).await? {
        if let Some(edge) = merged.get_mut(&(known.child, known.parent)) {
            let moved = std::mem::replace(edge, known);
            join(edge, moved.relation, moved.status, moved.evidence);
        }
    }
    for (table, column) in [("decisions", "parent"), ("advisories", "model")] {
        let mut params = Params::default();
        let (to, from) = (params.add(target), params.add(ghost));
        let sql = format!("UPDATE {table} SET {column} = {to} WHERE {column} = {from}");
        sql::run(tx, &sql, params).await?;
    }
    for sql in [
        "DELETE FROM edges WHERE child = $1 OR parent = $1",
        "DELETE FROM verdicts WHERE child = $1 OR parent = $1",
        "DELETE FROM models WHERE id = $1",
    ] {
        let mut params = Params::default();
        params.add(ghost);
        sql::run(tx, sql, params).await?;
    }
    edges::write(tx, merged.into_values()).await?;
    children.extend([ghost, target]);
    Ok(children)
}
