//! Queries behind exports, reports and versions: what they read of many models, page by page.

use domain::Digest;

use crate::{
    Result, Store,
    rows::{get, json, parsed, unsigned},
    sql::{self, Params},
};

/// What reports read of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraitRow {
    pub id: i64,
    pub name: String,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub model_type: Option<String>,
    pub languages: Vec<String>,
    pub datasets: Vec<String>,
    /// Characters of the card; 0 without one.
    pub card_characters: u64,
    /// The card says that a program wrote it.
    pub card_generated: bool,
}

/// A revision of a model, current or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    pub id: i64,
    pub digest: Digest,
    /// Unix seconds.
    pub created_at: i64,
}

impl Store {
    /// The next models that are here themselves, by number, after the one numbered `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn trait_rows(&self, after: i64, limit: u64) -> Result<Vec<TraitRow>> {
        let mut params = Params::default();
        let visible = self.and_visible(&mut params);
        let sql = format!(
            "SELECT id, name, license, pipeline_tag, library, model_type, languages, datasets,
                 CAST(COALESCE(LENGTH(card), 0) AS BIGINT) AS characters,
                 COALESCE(LOWER(card) LIKE '%automatically generated%'
                     OR LOWER(card) LIKE '%generated automatically%', FALSE) AS generated
             FROM models WHERE NOT ghost {visible} AND id > {} ORDER BY id LIMIT {}",
            params.add(after),
            params.add(sql::capped(limit))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        rows.iter()
            .map(|row| {
                Ok(TraitRow {
                    id: get(row, "id")?,
                    name: get(row, "name")?,
                    license: get(row, "license")?,
                    pipeline_tag: get(row, "pipeline_tag")?,
                    library: get(row, "library")?,
                    model_type: get(row, "model_type")?,
                    languages: json(row, "languages")?,
                    datasets: json(row, "datasets")?,
                    card_characters: unsigned(row, "characters")?,
                    card_generated: get(row, "generated")?,
                })
            })
            .collect()
    }

    /// The latest revisions of a model, at most `most`, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn revisions(&self, model: i64, most: u64) -> Result<Vec<RevisionRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT id, digest, created_at FROM revisions WHERE model = {} ORDER BY created_at DESC, id DESC LIMIT {}",
            params.add(model),
            params.add(sql::capped(most))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let mut rows: Vec<RevisionRow> = rows
            .iter()
            .map(|row| {
                Ok(RevisionRow {
                    id: get(row, "id")?,
                    digest: parsed(row, "digest", "digest")?,
                    created_at: get(row, "created_at")?,
                })
            })
            .collect::<Result<_>>()?;
        rows.reverse();
        Ok(rows)
    }
}
