//! When the bytes of files were last compared with their digests.

use std::collections::HashSet;

use domain::Digest;
use sea_orm::{DatabaseTransaction, QueryResult};

use crate::{
    FileRow, Result, Store,
    rows::{get, parsed, unsigned},
    sql::{self, Params, wall_clock},
};

/// A file with the time of its last check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    pub file: FileRow,
    /// Unix seconds.
    pub verified_at: Option<i64>,
    /// Whether its bytes are set aside, since they are not those of the digest.
    pub damaged: bool,
}

/// Reads a row of `path, size, digest`.
pub fn file(row: &QueryResult) -> Result<FileRow> {
    Ok(FileRow {
        path: get(row, "path")?,
        size: unsigned(row, "size")?,
        digest: parsed(row, "digest", "digest")?,
    })
}

impl Store {
    /// Files of a revision, by path, with the times of their last checks.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn checked_files(&self, revision: i64) -> Result<Vec<CheckedFile>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT path, size, digest, verified_at FROM files WHERE revision = {} ORDER BY path",
            params.add(revision)
        );
        let mut files = Vec::new();
        for row in sql::all(self.db(), &sql, params).await? {
            let verified_at = get(&row, "verified_at")?;
            files.push(CheckedFile { file: file(&row)?, verified_at, damaged: false });
        }
        // Where a blob is set aside, it counts no longer as verified.
        if files.iter().any(|checked| checked.verified_at.is_none()) {
            let aside: HashSet<Digest> = self.aside().await?.into_iter().map(|(digest, _)| digest).collect();
            for checked in &mut files {
                checked.damaged = aside.contains(&checked.file.digest);
            }
        }
        Ok(files)
    }

    /// Takes back that the bytes of a digest are what it says.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn mark_unverified(&self, digest: &Digest) -> Result<()> {
        let mut params = Params::default();
        let sql =
            format!("UPDATE files SET verified_at = NULL WHERE digest = {}", params.add(digest.to_string()));
        sql::run(self.db(), &sql, params).await?;
        Ok(())
    }

    /// Digests that files of any revision have, ascending as texts, after one of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn file_digests(&self, after: Option<&Digest>, limit: u64) -> Result<Vec<Digest>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT DISTINCT digest FROM files WHERE digest > {} ORDER BY digest LIMIT {}",
            params.add(after.map_or_else(String::new, ToString::to_string)),
            params.add(sql::capped(limit))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(|row| parsed(row, "digest", "digest")).collect()
    }

    /// Writes down that the bytes of a digest were compared with it now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mark_verified(&self, digest: &Digest) -> Result<()> {
        let mut params = Params::default();
        let sql = format!(
            "UPDATE files SET verified_at = {} WHERE digest = {}",
            params.add(wall_clock()),
            params.add(digest.to_string())
        );
        sql::run(self.db(), &sql, params).await?;
        Ok(())
    }
}

/// Files of a new revision were hashed as they came in; what was here before keeps the time of its own check.
pub async fn date_files(tx: &DatabaseTransaction, revision: i64) -> Result<()> {
    let mut params = Params::default();
    let (now, revision) = (params.add(wall_clock()), params.add(revision));
    let sql = format!(
        "UPDATE files SET verified_at = COALESCE(
             (SELECT MAX(other.verified_at) FROM files AS other
              WHERE other.digest = files.digest AND other.revision <> files.revision), CAST({now} AS BIGINT))
         WHERE revision = {revision}"
    );
    sql::run(tx, &sql, params).await?;
    Ok(())
}
