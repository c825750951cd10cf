//! History given up: a branch begun anew at what it shows, and files taken out of everything that came before.

use domain::Digest;
use sea_orm::DatabaseTransaction;

use crate::{
    Error, NewCommit, RefKind, Result, Store, commits,
    connect::bump,
    repositories::OF_REVISIONS,
    rows::{get, parsed, unsigned},
    sql::{self, Params},
};

/// The commits of a model that a branch or a tag reaches, as a table `line` of their ids; the model is `$1`.
const REACHED: &str = "WITH RECURSIVE line (oid) AS (
         SELECT oid FROM refs WHERE model = $1
         UNION
         SELECT commits.parent FROM line JOIN commits ON commits.model = $1 AND commits.oid = line.oid
         WHERE commits.parent IS NOT NULL
     )";

/// A file that commits of a model hold under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFile {
    pub path: String,
    pub digest: Digest,
    pub size: u64,
    /// When the first of those commits was made, Unix seconds.
    pub since: i64,
}

impl Store {
    /// Begins the branch of `new` anew: one commit without a parent of what it shows. Commits that no branch or tag reaches
    /// any more go, and with them what only they show; its blobs go with the next sweep. What a job that has not ended
    /// reads stays until the next time. None where there is no such branch.
    ///
    /// # Errors
    /// When the database refuses; everything is as it was then.
    pub async fn squash(&self, model: i64, new: &NewCommit) -> Result<Option<String>> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let (id, branch) = (params.add(model), params.add(new.branch.as_str()));
        let sql = format!(
            "SELECT commits.revision AS revision, revisions.digest AS digest FROM refs
             JOIN commits ON commits.model = refs.model AND commits.oid = refs.oid
             JOIN revisions ON revisions.id = commits.revision
             WHERE refs.model = {id} AND refs.kind = '{}' AND refs.name = {branch}",
            RefKind::Branch.word()
        );
        let Some(head) = sql::one(&tx, &sql, params).await? else { return Ok(None) };
        let (revision, digest) = (get(&head, "revision")?, parsed(&head, "digest", "digest")?);
        let mut params = Params::default();
        let sql = format!(
            "DELETE FROM refs WHERE model = {} AND kind = '{}' AND name = {}",
            params.add(model),
            RefKind::Branch.word(),
            params.add(new.branch.as_str())
        );
        sql::run(&tx, &sql, params).await?;
        let oid =
            commits::add(&tx, (model, revision, digest), &NewCommit { parent: None, ..new.clone() }).await?;
        of(
            &tx,
            model,
            &format!("{REACHED} DELETE FROM commits WHERE model = $1 AND oid NOT IN (SELECT oid FROM line)"),
        )
        .await?;
        forget_unshown(&tx, model).await?;
        bump(&tx, &[model]).await?;
        tx.commit().await?;
        Ok(Some(oid))
    }

    /// Files that the commits of a model hold, by digest and path: `limit` after the first `skip`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held_files(&self, model: i64, (skip, limit): (u64, u64)) -> Result<Vec<HeldFile>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT files.path AS path, files.digest AS digest, files.size AS size,
                 MIN(commits.created_at) AS since
             FROM commits JOIN files ON files.revision = commits.revision WHERE commits.model = {}
             GROUP BY files.path, files.digest, files.size ORDER BY files.digest, files.path LIMIT {} OFFSET {}",
            params.add(model),
            params.add(sql::capped(limit)),
            params.add(sql::capped(skip))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let held = |row| {
            let digest = parsed(row, "digest", "digest")?;
            Ok(HeldFile {
                path: get(row, "path")?,
                digest,
                size: unsigned(row, "size")?,
                since: get(row, "since")?,
            })
        };
        rows.iter().map(held).collect()
    }

    /// Takes contents out of a model's history: commits that hold one of them go, and those after them follow on those
    /// before. What a job that has not ended reads stays until the next time.
    ///
    /// # Errors
    /// [`Error::StillShown`] where a branch, a tag or the model itself shows one of them; nothing is taken out then.
    pub async fn forget_contents(&self, model: i64, digests: &[Digest]) -> Result<()> {
        let tx = self.begin_write().await?;
        for digest in digests {
            let mut params = Params::default();
            let (id, wanted) = (params.add(model), params.add(digest.to_string()));
            let sql = format!(
                "SELECT path FROM files WHERE digest = {wanted} AND revision IN (
                     SELECT commits.revision FROM refs
                     JOIN commits ON commits.model = refs.model AND commits.oid = refs.oid
                     WHERE refs.model = {id}
                     UNION SELECT revision FROM models WHERE id = {id} AND revision IS NOT NULL)"
            );
            if let Some(row) = sql::one(&tx, &sql, params).await? {
                return Err(Error::StillShown { path: get(&row, "path")?, digest: *digest });
            }
            let mut params = Params::default();
            let (id, wanted) = (params.add(model), params.add(digest.to_string()));
            let sql = format!(
                "SELECT oid, parent FROM commits WHERE model = {id}
                 AND revision IN (SELECT revision FROM files WHERE digest = {wanted}) ORDER BY id DESC"
            );
            for row in sql::all(&tx, &sql, params).await? {
                take_out(&tx, model, (get(&row, "oid")?, get(&row, "parent")?)).await?;
            }
        }
        forget_unshown(&tx, model).await?;
        bump(&tx, &[model]).await?;
        Ok(tx.commit().await?)
    }
}

/// Removes a commit; those that build on it build on its parent then.
async fn take_out(
    tx: &DatabaseTransaction,
    model: i64,
    (oid, parent): (String, Option<String>),
) -> Result<()> {
    let mut params = Params::default();
    let (before, id, gone) = (params.add(parent), params.add(model), params.add(oid.as_str()));
    let sql = format!("UPDATE commits SET parent = {before} WHERE model = {id} AND parent = {gone}");
    sql::run(tx, &sql, params).await?;
    let mut params = Params::default();
    let (id, gone) = (params.add(model), params.add(oid));
    sql::run(tx, &format!("DELETE FROM commits WHERE model = {id} AND oid = {gone}"), params).await.map(drop)
}

/// Removes the revisions of a model that no commit shows, nor the model itself, and that no job will read.
async fn forget_unshown(tx: &DatabaseTransaction, model: i64) -> Result<()> {
    let mut params = Params::default();
    let id = params.add(model);
    let sql = format!(
        "SELECT id, digest FROM revisions WHERE model = {id}
         AND id NOT IN (SELECT revision FROM commits WHERE model = {id})
         AND id NOT IN (SELECT revision FROM models WHERE id = {id} AND revision IS NOT NULL)"
    );
    let unshown = sql::all(tx, &sql, params).await?;
    let open = "SELECT payload FROM jobs WHERE state IN ('queued', 'running')";
    let open = sql::all(tx, open, Params::default()).await?;
    let open: Vec<String> = open.iter().map(|row| get(row, "payload")).collect::<Result<_>>()?;
    for row in unshown {
        let (revision, digest): (i64, String) = (get(&row, "id")?, get(&row, "digest")?);
        // A pin has the digest, a survey of weights the row.
        let survey = format!("\"revision\":{revision}}}");
        if !open.iter().any(|payload| payload.contains(&digest) || payload.ends_with(&survey)) {
            forget_revision(tx, revision).await?;
        }
    }
    Ok(())
}

async fn forget_revision(tx: &DatabaseTransaction, revision: i64) -> Result<()> {
    // A pin that has run out is how a sweep knows which blobs to look at.
    let pins = "INSERT INTO pins (holder, digest, until)
        SELECT DISTINCT 'deleted', digest, 0 FROM files WHERE revision = $1 ON CONFLICT DO NOTHING";
    of(tx, revision, pins).await?;
    for table in OF_REVISIONS {
        of(tx, revision, &format!("DELETE FROM {table} WHERE revision = $1")).await?;
    }
    of(tx, revision, "DELETE FROM revisions WHERE id = $1").await
}

/// Runs a statement about one row.
async fn of(tx: &DatabaseTransaction, id: i64, sql: &str) -> Result<()> {
    let mut params = Params::default();
    params.add(id);
    sql::run(tx, sql, params).await.map(drop)
}
