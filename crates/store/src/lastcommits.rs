//! The last commits that touched files.

use std::collections::HashMap;

use crate::{
    CommitRow, Result, Store,
    commits::{COLUMNS, commit},
    rows::get,
    sql::{self, Params},
};

impl Store {
    /// The last commit in the history that ends in `oid` that gave each of these files a content, by path; none for a path
    /// that no commit of it holds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_commits(
        &self,
        model: i64,
        oid: &str,
        paths: &[String],
    ) -> Result<HashMap<String, CommitRow>> {
        if paths.is_empty() {
            return Ok(HashMap::new());
        }
        let mut params = Params::default();
        let (model, oid) = (params.add(model), params.add(oid));
        let paths = params.list(paths.iter().cloned());
        // CROSS JOIN keeps SQLite from reading the files of all models for each commit.
        let sql = format!(
            "WITH RECURSIVE line (oid, parent, revision, depth) AS (
                 SELECT oid, parent, revision, 0 FROM commits WHERE model = {model} AND oid = {oid}
                 UNION ALL
                 SELECT commits.oid, commits.parent, commits.revision, line.depth + 1
                 FROM line JOIN commits ON commits.model = {model} AND commits.oid = line.parent
                 WHERE line.depth < 1000000
             ),
             held AS (
                 SELECT files.path, files.digest, line.depth,
                     LEAD(files.digest) OVER (PARTITION BY files.path ORDER BY line.depth) AS older,
                     LEAD(line.depth) OVER (PARTITION BY files.path ORDER BY line.depth) AS below
                 FROM line CROSS JOIN files
                 WHERE files.revision = line.revision AND files.path IN {paths}
             ),
             touched AS (
                 SELECT path, MIN(depth) AS depth FROM held
                 WHERE below IS NULL OR below <> depth + 1 OR older <> digest
                 GROUP BY path
             )
             SELECT {COLUMNS}, touched.path
             FROM touched JOIN line ON line.depth = touched.depth
             JOIN commits ON commits.model = {model} AND commits.oid = line.oid
             JOIN revisions ON revisions.id = commits.revision"
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        rows.iter().map(|row| Ok((get(row, "path")?, commit(row)?))).collect()
    }
}
