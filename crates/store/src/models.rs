//! Models as rows, found by name (in any case, through aliases) or by number.

use std::collections::{HashMap, HashSet};

use domain::{Digest, Gating, Note};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Result, Store,
    rows::{get, json, maybe_digest, maybe_json, maybe_parsed},
    sql::{self, MOST_KEYS, Params},
    standins,
};

/// A model: everything known of it besides files and edges.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelRow {
    pub id: i64,
    /// As its own source writes it.
    pub name: String,
    pub org: Option<String>,
    /// Named as a parent but never imported.
    pub ghost: bool,
    pub author: Option<String>,
    pub sha: Option<String>,
    /// Unix seconds, as all times.
    pub created_at: Option<i64>,
    pub last_modified: Option<i64>,
    pub downloads: Option<i64>,
    pub likes: Option<i64>,
    /// The id of its licence.
    pub license: Option<String>,
    /// The name of its licence where the id is `other`.
    pub license_name: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub model_type: Option<String>,
    pub architecture: Option<String>,
    pub parameters: Option<i64>,
    pub tags: Vec<String>,
    pub languages: Vec<String>,
    pub datasets: Vec<String>,
    /// Left out of search results.
    pub card: Option<String>,
    /// Left out of search results.
    pub config: Option<Value>,
    pub new_version: Option<String>,
    pub has_weights: bool,
    /// The current revision, for `files`, `tensors`, `checkpoint`.
    pub revision: Option<i64>,
    /// Content digest of the current revision.
    pub digest: Option<Digest>,
    pub ingested_at: i64,
    /// Only members of its namespace see it.
    pub private: bool,
    /// Its files are only for those who were let in.
    pub gated: Option<Gating>,
}

impl ModelRow {
    /// The licence to show: its name where its id is `other`, else the id.
    pub fn licence(&self) -> Option<&str> {
        domain::shown_licence(self.license.as_deref(), self.license_name.as_deref())
    }
}

/// Columns every list needs.
pub const LIGHT: &str = "models.id, models.name, models.org, models.ghost, models.author, models.sha, \
    models.created_at, models.last_modified, models.downloads, models.likes, models.license, \
    models.license_name, models.pipeline_tag, models.library, models.model_type, models.architecture, \
    models.parameters, models.tags, models.languages, models.datasets, models.new_version, \
    models.has_weights, models.revision, models.digest, models.ingested_at, models.private, models.gated";

/// All columns.
const FULL: &str = "models.card, models.config";

/// Which columns of a model are read.
#[derive(Debug, Clone, Copy)]
enum Columns {
    Light,
    Whole,
}

/// Reads a row of [`LIGHT`] and [`FULL`].
fn whole(row: &QueryResult) -> Result<ModelRow> {
    Ok(ModelRow { card: get(row, "card")?, config: maybe_json(row, "config")?, ..light(row)? })
}

/// Reads a row of [`LIGHT`].
pub fn light(row: &QueryResult) -> Result<ModelRow> {
    Ok(ModelRow {
        id: get(row, "id")?,
        name: get(row, "name")?,
        org: get(row, "org")?,
        ghost: get(row, "ghost")?,
        author: get(row, "author")?,
        sha: get(row, "sha")?,
        created_at: get(row, "created_at")?,
        last_modified: get(row, "last_modified")?,
        downloads: get(row, "downloads")?,
        likes: get(row, "likes")?,
        license: get(row, "license")?,
        license_name: get(row, "license_name")?,
        pipeline_tag: get(row, "pipeline_tag")?,
        library: get(row, "library")?,
        model_type: get(row, "model_type")?,
        architecture: get(row, "architecture")?,
        parameters: get(row, "parameters")?,
        tags: json(row, "tags")?,
        languages: json(row, "languages")?,
        datasets: json(row, "datasets")?,
        card: None,
        config: None,
        new_version: get(row, "new_version")?,
        has_weights: get(row, "has_weights")?,
        revision: get(row, "revision")?,
        digest: maybe_digest(row, "digest")?,
        ingested_at: get(row, "ingested_at")?,
        private: get(row, "private")?,
        gated: maybe_parsed(row, "gated", "gate")?,
    })
}

impl Store {
    /// The model called `name`, in any case, under its present or an older name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn model_by_id(&self, name: &str) -> Result<Option<ModelRow>> {
        let key = sql::text(name).to_ascii_lowercase();
        let places = resolve(self.db(), std::slice::from_ref(&key)).await?;
        if let Some(id) = places.get(&key).and_then(|place| place.id)
            && let Some(row) = self.model(id).await?
        {
            return Ok(Some(row));
        }
        // Hidden or not there: either way it is at most a ghost.
        let key = standins::key_of(&key);
        match ids_of(self.db(), std::slice::from_ref(&key)).await?.get(&key) {
            Some((id, _)) => self.model(*id).await,
            None => Ok(None),
        }
    }

    /// A model by number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn model(&self, id: i64) -> Result<Option<ModelRow>> {
        Ok(self.models_by_ids(&[id]).await?.pop())
    }

    /// Models by number, in the order asked for; unknown numbers are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn models_by_ids(&self, ids: &[i64]) -> Result<Vec<ModelRow>> {
        self.models_in(self.db(), ids).await
    }

    /// Models by number without card and configuration, in the order asked for; unknown numbers are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn light_models(&self, ids: &[i64]) -> Result<Vec<ModelRow>> {
        self.rows_in(self.db(), ids, Columns::Light).await
    }

    /// [`Self::models_by_ids`], also inside a transaction.
    pub(crate) async fn models_in<C: ConnectionTrait>(&self, db: &C, ids: &[i64]) -> Result<Vec<ModelRow>> {
        self.rows_in(db, ids, Columns::Whole).await
    }

    async fn rows_in<C: ConnectionTrait>(
        &self,
        db: &C,
        ids: &[i64],
        columns: Columns,
    ) -> Result<Vec<ModelRow>> {
        let mut found = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let list = params.list(ids.iter().copied());
            let visible = self.and_visible(&mut params);
            let (names, read): (_, fn(&QueryResult) -> Result<ModelRow>) = match columns {
                Columns::Light => (LIGHT.to_owned(), light),
                Columns::Whole => (format!("{LIGHT}, {FULL}"), whole),
            };
            let sql = format!("SELECT {names} FROM models WHERE id IN {list} {visible}");
            for row in sql::all(db, &sql, params).await? {
                let row = read(&row)?;
                self.eyes().meet(&row);
                found.insert(row.id, row);
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// What a reader should know about the model's metadata.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn notes_of(&self, model: i64) -> Result<Vec<Note>> {
        let mut params = Params::default();
        let id = params.add(model);
        let visible = self.and_visible(&mut params);
        let sql = format!("SELECT notes FROM models WHERE id = {id} {visible}");
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or_else(|| Ok(Vec::new()), |row| json(row, "notes"))
    }
}

/// Where a name leads after following aliases.
#[derive(Debug, Clone)]
pub struct Place {
    /// The key the name ends at.
    pub key: String,
    /// The row there, if there is one.
    pub id: Option<i64>,
}

/// Follows `keys` to their rows. An imported model of that very name wins over an alias, an alias over a
/// ghost. Renames of renames are followed, circles are cut.
pub async fn resolve<C: ConnectionTrait>(db: &C, keys: &[String]) -> Result<HashMap<String, Place>> {
    const HOPS: usize = 8;
    let mut places: HashMap<String, Place> =
        keys.iter().map(|key| (key.clone(), Place { key: key.clone(), id: None })).collect();
    let mut seen: HashMap<String, Option<(i64, bool)>> = HashMap::new();
    let mut open: HashSet<String> = keys.iter().cloned().collect();
    for _ in 0..HOPS {
        if open.is_empty() {
            break;
        }
        let wanted: Vec<String> =
            places.values().filter(|p| !seen.contains_key(&p.key)).map(|p| p.key.clone()).collect();
        let rows = ids_of(db, &wanted).await?;
        for key in wanted {
            let row = rows.get(&key).copied();
            seen.insert(key, row);
        }
        let unreal: Vec<String> = open
            .iter()
            .map(|start| places[start].key.clone())
            .filter(|key| !matches!(seen.get(key), Some(Some((_, false)))))
            .collect();
        let aliases = targets_of(db, &unreal).await?;
        open.retain(|start| {
            let Some(place) = places.get_mut(start) else { return false };
            match aliases.get(&place.key) {
                Some(target) if target != start => {
                    place.key.clone_from(target);
                    true
                }
                _ => false,
            }
        });
    }
    for place in places.values_mut() {
        place.id = seen.get(&place.key).copied().flatten().map(|(id, _)| id);
    }
    Ok(places)
}

/// Number and ghost mark of each key that has a row.
pub async fn ids_of<C: ConnectionTrait>(db: &C, keys: &[String]) -> Result<HashMap<String, (i64, bool)>> {
    let sql = |keys: &str| format!("SELECT id, key, ghost FROM models WHERE key IN {keys}");
    let read = |row: &QueryResult| Ok((get(row, "key")?, (get(row, "id")?, get(row, "ghost")?)));
    Ok(sql::by_keys(db, keys, sql, read).await?.into_iter().collect())
}

/// When the models of these keys were changed, unix seconds, by key; those of which nobody says so are left out.
pub async fn changes_of<C: ConnectionTrait>(db: &C, keys: &[String]) -> Result<HashMap<String, i64>> {
    let sql = |keys: &str| {
        format!("SELECT key, last_modified FROM models WHERE last_modified IS NOT NULL AND key IN {keys}")
    };
    let read = |row: &QueryResult| Ok((get(row, "key")?, get(row, "last_modified")?));
    Ok(sql::by_keys(db, keys, sql, read).await?.into_iter().collect())
}

async fn targets_of<C: ConnectionTrait>(db: &C, keys: &[String]) -> Result<HashMap<String, String>> {
    let sql = |keys: &str| format!("SELECT key, target FROM aliases WHERE key IN {keys}");
    let read = |row: &QueryResult| Ok((get(row, "key")?, get(row, "target")?));
    Ok(sql::by_keys(db, keys, sql, read).await?.into_iter().collect())
}
