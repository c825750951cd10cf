//! Searches for merge recipes as rows: created with their first candidates, scored, and moved on one generation at a
//! time.

use std::collections::HashMap;

use sea_orm::{DatabaseTransaction, QueryResult};
use serde::Serialize;
use serde_json::Value;
use ulid::Ulid;

use crate::{
    Error, Page, Result, Store,
    discretion::text_of,
    rows::{get, json, to_json, unsigned},
    sql::{self, MOST_KEYS, Params},
};

/// A search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchRow {
    /// A ULID: sorts by time of creation.
    pub id: String,
    /// What it rests on, unchanged since it was created.
    pub basis: Value,
    /// The state of its strategy before the candidates of `generation` were scored.
    pub progress: Value,
    /// Whether the lowest score is the best.
    pub lower: bool,
    /// running, finished or cancelled.
    pub state: String,
    /// Why it ended.
    pub reason: Option<String>,
    pub generation: u64,
    /// Candidates so far.
    pub proposed: u64,
    /// Of them, those with a score.
    pub scored: u64,
    pub created_at: i64,
    pub finished_at: Option<i64>,
}

/// A candidate of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateRow {
    /// From 1 on, in the order of proposal.
    pub number: u64,
    pub generation: u64,
    /// mergekit YAML.
    pub recipe: String,
    /// What its merge is to be called, or the model that it is already.
    pub model: String,
    pub about: Value,
    pub score: Option<f64>,
    pub scored_at: Option<i64>,
}

/// A candidate to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCandidate {
    pub recipe: String,
    pub model: String,
    pub about: Value,
}

/// A search to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSearch {
    /// A ULID.
    pub id: String,
    pub basis: Value,
    pub progress: Value,
    pub lower: bool,
    pub candidates: Vec<NewCandidate>,
    /// What was asked for.
    pub request: Value,
    /// Two requests with one key are one search.
    pub idempotency_key: Option<String>,
}

/// What follows a generation whose candidates all have scores.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Propose(Vec<NewCandidate>),
    /// The search is finished, and why.
    Finish(String),
}

const COLUMNS: &str = "id, basis, progress, lower, state, reason, generation, created_at, finished_at,
    (SELECT COUNT(*) FROM candidates WHERE search = searches.id) AS proposed,
    (SELECT COUNT(score) FROM candidates WHERE search = searches.id) AS scored";

const CANDIDATE: &str = "number, generation, recipe, model, about, score, scored_at";

fn search(row: &QueryResult) -> Result<SearchRow> {
    Ok(SearchRow {
        id: get(row, "id")?,
        basis: json(row, "basis")?,
        progress: json(row, "progress")?,
        lower: get(row, "lower")?,
        state: get(row, "state")?,
        reason: get(row, "reason")?,
        generation: unsigned(row, "generation")?,
        proposed: unsigned(row, "proposed")?,
        scored: unsigned(row, "scored")?,
        created_at: get(row, "created_at")?,
        finished_at: get(row, "finished_at")?,
    })
}

fn candidate(row: &QueryResult) -> Result<CandidateRow> {
    Ok(CandidateRow {
        number: unsigned(row, "number")?,
        generation: unsigned(row, "generation")?,
        recipe: get(row, "recipe")?,
        model: get(row, "model")?,
        about: json(row, "about")?,
        score: get(row, "score")?,
        scored_at: get(row, "scored_at")?,
    })
}

impl Store {
    /// Writes a search with its first candidates; gives its id, or that of the search that its key stands for already.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`] when the key stands for another request; when the database refuses.
    pub async fn create_search(&self, new: NewSearch) -> Result<String> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "INSERT INTO searches (id, basis, progress, lower, owner, private, request, idempotency_key, state, generation, created_at)
             VALUES ({}, {}, {}, {}, {}, {}, {}, {}, 'running', 0, {})
             ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
            params.add(new.id.as_str()),
            params.add(to_json(&new.basis)?),
            params.add(to_json(&new.progress)?),
            params.add(new.lower),
            params.add(self.owner()),
            params.add(self.eyes().met_private()),
            params.add(to_json(&new.request)?),
            params.add(sql::maybe_text(new.idempotency_key.as_ref())),
            sql::now(self.backend())
        );
        if sql::one(&tx, &sql, params).await?.is_none() {
            tx.rollback().await?;
            let key = new.idempotency_key.unwrap_or_default();
            let known = self.known_search(&key, &new.request).await?;
            return known.ok_or(Error::IdempotencyMismatch(key));
        }
        write(&tx, (&new.id, 0), 1, &new.candidates).await?;
        tx.commit().await?;
        Ok(new.id)
    }

    /// The id of the search that an idempotency key stands for already; none for a new key.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`] when the key stands for another request.
    pub async fn known_search(&self, key: &str, request: &Value) -> Result<Option<String>> {
        let mut params = Params::default();
        let key_is = params.add(sql::text(key));
        let open = self.visible_work(&mut params);
        let sql =
            format!("SELECT id, request, {open} AS open FROM searches WHERE idempotency_key = {key_is}");
        let Some(row) = sql::one(self.db(), &sql, params).await? else { return Ok(None) };
        match get(&row, "open")? && json::<Value>(&row, "request")? == *request {
            true => Ok(Some(get(&row, "id")?)),
            false => Err(Error::IdempotencyMismatch(key.to_owned())),
        }
    }

    /// A search by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recipe_search(&self, id: &str) -> Result<Option<SearchRow>> {
        let mut params = Params::default();
        let mut sql = format!("SELECT {COLUMNS} FROM searches WHERE id = {}", params.add(sql::text(id)));
        sql.push_str(&format!(" AND {}", self.visible_work(&mut params)));
        let found = sql::all(self.db(), &sql, params).await?.iter().map(search).collect::<Result<_>>()?;
        Ok(self.discreet(found, |row: &SearchRow| text_of(&row.basis, None)).await?.pop())
    }

    /// The user who asked for a search, in lower case; none for the program itself and for whoever has no token.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn search_asker(&self, id: &str) -> Result<Option<String>> {
        self.asker_in("searches", id).await
    }

    /// One page of searches, newest first.
    ///
    /// # Errors
    /// [`Error::BadCursor`]; when the database cannot be read.
    pub async fn searches(&self, cursor: Option<&str>, limit: u64) -> Result<Page<SearchRow>> {
        let limit = limit.clamp(1, 10_000);
        let mut params = Params::default();
        let mut sql = format!("SELECT {COLUMNS} FROM searches WHERE TRUE");
        if let Some(cursor) = cursor {
            let last: Ulid = cursor.parse().map_err(|_| Error::bad_cursor(cursor))?;
            sql.push_str(&format!(" AND id < {}", params.add(last.to_string())));
        }
        sql.push_str(&format!(" AND {}", self.visible_work(&mut params)));
        sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", limit + 1));
        let rows = sql::all(self.db(), &sql, params).await?;
        let items = rows.iter().map(search).collect::<Result<Vec<_>>>()?;
        let Page { items, next } = Page::of(items, limit, |row| row.id.clone());
        Ok(Page { items: self.discreet(items, |row| text_of(&row.basis, None)).await?, next })
    }

    /// One page of the candidates of a search, in the order of proposal.
    ///
    /// # Errors
    /// [`Error::BadCursor`]; when the database cannot be read.
    pub async fn candidates(
        &self,
        search: &str,
        cursor: Option<&str>,
        limit: u64,
    ) -> Result<Page<CandidateRow>> {
        let limit = limit.clamp(1, 10_000);
        let after: i64 =
            cursor.map_or(Ok(0), |cursor| cursor.parse().map_err(|_| Error::bad_cursor(cursor)))?;
        let mut params = Params::default();
        let sql = format!(
            "SELECT {CANDIDATE} FROM candidates WHERE search = {} AND number > {} ORDER BY number LIMIT {}",
            params.add(sql::text(search)),
            params.add(after),
            limit + 1
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let items = rows.iter().map(candidate).collect::<Result<Vec<_>>>()?;
        Ok(Page::of(items, limit, |row| row.number.to_string()))
    }

    /// The candidates of one generation, in the order of proposal.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn generation(&self, search: &str, generation: u64) -> Result<Vec<CandidateRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {CANDIDATE} FROM candidates WHERE search = {} AND generation = {} ORDER BY number",
            params.add(sql::text(search)),
            params.add(sql::capped(generation))
        );
        sql::all(self.db(), &sql, params).await?.iter().map(candidate).collect()
    }

    /// One candidate.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn candidate(&self, search: &str, number: u64) -> Result<Option<CandidateRow>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT {CANDIDATE} FROM candidates WHERE search = {} AND number = {}",
            params.add(sql::text(search)),
            params.add(sql::capped(number))
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(candidate).transpose()
    }

    /// The scores of those of some candidates that there are, by number; none inside for one without a score.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn scores(&self, search: &str, numbers: &[u64]) -> Result<HashMap<u64, Option<f64>>> {
        let mut found = HashMap::with_capacity(numbers.len());
        for numbers in numbers.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let sql = format!(
                "SELECT number, score FROM candidates WHERE search = {} AND number IN {}",
                params.add(sql::text(search)),
                params.list(numbers.iter().map(|number| sql::capped(*number)))
            );
            for row in sql::all(self.db(), &sql, params).await? {
                found.insert(unsigned(&row, "number")?, get(&row, "score")?);
            }
        }
        Ok(found)
    }

    /// The candidate with the best score, the first of several.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn best_candidate(&self, row: &SearchRow) -> Result<Option<CandidateRow>> {
        let mut params = Params::default();
        let order = if row.lower { "ASC" } else { "DESC" };
        let sql = format!(
            "SELECT {CANDIDATE} FROM candidates WHERE search = {} AND score IS NOT NULL
             ORDER BY score {order}, number LIMIT 1",
            params.add(row.id.as_str())
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map(candidate).transpose()
    }

    /// Writes scores, all or none; one that a candidate has already is no change.
    ///
    /// # Errors
    /// [`Error::NoCandidate`], [`Error::Scored`] for another score than before, [`Error::SearchEnded`].
    pub async fn score(&self, search: &str, scores: &[(u64, f64)]) -> Result<()> {
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!("SELECT state FROM searches WHERE id = {}", params.add(sql::text(search)));
        let state: Option<String> =
            sql::one(&tx, &sql, params).await?.as_ref().map(|row| get(row, "state")).transpose()?;
        let now = sql::now(self.backend());
        let mut unknown = Vec::new();
        for (number, score) in scores {
            let mut params = Params::default();
            let place = format!(
                "search = {} AND number = {}",
                params.add(sql::text(search)),
                params.add(sql::capped(*number))
            );
            let known = sql::one(&tx, &format!("SELECT score FROM candidates WHERE {place}"), params).await?;
            let known: Option<Option<f64>> = known.as_ref().map(|row| get(row, "score")).transpose()?;
            match known {
                None => {
                    unknown.push(*number);
                    continue;
                }
                Some(Some(known)) if known.to_bits() == score.to_bits() => continue,
                Some(Some(known)) => return Err(Error::Scored { number: *number, known, given: *score }),
                Some(None) if state.as_deref() != Some("running") => {
                    return Err(Error::SearchEnded(search.to_owned()));
                }
                Some(None) => {}
            }
            let mut params = Params::default();
            let sql = format!(
                "UPDATE candidates SET score = {}, scored_at = {now} WHERE search = {} AND number = {}",
                params.add(*score),
                params.add(sql::text(search)),
                params.add(sql::capped(*number))
            );
            sql::run(&tx, &sql, params).await?;
        }
        if !unknown.is_empty() {
            return Err(Error::NoCandidate { search: search.to_owned(), numbers: unknown });
        }
        Ok(tx.commit().await?)
    }

    /// Moves a search on from the generation that `row` is at; `false` when somebody else did, or it has ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn advance(&self, row: &SearchRow, progress: &Value, step: Step) -> Result<bool> {
        let now = sql::now(self.backend());
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let progress = params.add(to_json(progress)?);
        let set = match &step {
            Step::Propose(_) => "generation = generation + 1".to_owned(),
            Step::Finish(reason) => {
                format!("state = 'finished', finished_at = {now}, reason = {}", params.add(sql::text(reason)))
            }
        };
        let sql = format!(
            "UPDATE searches SET progress = {progress}, {set}
             WHERE id = {} AND generation = {} AND state = 'running'",
            params.add(row.id.as_str()),
            params.add(sql::capped(row.generation))
        );
        if sql::run(&tx, &sql, params).await? == 0 {
            return Ok(false);
        }
        if let Step::Propose(candidates) = &step {
            write(&tx, (&row.id, row.generation + 1), row.proposed + 1, candidates).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a running search as `finished` or `cancelled`; `false` when it is unknown or has ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_search(&self, id: &str, state: &str, reason: &str) -> Result<bool> {
        let mut params = Params::default();
        let sql = format!(
            "UPDATE searches SET state = {}, reason = {}, finished_at = {}
             WHERE id = {} AND state = 'running'",
            params.add(state),
            params.add(sql::text(reason)),
            sql::now(self.backend()),
            params.add(sql::text(id))
        );
        Ok(sql::run(self.db(), &sql, params).await? > 0)
    }
}

async fn write(
    tx: &DatabaseTransaction,
    (search, generation): (&str, u64),
    first: u64,
    candidates: &[NewCandidate],
) -> Result<()> {
    let row = |(number, candidate): (u64, &NewCandidate)| {
        Ok(vec![
            search.into(),
            sql::capped(number).into(),
            sql::capped(generation).into(),
            sql::text(&candidate.recipe).into(),
            sql::text(&candidate.model).into(),
            to_json(&candidate.about)?.into(),
        ])
    };
    let rows = (first..).zip(candidates).map(row).collect::<Result<_>>()?;
    sql::insert(tx, ("candidates", &["search", "number", "generation", "recipe", "model", "about"]), rows, "")
        .await
}
