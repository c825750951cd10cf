//! What the search index holds of a model, read in the order of ids or of some models alone.

use std::collections::HashMap;

use domain::Relation;
use futures::{Stream, TryFutureExt as _};
use sea_orm::QueryResult;
use serde::Deserialize;

use crate::{
    Error, Result, Store,
    rows::{get, json, parsed},
    sql::{self, MOST_KEYS, Params},
    whole::{Whole, truth},
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
    /// Kinship is answered from its sketches.
    pub sketched: bool,
    /// How it descends from its accepted parents.
    pub relations: Vec<Relation>,
}

const COLUMNS: &str = "id, key, ghost, org, license, pipeline_tag, library, model_type, architecture, dtype, \
    parameters, downloads, likes, created_at, last_modified, tags, languages, has_weights, sketched";

const MODELS: Whole = Whole { table: "models", key: "id", columns: COLUMNS, only: "TRUE" };

const RELATIONS: Whole =
    Whole { table: "edges", key: "child", columns: "child, relation", only: "status = 'accepted'" };

impl Store {
    /// All models in parts, ascending by number.
    pub fn catalogue_parts(&self) -> impl Stream<Item = Result<Vec<CatalogueRow>>> + '_ {
        let parts = async move {
            let last = self.last("models").await?;
            Ok::<_, Error>(self.in_parts(last, |store, range| store.catalogue_part(range)))
        };
        parts.try_flatten_stream()
    }

    async fn catalogue_part(&self, range: (i64, i64)) -> Result<Vec<CatalogueRow>> {
        let (models, edges) = futures::try_join!(
            self.part::<Packed>(MODELS, range),
            self.part::<(i64, String)>(RELATIONS, range)
        )?;
        let mut found = models.into_iter().map(CatalogueRow::try_from).collect::<Result<Vec<_>>>()?;
        found.sort_unstable_by_key(|row| row.id);
        let relation = |(child, word): (i64, String)| {
            Ok((child, word.parse().map_err(|error| Error::stored("relation", error))?))
        };
        relate(&mut found, edges.into_iter().map(relation))?;
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
            let edges = sql::all(self.db(), &sql, params).await?;
            let relation =
                |edge: &QueryResult| Ok((get(edge, "child")?, parsed(edge, "relation", "relation")?));
            relate(&mut found, edges.iter().map(relation))?;
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
        sketched: get(row, "sketched")?,
        relations: Vec::new(),
    })
}

/// Gives every model its relations.
fn relate(models: &mut [CatalogueRow], edges: impl Iterator<Item = Result<(i64, Relation)>>) -> Result<()> {
    let places: HashMap<i64, usize> = models.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    for edge in edges {
        let (child, relation) = edge?;
        if let Some(row) = places.get(&child).map(|at| &mut models[*at])
            && !row.relations.contains(&relation)
        {
            row.relations.push(relation);
        }
    }
    Ok(())
}

/// A model in the order of [`COLUMNS`], its lists as texts.
#[derive(Deserialize)]
struct Packed {
    id: i64,
    key: String,
    #[serde(deserialize_with = "truth")]
    ghost: bool,
    org: Option<String>,
    license: Option<String>,
    pipeline_tag: Option<String>,
    library: Option<String>,
    model_type: Option<String>,
    architecture: Option<String>,
    dtype: Option<String>,
    parameters: Option<i64>,
    downloads: Option<i64>,
    likes: Option<i64>,
    created_at: Option<i64>,
    last_modified: Option<i64>,
    tags: String,
    languages: String,
    #[serde(deserialize_with = "truth")]
    has_weights: bool,
    #[serde(deserialize_with = "truth")]
    sketched: bool,
}

impl TryFrom<Packed> for CatalogueRow {
    type Error = Error;

    fn try_from(row: Packed) -> Result<Self> {
        let list =
            |text: &str| serde_json::from_str(text).map_err(|error| Error::stored("JSON document", error));
        Ok(Self {
            id: row.id,
            key: row.key,
            ghost: row.ghost,
            org: row.org,
            license: row.license,
            pipeline_tag: row.pipeline_tag,
            library: row.library,
            model_type: row.model_type,
            architecture: row.architecture,
            dtype: row.dtype,
            parameters: row.parameters,
            downloads: row.downloads,
            likes: row.likes,
            created_at: row.created_at,
            last_modified: row.last_modified,
            tags: list(&row.tags)?,
            languages: list(&row.languages)?,
            has_weights: row.has_weights,
            sketched: row.sketched,
            relations: Vec::new(),
        })
    }
}
