//! Whole repositories: given another name, or taken away.

use domain::RepoId;
use sea_orm::DatabaseTransaction;

use crate::{
    Error, Result, Store,
    aliases::{self, move_ghost},
    connect::bump,
    models::ids_of,
    republish::forget,
    rows::get,
    sql::{self, Params},
    standins, unnamed,
};

/// What hangs on the revisions of a model, the furthest first.
pub const OF_REVISIONS: [&str; 5] = ["provenance", "sketches", "signatures", "tensors", "files"];

impl Store {
    /// Gives a model another name; the old one stays as an alias. A ghost of the new name becomes the model.
    ///
    /// # Errors
    /// [`Error::NameTaken`].
    pub async fn rename_model(&self, (model, from): (i64, &RepoId), to: &RepoId) -> Result<()> {
        let tx = self.begin_write().await?;
        let key = to.key();
        let mut params = Params::default();
        let private = format!("SELECT 1 AS found FROM models WHERE private AND id = {}", params.add(model));
        let private = sql::one(&tx, &private, params).await?.is_some();
        let mut touched = vec![model];
        match ids_of(&tx, std::slice::from_ref(&key)).await?.get(&key).copied() {
            Some((id, _)) if id == model => {}
            Some((ghost, true))
                if private && standins::rename(&tx, &key, &standins::key_of(&key)).await? =>
            {
                touched.push(ghost);
            }
            Some((ghost, true)) => touched.append(&mut move_ghost(&tx, ghost, &key, from).await?),
            Some(_) => return Err(Error::NameTaken(to.to_string())),
            None => {}
        }
        aliases::free(&tx, &key).await?;
        let mut params = Params::default();
        let sql = format!(
            "UPDATE models SET key = {}, name = {}, org = {} WHERE id = {}",
            params.add(key.as_str()),
            params.add(to.as_str()),
            params.add(to.org().map(str::to_owned)),
            params.add(model)
        );
        sql::run(&tx, &sql, params).await?;
        if from.key() != key {
            let row = vec![from.key().into(), key.into()];
            let tail = "ON CONFLICT (key) DO UPDATE SET target = excluded.target";
            sql::insert(&tx, ("aliases", &["key", "target"]), vec![row], tail).await?;
        }
        bump(&tx, &touched).await?;
        Ok(tx.commit().await?)
    }

    /// Takes a model away with its revisions, and the ghosts that only it named. Where others name it as their parent a
    /// ghost stays behind, hidden where the model was; blobs that nothing else needs go with the next sweep.
    ///
    /// # Errors
    /// When the database refuses; nothing is taken away then.
    pub async fn delete_model(&self, model: i64) -> Result<()> {
        let tx = self.begin_write().await?;
        let revisions = "IN (SELECT id FROM revisions WHERE model = $1)";
        let names = names_of(&tx, model).await?;
        let mut touched = named_by(&tx, model).await?;
        // A pin that has run out is how a sweep knows which blobs to look at.
        on(&tx, model, &format!(
            "INSERT INTO pins (holder, digest, until)
             SELECT DISTINCT 'deleted', digest, 0 FROM files WHERE revision {revisions} ON CONFLICT DO NOTHING"
        ))
        .await?;
        for table in OF_REVISIONS {
            on(&tx, model, &format!("DELETE FROM {table} WHERE revision {revisions}")).await?;
        }
        forget(&tx, model).await?;
        for sql in [
            "DELETE FROM grants WHERE model = $1",
            "DELETE FROM shapes WHERE model = $1",
            "DELETE FROM shape_names WHERE model = $1",
            "DELETE FROM refs WHERE model = $1",
            "DELETE FROM commits WHERE model = $1",
            "DELETE FROM edges WHERE child = $1",
            "DELETE FROM verdicts WHERE child = $1 OR parent = $1",
            "DELETE FROM decisions WHERE child = $1",
            "UPDATE models SET revision = NULL, digest = NULL, has_weights = FALSE, sketched = FALSE, ghost = TRUE, sha = NULL,
                 downloads = NULL, likes = NULL, created_at = NULL, last_modified = NULL, notes = '[]', gated = NULL
             WHERE id = $1",
            "DELETE FROM revisions WHERE model = $1",
            "DELETE FROM models WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM edges WHERE parent = $1)",
        ] {
            on(&tx, model, sql).await?;
        }
        for key in names {
            standins::rename(&tx, &standins::key_of(&key), &key).await?;
        }
        unnamed::forget(&tx, &touched).await?;
        touched.push(model);
        bump(&tx, &touched).await?;
        Ok(tx.commit().await?)
    }
}

/// The keys that lead to a model.
async fn names_of(tx: &DatabaseTransaction, model: i64) -> Result<Vec<String>> {
    let mut params = Params::default();
    params.add(model);
    let sql = "SELECT key FROM models WHERE id = $1 UNION
        SELECT aliases.key AS key FROM models JOIN aliases ON aliases.target = models.key WHERE models.id = $1";
    sql::all(tx, sql, params).await?.iter().map(|row| get(row, "key")).collect()
}

/// The models that edges from a model, verdicts on them or decisions about them name.
async fn named_by(tx: &DatabaseTransaction, model: i64) -> Result<Vec<i64>> {
    let mut params = Params::default();
    params.add(model);
    let sql = "SELECT parent FROM edges WHERE child = $1 UNION SELECT parent FROM decisions WHERE child = $1
        UNION SELECT parent FROM verdicts WHERE child = $1";
    sql::all(tx, sql, params).await?.iter().map(|row| get(row, "parent")).collect()
}

/// Runs a statement about one model.
async fn on(tx: &DatabaseTransaction, model: i64, sql: &str) -> Result<()> {
    let mut params = Params::default();
    params.add(model);
    sql::run(tx, sql, params).await.map(drop)
}
