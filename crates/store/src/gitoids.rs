//! Git object ids of small files, computed when first asked for.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use sha1::{Digest as _, Sha1};

use crate::{
    FileRow, Result, Store,
    rows::get,
    sql::{self, Params},
};

impl Store {
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
        let mut made = Vec::new();
        for file in files.iter().filter(|file| !known.contains_key(&file.path)) {
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
