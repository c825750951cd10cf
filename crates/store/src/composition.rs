//! What the tensors of a revision add up to, and pages of them: a hundred thousand are never held at once.

use std::collections::BTreeMap;

use crate::{
    Error, Result, Store, TensorRow,
    rows::get,
    sql::{self, Params},
    tensors::tensor,
};

/// The tensors of one format in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub file: String,
    pub dtype: String,
    pub tensors: u64,
    pub elements: u64,
    pub bytes: u64,
}

impl Part {
    /// Weights by format.
    pub fn parameters(parts: &[Self]) -> BTreeMap<String, u64> {
        let mut parameters: BTreeMap<String, u64> = BTreeMap::new();
        for part in parts {
            let elements = parameters.entry(part.dtype.clone()).or_default();
            *elements = elements.saturating_add(part.elements);
        }
        parameters
    }
}

impl Store {
    /// What a revision's tensors add up to, by file and format, in the order of both.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn composition(&self, revision: i64) -> Result<Vec<Part>> {
        Ok(self.compositions(&[revision]).await?.remove(&revision).unwrap_or_default())
    }

    /// At most `limit` tensors of a revision, in the order they were published, after the one of a name.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for a name that none has; when the database cannot be read.
    pub async fn tensors_after(
        &self,
        revision: i64,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<TensorRow>> {
        let last = match after {
            None => -1,
            Some(name) => self.position(revision, name).await?,
        };
        let mut params = Params::default();
        let sql = format!(
            "SELECT * FROM tensors WHERE revision = {} AND position > {} ORDER BY position LIMIT {}",
            params.add(revision),
            params.add(last),
            params.add(sql::capped(limit))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(tensor).collect()
    }

    async fn position(&self, revision: i64, name: &str) -> Result<i64> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT position FROM tensors WHERE revision = {} AND name = {}",
            params.add(revision),
            params.add(sql::text(name))
        );
        let row = sql::one(self.db(), &sql, params).await?;
        let row = row.ok_or_else(|| Error::bad_cursor(name))?;
        get(&row, "position")
    }
}
