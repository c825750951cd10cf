//! Git object ids of contents, computed when first asked for.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use sea_orm::QueryResult;
use sha1::{Digest as _, Sha1};

use domain::Digest;

use crate::{
    FileRow, Result, Store,
    rows::{get, parsed},
    sql::{self, Params},
};

impl Store {
    /// The SHA-1 that git gives these contents, where it was computed for a file of any revision; nothing is read for it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn known_oids(&self, digests: &[Digest]) -> Result<HashMap<Digest, String>> {
        let keys: Vec<String> = digests.iter().map(Digest::to_string).collect();
        let sql = |digests: &str| {
            format!(
                "SELECT digest, MIN(git_oid) AS git_oid FROM files
                 WHERE digest IN {digests} AND git_oid IS NOT NULL GROUP BY digest"
            )
        };
        let read = |row: &QueryResult| Ok((parsed(row, "digest", "digest")?, get(row, "git_oid")?));
        Ok(sql::by_keys(self.db(), &keys, sql, read).await?.into_iter().collect())
    }

    /// The SHA-1 that git gives each of these files of a revision, by path.
    ///
    /// # Errors
    /// When a blob or the database cannot be read.
    pub async fn git_oids(&self, revision: i64, files: &[&FileRow]) -> Result<HashMap<String, String>> {
        let mut params = Params::default();
        let of = params.add(revision);
        let only = match files {
            [one] => format!("AND path = {}", params.add(one.path.as_str())),
            _ => String::new(),
        };
        let sql =
            format!("SELECT path, git_oid FROM files WHERE revision = {of} {only} AND git_oid IS NOT NULL");
        let mut known = HashMap::new();
        for row in sql::all(self.db(), &sql, params).await? {
            known.insert(get::<String>(&row, "path")?, get::<String>(&row, "git_oid")?);
        }
        let asked: Vec<&&FileRow> = files.iter().filter(|file| !known.contains_key(&file.path)).collect();
        let contents: Vec<Digest> = asked.iter().map(|file| file.digest).collect();
        let contents = self.known_oids(&contents).await?;
        let mut made = Vec::new();
        for file in asked {
            if let Some(oid) = contents.get(&file.digest) {
                made.push((file.path.clone(), oid.clone()));
                continue;
            }
            let mut hash = Sha1::new();
            hash.update(format!("blob {}\0", file.size));
            let mut bytes = self.stream(&file.digest, 0..file.size).await?;
            while let Some(part) = bytes.try_next().await? {
                hash.update(&part);
            }
            made.push((file.path.clone(), hex::encode(hash.finalize())));
        }
        if !made.is_empty() {
            let tx = self.begin_write().await?;
            for (path, oid) in &made {
                let mut params = Params::default();
                let sql = format!(
                    "UPDATE files SET git_oid = {} WHERE revision = {} AND path = {}",
                    params.add(oid.as_str()),
                    params.add(revision),
                    params.add(path.as_str())
                );
                sql::run(&tx, &sql, params).await?;
            }
            tx.commit().await?;
        }
        known.extend(made);
        Ok(known)
    }
}
