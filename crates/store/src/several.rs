//! What lists ask of many revisions: a statement for all of them in the place of one for each.

use std::collections::{BTreeMap, HashMap};

use domain::Digest;

use sea_orm::QueryResult;

use crate::{
    FileRow, Part, Result, Store,
    rows::{get, json, parsed, unsigned},
    sql::{self, MOST_KEYS, Params},
    verified::file,
};

impl Store {
    /// Files of some revisions, by revision, each by path.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn files_of_many(&self, revisions: &[i64]) -> Result<HashMap<i64, Vec<FileRow>>> {
        let mut found: HashMap<i64, Vec<FileRow>> = HashMap::with_capacity(revisions.len());
        let sql = |revisions: &str| {
            format!(
                "SELECT revision, path, size, digest FROM files WHERE revision IN {revisions} ORDER BY path"
            )
        };
        let read = |row: &QueryResult| Ok((get(row, "revision")?, file(row)?));
        for (revision, file) in sql::by_keys(self.db(), revisions, sql, read).await? {
            found.entry(revision).or_default().push(file);
        }
        Ok(found)
    }

    /// The file of one path in some revisions, by revision; those without it are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn digests_of(&self, path: &str, revisions: &[i64]) -> Result<HashMap<i64, Digest>> {
        let mut found = HashMap::with_capacity(revisions.len());
        for revisions in revisions.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let sql = format!(
                "SELECT revision, digest FROM files WHERE path = {} AND revision IN {}",
                params.add(path),
                params.list(revisions.iter().copied())
            );
            for row in sql::all(self.db(), &sql, params).await? {
                found.insert(get(&row, "revision")?, parsed(&row, "digest", "digest")?);
            }
        }
        Ok(found)
    }

    /// What the tensors of some revisions add up to, by revision, each by file and format in the order of both.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn compositions(&self, revisions: &[i64]) -> Result<HashMap<i64, Vec<Part>>> {
        let mut found: HashMap<i64, BTreeMap<(String, String), Part>> =
            HashMap::with_capacity(revisions.len());
        // Layers repeat: a model has far fewer shapes than tensors.
        let sql = |revisions: &str| {
            format!(
                "SELECT revision, file, dtype, shape, COUNT(*) AS n,
                     CAST(SUM(offset_end - offset_begin) AS BIGINT) AS bytes
                 FROM tensors WHERE revision IN {revisions} GROUP BY revision, file, dtype, shape"
            )
        };
        let add = |row: &QueryResult| {
            let (file, dtype): (String, String) = (get(row, "file")?, get(row, "dtype")?);
            let (shape, tensors): (Vec<u64>, u64) = (json(row, "shape")?, unsigned(row, "n")?);
            let each = shape.iter().copied().fold(1, u64::saturating_mul);
            let parts = found.entry(get(row, "revision")?).or_default();
            let none = Part { file: file.clone(), dtype: dtype.clone(), tensors: 0, elements: 0, bytes: 0 };
            let part = parts.entry((file, dtype)).or_insert(none);
            part.tensors += tensors;
            part.elements = part.elements.saturating_add(each.saturating_mul(tensors));
            part.bytes = part.bytes.saturating_add(unsigned(row, "bytes")?);
            Ok(())
        };
        sql::by_keys(self.db(), revisions, sql, add).await?;
        Ok(found.into_iter().map(|(revision, parts)| (revision, parts.into_values().collect())).collect())
    }
}
