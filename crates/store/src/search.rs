//! Finding models: filters and keyset pages.

use domain::{Limits, Relation};
use sea_orm::{QueryResult, Value};

use crate::{
    Error, Page, Result, Store,
    models::{LIGHT, ModelRow, light},
    rows::get,
    sql::{self, Params, contains_pattern},
    standins,
};

/// The order of a list; on a tie the row that came last goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Most downloaded first.
    #[default]
    Downloads,
    /// Newest first.
    Created,
    /// By name.
    Name,
    /// Most liked first.
    Likes,
    /// Last changed first.
    Modified,
}

impl Sort {
    const fn word(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Created => "created",
            Self::Name => "name",
            Self::Likes => "likes",
            Self::Modified => "modified",
        }
    }

    const fn expression(self) -> &'static str {
        match self {
            Self::Downloads => "COALESCE(downloads, -1)",
            // As the search index has them, so that a page goes on wherever the next one is read.
            Self::Created => {
                "CASE WHEN ghost THEN COALESCE(created_at, -1) ELSE COALESCE(created_at, (SELECT MIN(commits.created_at)
                 FROM commits WHERE commits.model = models.id AND commits.parent IS NULL), ingested_at) END"
            }
            Self::Likes => "COALESCE(likes, -1)",
            Self::Modified => {
                "CASE WHEN ghost THEN COALESCE(last_modified, -1) ELSE COALESCE(last_modified, ingested_at) END"
            }
            Self::Name => "key",
        }
    }
}

/// What to find. Ghosts are found too; they sort last except by name.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    /// Words that all occur in the name.
    pub text: Option<String>,
    pub org: Option<String>,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    /// Models that are somebody's child by this relation.
    pub relation: Option<Relation>,
    pub has_weights: Option<bool>,
    /// Tags that the model has, all of them; a library, a task or a language counts as one.
    pub tags: Vec<String>,
    /// Datasets that the model names, all of them.
    pub datasets: Vec<String>,
    /// Parents that the model has, all of them, under their present names; by this relation where one is given.
    pub child_of: Vec<(Option<Relation>, String)>,
    /// Whether files are only for those who were let in.
    pub gated: Option<bool>,
    /// The least and the most weights.
    pub parameters: (Option<i64>, Option<i64>),
    /// Only models that are more than a name.
    pub no_ghosts: bool,
    pub sort: Sort,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Page length; at least 1 is taken.
    pub limit: u64,
}

impl Store {
    /// One page of models; a row present throughout is listed exactly once over all pages. Cards and
    /// configs are left out.
    ///
    /// # Errors
    /// [`Error::BadCursor`], [`Error::SearchTooLong`]; when the database cannot be read.
    pub async fn search(&self, query: SearchQuery) -> Result<Page<ModelRow>> {
        query.fits(self.limits())?;
        let limit = query.limit.clamp(1, 10_000);
        let mut params = Params::default();
        let mut filters = filters(&query, &mut params);
        filters.extend(self.visible(&mut params));
        let order = query.sort.expression();
        if let Some(cursor) = &query.cursor {
            filters.push(after(query.sort, cursor, &mut params)?);
        }
        let condition =
            if filters.is_empty() { String::new() } else { format!("WHERE {}", filters.join(" AND ")) };
        let direction = if query.sort == Sort::Name { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT {LIGHT}, {order} AS sort_value, key FROM models {condition}
             ORDER BY {order} {direction}, id {direction} LIMIT {}",
            limit + 1
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let placed = |row: &QueryResult| Ok((light(row)?, place(query.sort, row)?));
        let items = rows.iter().map(placed).collect::<Result<_>>()?;
        Ok(Page::of(items, limit, |(_, place): &(ModelRow, String)| place.clone()).map(|(row, _)| row))
    }
}

impl SearchQuery {
    /// Whether its texts are short enough.
    ///
    /// # Errors
    /// [`Error::SearchTooLong`].
    pub fn fits(&self, limits: &Limits) -> Result<()> {
        let most = limits.search_bytes;
        let parts = [&self.text, &self.org, &self.license, &self.pipeline_tag, &self.library];
        let parents = self.child_of.iter().map(|(_, parent)| parent);
        let listed = || self.tags.iter().chain(&self.datasets).chain(parents.clone());
        if let Some(part) = parts.into_iter().flatten().chain(listed()).find(|part| part.len() > most) {
            return Err(Error::SearchTooLong {
                given: part.len(),
                unit: "bytes",
                most,
                limit: "search_bytes",
            });
        }
        let words = self.text.iter().flat_map(|text| text.split_whitespace()).count() + listed().count();
        let (given, most) = (words, limits.search_words);
        if given > most {
            return Err(Error::SearchTooLong { given, unit: "words", most, limit: "search_words" });
        }
        Ok(())
    }
}

fn filters(query: &SearchQuery, params: &mut Params) -> Vec<String> {
    let mut filters = Vec::new();
    for word in query.text.iter().flat_map(|text| text.split_whitespace()) {
        let pattern = params.add(contains_pattern(&sql::text(word).to_ascii_lowercase()));
        // A stand-in is not found by its mark either.
        filters.push(match standins::told_key(word) == word {
            true => format!("key LIKE {pattern} ESCAPE '\\'"),
            false => "FALSE".to_owned(),
        });
    }
    for (column, wanted) in [("org", &query.org), ("license", &query.license)] {
        if let Some(wanted) = wanted {
            filters.push(format!("lower({column}) = {}", params.add(sql::text(wanted).to_lowercase())));
        }
    }
    for (column, wanted) in [("pipeline_tag", &query.pipeline_tag), ("library", &query.library)] {
        if let Some(wanted) = wanted {
            filters.push(format!("{column} = {}", params.add(sql::text(wanted))));
        }
    }
    if let Some(relation) = query.relation {
        let relation = params.add(relation.as_str());
        filters.push(format!(
            "EXISTS (SELECT 1 FROM edges WHERE edges.child = models.id
             AND edges.relation = {relation} AND edges.status = 'accepted')"
        ));
    }
    for tag in &query.tags {
        let (word, item) = (params.add(sql::text(tag)), params.add(item_pattern(tag)));
        let held = if tag == "safetensors" { "OR has_weights" } else { "" };
        filters.push(format!(
            "(library = {word} OR pipeline_tag = {word} OR tags LIKE {item} ESCAPE '\\'
              OR languages LIKE {item} ESCAPE '\\' {held})"
        ));
    }
    filters.extend(query.gated.map(|gated| format!("gated IS {} NULL", if gated { "NOT" } else { "" })));
    for (limit, sign) in [(query.parameters.0, ">="), (query.parameters.1, "<=")] {
        filters.extend(limit.map(|limit| format!("parameters {sign} {}", params.add(limit))));
    }
    for dataset in &query.datasets {
        filters.push(format!("datasets LIKE {} ESCAPE '\\'", params.add(item_pattern(dataset))));
    }
    for (relation, parent) in &query.child_of {
        let key = sql::text(parent).to_ascii_lowercase();
        let keys = params.list([standins::key_of(&key), key]);
        let relation = relation.map_or_else(String::new, |asked| {
            let meant = Relation::ALL.into_iter().filter(|relation| relation.is_meant_by(asked));
            let words: Vec<String> = meant.map(|relation| params.add(relation.as_str())).collect();
            format!("AND edges.relation IN ({})", words.join(", "))
        });
        filters.push(format!(
            "EXISTS (SELECT 1 FROM edges JOIN models AS parents ON parents.id = edges.parent
             WHERE edges.child = models.id AND parents.key IN {keys} AND edges.status = 'accepted' {relation})"
        ));
    }
    if query.no_ghosts {
        filters.push("NOT ghost".to_owned());
    }
    if let Some(wanted) = query.has_weights {
        filters.push(format!("has_weights = {}", params.add(Value::from(wanted))));
    }
    filters
}

/// A `LIKE` pattern that finds an item of a list stored as JSON.
fn item_pattern(item: &str) -> String {
    contains_pattern(&serde_json::Value::from(sql::text(item)).to_string())
}

/// The cursor of a row.
fn place(sort: Sort, row: &QueryResult) -> Result<String> {
    if sort == Sort::Name {
        return Ok(format!("name.{}", standins::told_key(&get::<String>(row, "key")?)));
    }
    Ok(format!("{}.{}.{}", sort.word(), get::<i64>(row, "sort_value")?, get::<i64>(row, "id")?))
}

/// The condition "after this cursor".
fn after(sort: Sort, cursor: &str, params: &mut Params) -> Result<String> {
    let bad = || Error::bad_cursor(cursor);
    let position =
        cursor.strip_prefix(sort.word()).and_then(|rest| rest.strip_prefix('.')).ok_or_else(bad)?;
    if sort == Sort::Name {
        return Ok(format!("key > {}", params.add(standins::key_of(&sql::text(position)))));
    }
    let (value, id) = position.split_once('.').ok_or_else(bad)?;
    let value = params.add(value.parse::<i64>().map_err(|_| bad())?);
    let id = params.add(id.parse::<i64>().map_err(|_| bad())?);
    let order = sort.expression();
    Ok(format!("({order} < {value} OR ({order} = {value} AND id < {id}))"))
}
