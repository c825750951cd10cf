//! Advisories: filed about a model or about whatever has a digest, withdrawn but never deleted.

use std::str::FromStr;

use domain::Digest;
use sea_orm::{ConnectionTrait, QueryResult};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{
    Error, Page, Result, Store,
    rows::{get, maybe_digest, parsed},
    sql::{self, MOST_KEYS, Params, text, wall_clock},
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdvisoryKind {
    Defect,
    Recall,
    LicenceChange,
    DatasetTakedown,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Moderate,
    High,
    Critical,
}

impl AdvisoryKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Defect, Self::Recall, Self::LicenceChange, Self::DatasetTakedown];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defect => "defect",
            Self::Recall => "recall",
            Self::LicenceChange => "licence_change",
            Self::DatasetTakedown => "dataset_takedown",
        }
    }
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Moderate, Self::High, Self::Critical];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for AdvisoryKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| format!("`{word}` is no kind of advisory; there are {}", known()))
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|severity| severity.as_str() == word);
        found.ok_or_else(|| format!("`{word}` is no severity; there are {}", known()))
    }
}

/// An advisory to be filed.
#[derive(Debug, Clone)]
pub struct NewAdvisory {
    /// The model it is about.
    pub model: Option<i64>,
    /// Or the digest of a revision or a file.
    pub digest: Option<Digest>,
    pub kind: AdvisoryKind,
    pub severity: Severity,
    pub summary: String,
    pub details: String,
    pub link: Option<String>,
    pub person: String,
}

/// An advisory.
#[derive(Debug, Clone, PartialEq)]
pub struct AdvisoryRow {
    pub id: String,
    pub model: Option<i64>,
    pub digest: Option<Digest>,
    pub kind: AdvisoryKind,
    pub severity: Severity,
    pub summary: String,
    pub details: String,
    pub link: Option<String>,
    pub person: String,
    /// Unix seconds.
    pub filed_at: i64,
    /// Unix seconds.
    pub withdrawn_at: Option<i64>,
    pub withdrawn_by: Option<String>,
    pub withdrawn_reason: Option<String>,
}

/// What every id begins with.
const PREFIX: &str = "STM-";

const COLUMNS: &str = "advisories.id AS id, advisories.model AS model, advisories.digest AS digest, kind, severity, \
                       summary, details, link, person, filed_at, withdrawn_at, withdrawn_by, withdrawn_reason";

impl Store {
    /// Files an advisory; gives its id. Later ids are larger.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn file_advisory(&self, new: &NewAdvisory) -> Result<String> {
        let id = format!("{PREFIX}{}", Ulid::generate());
        let tx = self.begin_write().await?;
        let columns =
            ["id", "model", "digest", "kind", "severity", "summary", "details", "link", "person", "filed_at"];
        let row = vec![
            id.clone().into(),
            new.model.into(),
            new.digest.map(|digest| digest.to_string()).into(),
            new.kind.as_str().into(),
            new.severity.as_str().into(),
            text(&new.summary).into(),
            text(&new.details).into(),
            new.link.as_deref().map(text).into(),
            text(&new.person).into(),
            wall_clock().into(),
        ];
        sql::insert(&tx, ("advisories", &columns), vec![row], "").await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Withdraws an advisory; one that is withdrawn already stays as it is. `false` for an unknown one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn withdraw_advisory(&self, id: &str, (person, reason): (&str, &str)) -> Result<bool> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "UPDATE advisories SET withdrawn_at = {}, withdrawn_by = {}, withdrawn_reason = {}
             WHERE id = {} AND withdrawn_at IS NULL",
            params.add(wall_clock()),
            params.add(text(person)),
            params.add(text(reason)),
            params.add(text(id))
        );
        sql::run(&tx, &sql, params).await?;
        let found = one(&tx, id).await?.is_some();
        tx.commit().await?;
        Ok(found)
    }

    /// An advisory by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn advisory(&self, id: &str) -> Result<Option<AdvisoryRow>> {
        one(self.db(), id).await
    }

    /// One page of advisories, the latest first, withdrawn ones included.
    ///
    /// # Errors
    /// A cursor of another list; when the database cannot be read.
    pub async fn advisories(&self, cursor: Option<&str>, limit: u64) -> Result<Page<AdvisoryRow>> {
        let limit = limit.clamp(1, 10_000);
        let mut params = Params::default();
        let mut sql = format!("SELECT {COLUMNS} FROM advisories WHERE TRUE");
        if let Some(cursor) = cursor {
            if !cursor.starts_with(PREFIX) {
                return Err(Error::bad_cursor(cursor));
            }
            sql.push_str(&format!(" AND id < {}", params.add(text(cursor))));
        }
        sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", limit + 1));
        let rows = sql::all(self.db(), &sql, params).await?;
        let items = rows.iter().map(advisory).collect::<Result<_>>()?;
        let mut page = Page::of(items, limit, |row: &AdvisoryRow| row.id.clone());
        let hidden = self.hidden().await?;
        page.items.retain(|row| row.model.is_none_or(|model| !hidden.contains(&model)));
        Ok(page)
    }

    /// Advisories in force about some models themselves, each with the model it is about: named, or by the digest of a
    /// revision it has or had, or of a file of one. The latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn advisories_about(&self, models: &[i64]) -> Result<Vec<(i64, AdvisoryRow)>> {
        let mut found = Vec::new();
        for keys in models.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let list = params.list(keys.iter().copied());
            let sql = format!(
                "SELECT {COLUMNS}, advisories.model AS about FROM advisories
                 WHERE withdrawn_at IS NULL AND advisories.model IN {list}
                 UNION SELECT {COLUMNS}, revisions.model AS about FROM advisories
                 JOIN revisions ON revisions.digest = advisories.digest
                 WHERE withdrawn_at IS NULL AND revisions.model IN {list}
                 UNION SELECT {COLUMNS}, revisions.model AS about FROM advisories
                 JOIN files ON files.digest = advisories.digest JOIN revisions ON revisions.id = files.revision
                 WHERE withdrawn_at IS NULL AND revisions.model IN {list}"
            );
            for row in sql::all(self.db(), &sql, params).await? {
                found.push((get(&row, "about")?, advisory(&row)?));
            }
        }
        found.sort_by(|a, b| (&b.1.id, b.0).cmp(&(&a.1.id, a.0)));
        found.dedup();
        let hidden = self.hidden().await?;
        found.retain(|(about, row)| {
            !hidden.contains(about) && row.model.is_none_or(|id| !hidden.contains(&id))
        });
        Ok(found)
    }

    /// The models that have or had a revision, or a file, of this digest.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn models_with(&self, digest: &Digest) -> Result<Vec<i64>> {
        let mut params = Params::default();
        let wanted = params.add(digest.to_string());
        let sql = format!(
            "SELECT model FROM revisions WHERE digest = {wanted}
             UNION SELECT revisions.model AS model FROM files JOIN revisions ON revisions.id = files.revision
             WHERE files.digest = {wanted} ORDER BY model"
        );
        sql::all(self.db(), &sql, params).await?.iter().map(|row| get(row, "model")).collect()
    }
}

async fn one<C: ConnectionTrait>(db: &C, id: &str) -> Result<Option<AdvisoryRow>> {
    let mut params = Params::default();
    let sql = format!("SELECT {COLUMNS} FROM advisories WHERE id = {}", params.add(text(id)));
    sql::one(db, &sql, params).await?.as_ref().map(advisory).transpose()
}

fn advisory(row: &QueryResult) -> Result<AdvisoryRow> {
    Ok(AdvisoryRow {
        id: get(row, "id")?,
        model: get(row, "model")?,
        digest: maybe_digest(row, "digest")?,
        kind: parsed(row, "kind", "kind of advisory")?,
        severity: parsed(row, "severity", "severity")?,
        summary: get(row, "summary")?,
        details: get(row, "details")?,
        link: get(row, "link")?,
        person: get(row, "person")?,
        filed_at: get(row, "filed_at")?,
        withdrawn_at: get(row, "withdrawn_at")?,
        withdrawn_by: get(row, "withdrawn_by")?,
        withdrawn_reason: get(row, "withdrawn_reason")?,
    })
}
