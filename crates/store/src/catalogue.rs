//! What the search index holds of a model, read in the order of ids or of some models alone.

use std::collections::HashMap;

use domain::Relation;
use sea_orm::QueryResult;

use crate::{
    Result, Store,
    rows::{get, json, parsed},
    sql::{self, MOST_KEYS, Params},
};

/// A model as the search index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueRow {
    pub id: i64,
    /// The name in lower case.
    pub key: String,
    pub ghost: bool,
    pub org: Option<String>,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub model_type: Option<String>,
    pub architecture: Option<String>,
    pub dtype: Option<String>,
    pub parameters: Option<i64>,
    pub downloads: Option<i64>,
    pub likes: Option<i64>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Unix seconds.
    pub last_modified: Option<i64>,
    pub tags: Vec<String>,
    pub languages: Vec<String>,
    pub has_weights: bool,
    /// How it descends from its accepted parents.
    pub relations: Vec<Relation>,
}

const COLUMNS: &str = "id, key, ghost, org, license, pipeline_tag, library, model_type, architecture, dtype, \
    parameters, downloads, likes, created_at, last_modified, tags, languages, has_weights";

impl Store {
    /// The next models by number after the one numbered `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn catalogue_rows(&self, after: i64, limit: u32) -> Result<Vec<CatalogueRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {COLUMNS} FROM models WHERE id > {} ORDER BY id LIMIT {}",
            params.add(after),
            params.add(i64::from(limit))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let mut found = rows.iter().map(model).collect::<Result<Vec<_>>>()?;
        if let Some(last) = found.last().map(|row| row.id) {
            let mut params = Params::default();
            let sql = format!(
                "SELECT child, relation FROM edges WHERE child > {} AND child <= {} AND status = 'accepted'",
                params.add(after),
                params.add(last)
            );
            relate(&mut found, &sql::all(self.db(), &sql, params).await?)?;
        }
        Ok(found)
    }

    /// Some models by number, in no order; unknown numbers are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn catalogue_rows_of(&self, ids: &[i64]) -> Result<Vec<CatalogueRow>> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let list = params.in_order(self.db(), ids.iter().copied());
            let sql = format!("SELECT {COLUMNS} FROM models WHERE id IN {list}");
            let rows = sql::all(self.db(), &sql, params).await?;
            let mut found = rows.iter().map(model).collect::<Result<Vec<_>>>()?;
            let mut params = Params::default();
            let list = params.in_order(self.db(), ids.iter().copied());
            let sql =
                format!("SELECT child, relation FROM edges WHERE child IN {list} AND status = 'accepted'");
            relate(&mut found, &sql::all(self.db(), &sql, params).await?)?;
            all.append(&mut found);
        }
        Ok(all)
    }
}

fn model(row: &QueryResult) -> Result<CatalogueRow> {
    Ok(CatalogueRow {
        id: get(row, "id")?,
        key: get(row, "key")?,
        ghost: get(row, "ghost")?,
        org: get(row, "org")?,
        license: get(row, "license")?,
        pipeline_tag: get(row, "pipeline_tag")?,
        library: get(row, "library")?,
        model_type: get(row, "model_type")?,
        architecture: get(row, "architecture")?,
        dtype: get(row, "dtype")?,
        parameters: get(row, "parameters")?,
        downloads: get(row, "downloads")?,
        likes: get(row, "likes")?,
        created_at: get(row, "created_at")?,
        last_modified: get(row, "last_modified")?,
        tags: json(row, "tags")?,
        languages: json(row, "languages")?,
        has_weights: get(row, "has_weights")?,
        relations: Vec::new(),
    })
}

/// Gives every model its relations.
fn relate(models: &mut [CatalogueRow], edges: &[QueryResult]) -> Result<()> {
    let places: HashMap<i64, usize> = models.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    for edge in edges {
        let (child, relation) = (get::<i64>(edge, "child")?, parsed(edge, "relation", "relation")?);
        if let Some(row) = places.get(&child).map(|at| &mut models[*at])
            && !row.relations.contains(&relation)
        {
            row.relations.push(relation);
        }
    }
    Ok(())
}
